"""What a trainer brings to a run: the network, its batches, its loss, its score.

A trainer writes two classes:

- a `TaskSpec`: small, frozen and picklable (paths and settings, no arrays), because Ray sends it to the workers;
- a `Task`, which the spec builds inside each worker: it opens the data and holds the network.

The loop (`training.runs.loop`) owns everything else: optimiser, schedule, precision, checkpoints, resuming, early
stopping, history. Two rules make a run resumable without a trace:

1. `Task.batch(number)` is a pure function of the number and the spec: the same number gives the same samples in the
   same order with the same augmentation, in any process. Draw from `numpy.random.default_rng([seed, number])`; keep no
   iterator. It is called in loader threads ahead of its use, several at a time, so it may not change the task.
2. `Task.loss` may draw from torch's generator, which the loop seeds anew for every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from training.scoring.intervals import Interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a network is on data held out from training.

    Attributes:
        score: what early stopping and the choice of the best weights go by; higher is better.
        values: further numbers by name, for the history and the model card.
        intervals: 95 % intervals of some of `values`, by the same names; for the model card.
    """

    score: float
    values: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)


class Task(Protocol):
    """One network in training, in one worker.

    Attributes:
        network: on the worker's device; the loop moves it, wraps it for several workers and puts it into training mode.
        score_name: what `Evaluation.score` is, in words for curve and card ("validation top-1").
    """

    network: nn.Module
    score_name: str

    def batch(self, number: int) -> Any:
        """Return one batch, on the CPU.

        Args:
            number: counts the batches of the whole run from 0; with N workers a step takes N of them, one each.
        """
        ...

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch as one number; the loop calls it under autocast and runs it backward.

        Args:
            network: `self.network`, or that wrapped for several workers; go through this one.
            batch: what `batch` returned; move it to the device of the network's parameters.
        """
        ...

    def evaluate(self, network: nn.Module, final: bool) -> Evaluation:
        """Judge the network on the validation split; the network is in evaluation mode, gradients are off.

        Args:
            network: never wrapped.
            final: the last evaluation, of the best weights, for the model card: intervals and further sets are wanted.

        Raises:
            TrainingError: the run is dead (for example collapsed embeddings) and must stop.
        """
        ...

    def export(self, network: nn.Module) -> None:
        """Write the weights for the service; called once at the end, with the best weights, in evaluation mode."""
        ...


class TaskSpec(Protocol):
    """Picklable recipe of a `Task`."""

    def build(self, device: torch.device) -> Task:
        """Open the data and build the network with its initial weights.

        Args:
            device: where the network will be trained; `Task.evaluate` finds it there.
        """
        ...

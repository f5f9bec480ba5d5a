"""One worker of a run as the loop sees it; Ray Train's is in `training.runs.launch`."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

import torch
from torch import nn

Value = TypeVar("Value")


class Worker(Protocol):
    """This process among the workers of a run.

    Attributes:
        rank: of this worker, from 0; rank 0 evaluates and writes files.
        size: number of workers.
        device: this worker's.
    """

    rank: int
    size: int
    device: torch.device

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network as it is to be trained: averaging gradients where there are several workers."""
        ...

    def share(self, value: Value) -> Value:
        """Return rank 0's value on every worker; all must call it."""
        ...

    def report(self, metrics: Mapping[str, float]) -> None:
        """Tell how far the run is; all must call it at the same steps."""
        ...

    def progress(self, photos: int, total: int, words: str) -> None:
        """Move the progress bar.

        Args:
            photos: seen so far.
            total: of the whole run.
            words: loss and score.
        """
        ...


class SingleWorker:
    """The only worker, in this very process, without Ray."""

    rank = 0
    size = 1

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network as it is: no other worker has gradients to average with."""
        return network

    def share(self, value: Value) -> Value:
        """Return the value: this is rank 0."""
        return value

    def report(self, metrics: Mapping[str, float]) -> None:
        """Do nothing: nobody watches."""

    def progress(self, photos: int, total: int, words: str) -> None:
        """Do nothing: there is no bar."""

"""A task small enough to run in milliseconds: fit a line, judged by how near its slope is to 3."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.errors import CollapsedError
from training.runs.plan import Budget, Optimisation, Resources, RunPlan
from training.runs.task import Evaluation

BATCH = 8


def inputs_of(number: int) -> Tensor:
    return torch.tensor(np.random.default_rng([1, number]).normal(size=(BATCH, 1)), dtype=torch.float32)


@dataclass
class ToyTask:
    """Counts what is asked of it; `scores`, where given, replaces the true score of each round."""

    spec: "ToySpec"
    network: nn.Module
    score_name: str = "nearness"
    asked: list[int] = field(default_factory=list)
    evaluations: int = 0

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        self.asked.append(number)
        if number == self.spec.dies_at:
            raise KeyboardInterrupt
        first = number * self.spec.joined
        inputs = torch.cat([inputs_of(first + place) for place in range(self.spec.joined)])
        return inputs, 3.0 * inputs

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, wanted = batch
        noise = 0.01 * torch.randn(())  # from torch's generator, which the loop seeds for every step
        return ((network(inputs) - wanted) ** 2).mean() + noise * self.spec.noisy + self.spec.add_to_loss

    def evaluate(self, network: nn.Module, final: bool) -> Evaluation:
        assert not network.training
        self.evaluations += 1
        if self.evaluations == self.spec.collapses_at:
            raise CollapsedError("all the same")
        slope = float(network.weight)
        score = self.spec.scores[self.evaluations - 1] if self.spec.scores and not final else -abs(slope - 3.0)
        return Evaluation(score, {"slope": slope})

    def export(self, network: nn.Module) -> None:
        torch.save(network.state_dict(), self.spec.file)


@dataclass(frozen=True)
class ToySpec:
    file: Path
    dies_at: int = -1
    collapses_at: int = -1
    add_to_loss: float = 0.0
    noisy: bool = False
    scores: tuple[float, ...] = ()
    joined: int = 1
    built: list[ToyTask] = field(default_factory=list)

    def build(self, device: torch.device) -> ToyTask:
        network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(network.weight)
        self.built.append(ToyTask(self, network))
        return self.built[-1]


def toy_plan(folder: Path, photos: int = 320, rounds: int = 4, patience: int = 0, loaders: int = 0) -> RunPlan:
    return RunPlan(
        "toy",
        folder,
        BATCH,
        identity={"data": "toy"},
        optimisation=Optimisation(learning_rate=0.2, weight_decay=0.0),
        budget=Budget(photos=photos, rounds=rounds, patience=patience, checkpoint_every_s=0.0),
        resources=Resources(precision="float32", loaders=loaders),
    )

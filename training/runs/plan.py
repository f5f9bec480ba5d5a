"""How long, how and where a network is trained; the part of a run that does not depend on the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Precision = Literal["auto", "float32", "bfloat16"]
OptimiserName = Literal["adamw", "adam"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How weights are changed.

    Attributes:
        name: "adamw" or "adam".
        learning_rate: at its highest.
        weight_decay: on matrices and kernels only, never on biases and batch norms.
        schedule: "cosine" falls to nothing at the end of the run, "constant" stays.
        warm_up: share of the steps over which the learning rate rises from nothing.
        clip_norm: length to which longer gradients are cut; 0 for none.
    """

    name: OptimiserName = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    schedule: Schedule = "cosine"
    warm_up: float = 0.05
    clip_norm: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a run lasts.

    Attributes:
        photos: seen in all, each counted as often as it is seen; None where `minutes` says it.
        minutes: turned into a number of photos by the speed measured at the start, once: a resumed run keeps it.
        rounds: the run is divided into so many; each ends with an evaluation and a checkpoint.
        patience: rounds without a better score after which the run stops early; 0 never does.
        checkpoint_every_s: time between further checkpoints within a round.
    """

    photos: int | None = None
    minutes: float | None = None
    rounds: int = 20
    patience: int = 6
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run uses.

    Attributes:
        workers: processes of Ray Train, which share each step's photos.
        gpu: whether each worker has a GPU of its own.
        threads: of torch in each worker, on a CPU.
        precision: "auto" times bfloat16 against float32 at the start and takes the faster.
        loaders: threads that prepare batches ahead in each worker.
    """

    workers: int = 1
    gpu: bool = False
    threads: int = 1
    precision: Precision = "auto"
    loaders: int = 1


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run of training.

    Attributes:
        name: stem of the files that belong to the run, such as "pm_fluke".
        folder: the models folder; the run keeps its checkpoint in `runs/<name>` in it.
        batch_photos: photos in one batch of one worker.
        seed: of the order of batches and everything random.
        identity: what makes this run this run, as plain JSON values: data digest, recipe, initial weights. A
            checkpoint is only resumed by a run of the same identity.
    """

    name: str
    folder: Path
    batch_photos: int
    seed: int = 1
    identity: Mapping[str, Any] = field(default_factory=dict)
    optimisation: Optimisation = Optimisation()
    budget: Budget = Budget(minutes=10.0)
    resources: Resources = Resources()

    @property
    def run_folder(self) -> Path:
        """Where checkpoint and caches are; may be deleted when the run has ended."""
        return self.folder / "runs" / self.name

    @property
    def checkpoint_file(self) -> Path:
        """The latest checkpoint."""
        return self.run_folder / "checkpoint.pt"

    @property
    def progress_file(self) -> Path:
        """How far the run is, for the progress bar."""
        return self.run_folder / "progress.json"

    @property
    def history_file(self) -> Path:
        """JSON lines: loss and learning rate within rounds, scores at their ends."""
        return self.folder / f"{self.name}_history.jsonl"

    def full_identity(self) -> dict[str, Any]:
        """Return everything that a resumed run must share with its checkpoint, as plain JSON values."""
        optimisation, budget = self.optimisation, self.budget
        return {
            **self.identity,
            "seed": self.seed,
            "batch photos": self.batch_photos,
            "workers": self.resources.workers,
            "photos": budget.photos,
            "minutes": budget.minutes,
            "rounds": budget.rounds,
            "patience": budget.patience,
            "optimiser": optimisation.name,
            "learning rate": optimisation.learning_rate,
            "weight decay": optimisation.weight_decay,
            "schedule": optimisation.schedule,
            "warm-up": optimisation.warm_up,
            "clip norm": optimisation.clip_norm,
            "precision asked for": self.resources.precision,
        }

"""What a run remembers: written atomically, so that a kill at any moment leaves a checkpoint that can be resumed.

Ray Train's own record of checkpoints is rewritten in place, so a kill can leave half of it; the run's state is
therefore one file of its own, replaced as a whole.
"""

import fcntl
import os
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from training.errors import BusyRunError, ChangedRunError, TrainingError
from training.runs.plan import RunPlan

Weights = dict[str, Tensor]

_LOCK_PATIENCE_S = 60.0
"""A killed run's worker may outlive its command for some seconds."""


# What torch.load raises on half a file: its unpickler lets through whatever it stumbles over.
_DAMAGE = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError)


@dataclass(slots=True)
class RunState:
    """Where a run is; with the network's weights and the optimiser's state, everything that resuming needs.

    Batches and torch's random numbers are functions of the step, so no generator's state is kept.

    Attributes:
        identity: of the run, see `RunPlan`.
        steps: of the whole run.
        bfloat16: whether it computes in bfloat16; chosen once.
        photos_per_s: measured while choosing, of one worker.
        step: steps done.
        network: weights now.
        optimiser: its state now.
        history: one plain record a round and in between, see `training.runs.history`.
        best_score: of the best round so far.
        best_round: its number, from 1; 0 before the first.
        best: its weights.
        seconds: spent so far, all attempts together.
        ended: why the run is over ("finished", "stopped early"); empty while it is not.
    """

    identity: dict[str, Any]
    steps: int
    bfloat16: bool
    photos_per_s: float
    step: int = 0
    network: Weights = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best_score: float = float("-inf")
    best_round: int = 0
    best: Weights = field(default_factory=dict)
    seconds: float = 0.0
    ended: str = ""

    def write(self, file: Path) -> None:
        """Replace the checkpoint; it is on the disk before the old one goes."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with partial.open("wb") as stream:
            torch.save({name: getattr(self, name) for name in self.__slots__}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a checkpoint.

        Raises:
            TrainingError: it is damaged or of another release.
        """
        try:
            return cls(**torch.load(file, map_location="cpu", weights_only=True))
        except (OSError, *_DAMAGE) as error:
            raise TrainingError(
                f"{file}: cannot be resumed ({type(error).__name__}); train anew with --restart"
            ) from error


def copied(weights: Mapping[str, Tensor]) -> Weights:
    """Return weights as they are now, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def write_weights(file: Path, network: nn.Module) -> None:
    """Write a network's weights as the service loads them, whole or not at all.

    Args:
        file: to write or replace; its folder is made.
        network: with the weights to ship.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    partial = file.with_suffix(".partial")  # not a buffer: the archive is named after its file, and so hashes alike
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, partial)
    partial.replace(file)


def require_same_run(file: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to resume another run's checkpoint.

    Raises:
        ChangedRunError: names every difference.
    """
    keys = sorted(found.keys() | wanted.keys())
    changed = [
        f"{key}: {found.get(key)} then, {wanted.get(key)} now" for key in keys if found.get(key) != wanted.get(key)
    ]
    if changed:
        raise ChangedRunError(
            f"{file.parent} holds another run ({'; '.join(changed)}); repeat its command to resume it, give --restart "
            "to throw it away, or another --out folder"
        )


def check_resumable(plan: RunPlan) -> bool:
    """Return whether there is a checkpoint to resume; called before anything costs time.

    Raises:
        ChangedRunError: it is another run's.
        TrainingError: it is damaged.
    """
    if not plan.checkpoint_file.exists():
        return False
    require_same_run(plan.checkpoint_file, RunState.read(plan.checkpoint_file).identity, plan.full_identity())
    return True


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the same run folder.

    Raises:
        BusyRunError: another one does, and did not end within a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        _wait_for(lock.fileno(), folder)
        yield


def _wait_for(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BusyRunError(
                    f"{folder}: another process trains here; wait for it or choose another --out"
                ) from None
            time.sleep(0.2)
        else:
            return

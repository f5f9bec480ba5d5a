"""Which number format a run computes in: timed on its own batches, since networks and machines differ."""

import logging
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from training.runs.plan import Precision
from training.runs.state import copied
from training.runs.task import Task

logger = logging.getLogger(__name__)

_WARM_UP_STEPS = 2
_TIMED_STEPS = 5
_CLEARLY_FASTER = 0.95
"""bfloat16 rounds: it must save 5 % at least."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was chosen, and how fast it is.

    Attributes:
        bfloat16: compute in bfloat16 (autocast, channels-last) rather than float32.
        step_s: estimated seconds of one step of the run.
    """

    bfloat16: bool
    step_s: float


def choose_precision(task: Task, wanted: Precision, device: torch.device) -> Speed:
    """Time a training step and choose; the network's weights and statistics are left as they were.

    Args:
        task: whose network and first batches are timed.
        wanted: "auto" times both formats, others only that one.
        device: of the network.
    """
    weights = copied(task.network.state_dict())
    choices = {"auto": (False, True), "float32": (False,), "bfloat16": (True,)}[wanted]
    seconds = {bfloat16: _time_step(task, bfloat16, device) for bfloat16 in choices}
    batch_s = _time_batch(task)
    task.network.load_state_dict(weights)
    bfloat16 = True in seconds and seconds[True] < _CLEARLY_FASTER * seconds.get(False, float("inf"))
    logger.info("seconds a step: %s", {("bfloat16" if key else "float32"): value for key, value in seconds.items()})
    # loaders share the CPU with a network that is on the CPU, too, and work beside one that is not
    step_s = seconds[bfloat16] + batch_s if device.type == "cpu" else max(seconds[bfloat16], batch_s)
    return Speed(bfloat16, step_s)


def prepare(task: Task, bfloat16: bool) -> None:
    """Put the network into the memory order that the format is faster in."""
    order = torch.channels_last if bfloat16 else torch.contiguous_format
    task.network.to(memory_format=order)


def computing(bfloat16: bool, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Return what a forward pass runs under."""
    if not bfloat16:
        return nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16)


def _time_batch(task: Task) -> float:
    """Return the median seconds of making a batch."""
    seconds = []
    for number in range(_TIMED_STEPS):
        started = time.perf_counter()
        task.batch(number)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _time_step(task: Task, bfloat16: bool, device: torch.device) -> float:
    """Return the median seconds of a forward and backward pass."""
    prepare(task, bfloat16)
    task.network.train()
    context, seconds = computing(bfloat16, device), []
    for number in range(_WARM_UP_STEPS + _TIMED_STEPS):
        batch = task.batch(number)
        started = time.perf_counter()
        torch.manual_seed(number)
        with context():
            loss = task.loss(task.network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        task.network.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[_WARM_UP_STEPS:])

"""The loop of training: steps, rounds, checkpoints, the end. Knows nothing of Ray and of what the network does."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.errors import DivergedError, TrainingError
from training.runs.history import LossMean, rounds, write_history
from training.runs.optimisation import build_optimiser, learning_rate, set_learning_rate
from training.runs.plan import RunPlan
from training.runs.precision import choose_precision, computing, prepare
from training.runs.prefetch import prefetched
from training.runs.state import RunState, copied
from training.runs.task import Evaluation, Task, TaskSpec
from training.runs.worker import Worker

logger = logging.getLogger(__name__)

_RECORDS_A_ROUND = 5
_SHOW_EVERY_S = 2.0
_SEED_STRIDE = 1_000_003
"""Prime, so that the seeds of runs with neighbouring seeds do not meet within any run."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        final: the last evaluation, of the best weights.
        score_name: what `final.score` is, in words.
        history: see `training.runs.history`.
        ended: "finished" or "stopped early".
        photos: seen.
        seconds: of all attempts together.
        bfloat16: whether it computed in bfloat16.
        best_round: whose weights were exported, from 1.
        parameters: of the network.
    """

    final: Evaluation
    score_name: str
    history: list[dict[str, Any]]
    ended: str
    photos: int
    seconds: float
    bfloat16: bool
    best_round: int
    parameters: int


def run(plan: RunPlan, spec: TaskSpec, worker: Worker) -> RunResult | None:
    """Train from the start or from the checkpoint to the end, and export the best weights.

    Args:
        plan: for how long and how.
        spec: what.
        worker: this worker's place.

    Returns:
        What came of it, on rank 0; None on other workers.

    Raises:
        TrainingError: the run cannot go on.
    """
    task = spec.build(worker.device)
    task.network.to(worker.device)
    state = _begin(plan, task, worker)
    _Training(plan, task, worker, state).go()
    return _finish(plan, task, state, worker) if worker.rank == 0 else None


def _begin(plan: RunPlan, task: Task, worker: Worker) -> RunState:
    """Return the checkpoint's state, or that of a new run."""
    if plan.checkpoint_file.exists():
        state = RunState.read(plan.checkpoint_file)
        task.network.load_state_dict(state.network)
        logger.info("resuming %s at step %d of %d", plan.name, state.step, state.steps)
        return state
    speed = choose_precision(task, plan.resources.precision, worker.device)
    bfloat16, step_s = worker.share((speed.bfloat16, speed.step_s))
    photos_per_s = plan.batch_photos / step_s
    return RunState(plan.full_identity(), _steps(plan, step_s), bfloat16, photos_per_s)


def _steps(plan: RunPlan, step_s: float) -> int:
    photos, minutes = plan.budget.photos, plan.budget.minutes
    if photos is not None:
        return max(1, math.ceil(photos / (plan.batch_photos * plan.resources.workers)))
    assert minutes is not None, "a budget has photos or minutes"
    return max(1, int(minutes * 60.0 / step_s))


class _Training:
    """The steps of one worker."""

    def __init__(self, plan: RunPlan, task: Task, worker: Worker, state: RunState) -> None:
        self._plan, self._task, self._worker, self._state = plan, task, worker, state
        prepare(task, state.bfloat16)
        self._wrapped = worker.wrap(task.network)
        self._optimiser = build_optimiser(task.network, plan.optimisation)
        if state.optimiser:
            self._optimiser.load_state_dict(state.optimiser)
        self._computing = computing(state.bfloat16, worker.device)
        self._round_steps = max(1, math.ceil(state.steps / plan.budget.rounds))
        self._record_steps = max(1, self._round_steps // _RECORDS_A_ROUND)
        self._losses = LossMean()
        self._clock = self._saved = self._shown = time.monotonic()

    def go(self) -> None:
        """Train to the end."""
        state = self._state
        self._wrapped.train()
        for batch in self._batches() if not state.ended else ():
            self._losses.add(self._take_step(batch))
            state.step += 1
            last = state.step == state.steps
            if state.step % self._record_steps == 0 or last:
                self._record()
            elif time.monotonic() - self._shown > _SHOW_EVERY_S:
                self._show(self._losses.mean())
            if state.step % self._round_steps == 0 or last:
                self._end_round(last)
            elif time.monotonic() - self._saved > self._plan.budget.checkpoint_every_s and self._losses.is_finite():
                self._save()
            if state.ended:
                break

    def _batches(self) -> Iterator[Any]:
        numbers = (step * self._worker.size + self._worker.rank for step in range(self._state.step, self._state.steps))
        return prefetched(self._task.batch, numbers, self._plan.resources.loaders)

    def _take_step(self, batch: Any) -> float:
        step, plan = self._state.step, self._plan
        set_learning_rate(self._optimiser, learning_rate(plan.optimisation, step, self._state.steps))
        torch.manual_seed((plan.seed * _SEED_STRIDE + step) * self._worker.size + self._worker.rank)
        with self._computing():
            loss = self._task.loss(self._wrapped, batch)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if plan.optimisation.clip_norm > 0.0:
            nn.utils.clip_grad_norm_(self._task.network.parameters(), plan.optimisation.clip_norm)
        self._optimiser.step()
        return float(loss.detach())

    def _record(self) -> None:
        """Write down the mean loss."""
        state = self._state
        loss, rate = self._losses.take(), self._optimiser.param_groups[0]["lr"]
        if not math.isfinite(self._worker.share(loss)):  # one worker's NaN reaches all through the weights
            raise DivergedError(f"{self._plan.name}: the loss is {loss} by step {state.step}; lower --learning-rate")
        state.history.append({"step": state.step, "photos": self._photos(), "loss": loss, "learning_rate": rate})
        self._show(loss)

    def _show(self, loss: float) -> None:
        """Move the progress bar."""
        state = self._state
        score = f", best score {state.best_score:.3f}" if state.best_round else ""
        self._worker.progress(self._photos(), self._photos(state.steps), f"loss {loss:.4f}{score}")
        self._shown = time.monotonic()

    def _end_round(self, last: bool) -> None:
        """Evaluate, keep the best weights, decide whether to go on, save."""
        state = self._state
        verdict = self._worker.share(self._score_round(last) if self._worker.rank == 0 else "")
        if isinstance(verdict, TrainingError):  # on all workers, so that none waits for another
            raise verdict
        state.ended = verdict
        self._wrapped.train()
        self._save()
        loss = next((record["loss"] for record in reversed(state.history) if "loss" in record), math.nan)
        self._worker.report({"photos": self._photos(), "loss": loss, "score": state.best_score})

    def _score_round(self, last: bool) -> str | TrainingError:
        """Evaluate and keep the best weights; returns why the run ends, if it does."""
        state = self._state
        try:
            evaluation = _evaluate(self._task, final=False)
        except TrainingError as error:
            return error
        number = len(rounds(state.history)) + 1
        record = {"step": state.step, "photos": self._photos(), "round": number, "score": evaluation.score}
        state.history.append(record | dict(evaluation.values))
        if evaluation.score > state.best_score:
            state.best_score, state.best_round = evaluation.score, number
            state.best = copied(self._task.network.state_dict())
        return self._ending(number, last)

    def _ending(self, number: int, last: bool) -> str:
        patience = self._plan.budget.patience
        if last:
            return "finished"
        return "stopped early" if patience and number - self._state.best_round >= patience else ""

    def _save(self) -> None:
        """Write checkpoint and history; the bar moves, too."""
        now, state = time.monotonic(), self._state
        state.seconds += now - self._clock
        self._clock = self._saved = now
        if self._worker.rank != 0:
            return
        state.network = copied(self._task.network.state_dict())
        state.optimiser = self._optimiser.state_dict()
        state.write(self._plan.checkpoint_file)
        write_history(self._plan.history_file, state.history)

    def _photos(self, steps: int | None = None) -> int:
        return (self._state.step if steps is None else steps) * self._plan.batch_photos * self._worker.size


def _evaluate(task: Task, final: bool) -> Evaluation:
    task.network.eval()
    with torch.inference_mode():
        return task.evaluate(task.network, final)


def _finish(plan: RunPlan, task: Task, state: RunState, worker: Worker) -> RunResult:
    """Evaluate and export the best weights."""
    task.network.load_state_dict(state.best)
    final = _evaluate(task, final=True)
    task.export(task.network)
    parameters = sum(weight.numel() for weight in task.network.parameters())
    return RunResult(
        final,
        task.score_name,
        state.history,
        state.ended,
        state.step * plan.batch_photos * worker.size,
        state.seconds,
        state.bfloat16,
        state.best_round,
        parameters,
    )

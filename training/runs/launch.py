"""Runs the loop on Ray Train: one worker on a CPU, or several on GPUs."""

import logging
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError, get_context, report
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchTrainer, get_device, prepare_model
from torch import nn

from training.errors import TrainingError
from training.runs.loop import RunResult, run
from training.runs.plan import RunPlan
from training.runs.progress import progress_bar, write_progress
from training.runs.state import only_run
from training.runs.task import TaskSpec

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

_WORKER_RESTARTS = 2
"""A worker that dies is replaced and resumes from the checkpoint."""
_OBJECT_STORE_BYTES = 100 * 2**20
"""Training passes nothing through Ray's object store; its default is a third of the memory."""


def train(plan: RunPlan, spec: TaskSpec) -> RunResult:
    """Train on Ray Train's workers, from the start or from the checkpoint of the same run.

    Ray is started on this machine for the time of the run, unless the environment variable RAY_ADDRESS names a cluster;
    the plan's folder must then be one that all its nodes see.

    Args:
        plan: for how long, how and where.
        spec: what; picklable.

    Raises:
        TrainingError: the run cannot go on; says what to do.
    """
    plan.run_folder.mkdir(parents=True, exist_ok=True)
    started = not ray.is_initialized()
    if started:
        _start_ray(plan)
    try:
        _require_gpus(plan)
        with progress_bar(plan.progress_file, plan.name):
            fitted = _trainer(plan, spec).fit()
    except WorkerGroupError as error:
        reasons = "; ".join(str(failure).strip().splitlines()[-1] for failure in error.worker_failures.values())
        raise TrainingError(
            f"{plan.name}: the workers failed {1 + _WORKER_RESTARTS} times, last with: {reasons}; the command resumes"
            " from the last checkpoint when it is repeated"
        ) from error
    finally:
        if started:
            ray.shutdown()
    result = getattr(fitted, "return_value", None)  # Ray annotates the Result of its former version
    if isinstance(result, TrainingError):
        raise result
    assert isinstance(result, RunResult)
    return result


def _start_ray(plan: RunPlan) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing about anybody's whales is reported
    address = os.environ.get("RAY_ADDRESS")
    if address is not None:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        return
    resources = plan.resources
    ray.init(
        address="local",
        num_cpus=resources.workers * resources.threads,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,  # Ray Train repeats itself; errors arrive as exceptions
        logging_level=logging.ERROR,
    )


def _require_gpus(plan: RunPlan) -> None:
    """Refuse what Ray Train would wait for without end."""
    have, resources = int(ray.cluster_resources().get("GPU", 0)), plan.resources
    if resources.gpu and have < resources.workers and os.environ.get("RAY_ADDRESS") is None:
        raise TrainingError(
            f"--gpu with --workers {resources.workers} needs {resources.workers} GPUs; there are {have} on this machine"
        )


def _trainer(plan: RunPlan, spec: TaskSpec) -> TorchTrainer:
    resources = plan.resources
    per_worker = {"CPU": float(resources.threads)} | ({"GPU": 1.0} if resources.gpu else {})
    return TorchTrainer(
        _work,  # type: ignore[arg-type]  # Ray takes what it returns, its annotation says None
        train_loop_config={"plan": plan, "spec": spec},
        scaling_config=ScalingConfig(
            num_workers=resources.workers, use_gpu=resources.gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(plan.run_folder.resolve()),
            failure_config=FailureConfig(max_failures=_WORKER_RESTARTS),
        ),
    )


def _work(config: dict[str, Any]) -> RunResult | TrainingError | None:
    """Train in one worker; what a repetition would not cure is returned, so that Ray Train does not repeat it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    plan: RunPlan = config["plan"]
    if not plan.resources.gpu:
        torch.set_num_threads(plan.resources.threads)
    worker = _RayWorker(plan)
    try:
        if worker.rank != 0:
            return run(plan, config["spec"], worker)
        with only_run(plan.run_folder):
            return run(plan, config["spec"], worker)
    except TrainingError as error:
        return error


class _RayWorker:
    """One of Ray Train's workers."""

    def __init__(self, plan: RunPlan) -> None:
        context = get_context()
        self.rank: int = context.get_world_rank()
        self.size: int = context.get_world_size()
        self.device: torch.device = get_device()
        self._progress_file = plan.progress_file

    def wrap(self, network: nn.Module) -> nn.Module:
        """Average gradients over the workers, if there are several."""
        wrapped: nn.Module = prepare_model(network, move_to_device=False)
        return wrapped

    def share(self, value: Value) -> Value:
        """Return rank 0's value."""
        shared: Value = broadcast_from_rank_zero(value)
        return shared

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report to Ray Train."""
        report(dict(metrics))

    def progress(self, photos: int, total: int, words: str) -> None:
        """Move the bar that the command draws."""
        if self.rank == 0:
            write_progress(self._progress_file, photos, total, words)

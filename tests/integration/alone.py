"""A training run in the test's own process, computed as in a worker of Ray Train."""

import torch

from training.runs.loop import RunResult, run
from training.runs.plan import RunPlan
from training.runs.task import TaskSpec
from training.runs.worker import SingleWorker


def run_alone(plan: RunPlan, spec: TaskSpec) -> RunResult | None:
    """Train with the plan's number of threads: another number adds numbers in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.resources.threads)
    try:
        return run(plan, spec, SingleWorker())
    finally:
        torch.set_num_threads(threads)

"""Runs a network's batches on a thread of their own, so that the replica's event loop stays free for health checks."""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

from deployments.metrics import StageMetric
from pipeline.settings import Batching

Item = TypeVar("Item")
Result = TypeVar("Result")

BACKGROUND_NICENESS = 19
"""Niceness of the replicas that compute: on a busy machine the proxy, the ingress and the matcher go first, so that
identify never waits behind extracts."""


class ModelWorker(Generic[Item, Result]):
    """One thread that runs one network."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]], metric: StageMetric) -> None:
        """Start the thread.

        Args:
            run: the network's batch call; a result or a failure for each item.
            metric: told the seconds of each batch.
        """
        self._run = run
        self._metric = metric
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def batch(self, items: Sequence[Item]) -> list[Result]:
        """Run one batch, in the order of the calls."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, list(items))

    async def one(self, item: Item) -> Result:
        """Run one item by itself."""
        (result,) = await self.batch((item,))
        return result

    def through(self, batched_method: Any, batching: Batching, device: str) -> Callable[[Item], Awaitable[Result]]:
        """Return what answers one item: Serve's batching, or, where a batch holds but one, the thread itself.

        Args:
            batched_method: decorated with `serve.batch` (its type does not show the setters); calls `batch`.
            batching: bounds of a batch.
            device: "cpu" or "cuda:0".
        """
        size = batching.batch_size(device)
        if size == 1:
            return self.one
        batched_method.set_max_batch_size(size)
        batched_method.set_batch_wait_timeout_s(batching.wait_s)
        answer: Callable[[Item], Awaitable[Result]] = batched_method
        return answer

    def _timed(self, items: Sequence[Item]) -> list[Result]:
        start = time.perf_counter()
        results = list(self._run(items))
        self._metric.observe(time.perf_counter() - start)
        return results


def settle_memory() -> None:
    """Take what start-up left behind out of later garbage collections.

    Each full collection over torch's and SQLAlchemy's objects would hold the process for a tenth of a second.
    """
    gc.collect()
    gc.freeze()


def yield_to_interactive_work() -> None:
    """Lower this process's priority below the ingress's and the matcher's.

    Where the system knows it (Linux) as an idle task, which also gives way at once: before one that is merely nice
    whoever wakes up waits for the rest of its time slice, at each of the six steps of an identify.
    """
    os.nice(BACKGROUND_NICENESS)
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

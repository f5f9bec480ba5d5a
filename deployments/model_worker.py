"""Runs a network's batches on a thread of their own, so that the replica's event loop stays free for health checks."""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from deployments.meters import StageMeter
from pipeline.settings import Batching

Item = TypeVar("Item")
Result = TypeVar("Result")

BACKGROUND_NICENESS = 10
"""Niceness of the replicas that compute: on a busy machine the ingress and the matcher go first, so that identify never
waits behind extracts."""


class ModelWorker(Generic[Item, Result]):
    """One thread that runs one network."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]], meter: StageMeter) -> None:
        """Start the thread.

        Args:
            run: the network's batch call; a result or a failure for each item.
            meter: told the seconds of each batch.
        """
        self._run = run
        self._meter = meter
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def batch(self, items: Sequence[Item]) -> list[Result]:
        """Run one batch, in the order of the calls."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, list(items))

    def _timed(self, items: Sequence[Item]) -> list[Result]:
        start = time.perf_counter()
        results = list(self._run(items))
        self._meter.observe(time.perf_counter() - start)
        return results


def settle_memory() -> None:
    """Take what start-up left behind out of later garbage collections.

    Each full collection over torch's and SQLAlchemy's objects would hold the process for a tenth of a second.
    """
    gc.collect()
    gc.freeze()


def yield_to_interactive_work() -> None:
    """Lower this process's priority below the ingress's and the matcher's."""
    os.nice(BACKGROUND_NICENESS)


def size_batches(batched_method: Any, batching: Batching, device: str) -> None:
    """Set the bounds of a method decorated with `serve.batch` (its type does not show the setters)."""
    batched_method.set_max_batch_size(batching.batch_size(device))
    batched_method.set_batch_wait_timeout_s(batching.wait_s)

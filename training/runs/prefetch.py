"""Batches made ahead in threads, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")

_AHEAD = 2
"""Batches waiting for each loader thread."""


def prefetched(make: Callable[[int], Batch], numbers: Iterable[int], loaders: int) -> Iterator[Batch]:
    """Make batches ahead of their use.

    Args:
        make: a pure function of the number, safe in threads.
        numbers: which batches, in order.
        loaders: threads; 0 makes each batch when it is asked for.
    """
    if loaders == 0:
        yield from map(make, numbers)
        return
    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(loaders, thread_name_prefix="loader")
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > _AHEAD * loaders:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

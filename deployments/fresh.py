"""Looks at what changes, shared by all who ask at once: each gets a look that began after it asked."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")


class FreshLooks(Generic[T]):
    """One look at a time at each thing; who comes while one is under way shares the next.

    So a thing that is slow to look at takes one thread, however many wait, and each waits for two looks at most.

    Args:
        threads: where looks are taken; they may block.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}

    async def look(self, thing: Hashable, look: Callable[[], T]) -> T:
        """Return what a look saw that began after this call; who goes does not end it for the others.

        Args:
            thing: what is looked at.
            look: blocks; the same for all who look at the thing.
        """
        waiting = self._next.get(thing)
        if waiting is None:
            waiting = self._next[thing] = asyncio.create_task(self._after(self._under_way.get(thing), thing, look))
        return await asyncio.shield(waiting)

    async def _after(self, before: "asyncio.Task[T] | None", thing: Hashable, look: Callable[[], T]) -> T:
        if before is not None:
            await asyncio.wait([before])
        task = self._under_way[thing] = self._next.pop(thing)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, look)
        finally:
            if self._under_way.get(thing) is task:
                del self._under_way[thing]

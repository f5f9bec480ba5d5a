"""Looks that are shared: by those who asked before they began."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.fresh import FreshLooks

PATIENCE_S = 10.0


class Thing:
    """Is looked at slowly: a look says how it was when the look began, and ends when it is let."""

    def __init__(self) -> None:
        self.state, self.looks = 0, 0
        self.began, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def look(self) -> int:
        self.looks += 1
        seen = self.state
        self.began.release()
        assert self.let.acquire(timeout=PATIENCE_S)
        return seen

    async def is_looked_at(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=PATIENCE_S)


@pytest.fixture
def looks() -> Iterator[FreshLooks[int]]:
    with ThreadPoolExecutor(4) as threads:
        yield FreshLooks(threads)


async def test_who_asks_gets_what_was_there_when_it_asked_or_later(looks: FreshLooks[int]) -> None:
    thing = Thing()
    first = asyncio.create_task(looks.look("a", thing.look))
    await thing.is_looked_at()
    thing.state = 1
    later = [asyncio.create_task(looks.look("a", thing.look)) for _ in range(20)]
    await asyncio.sleep(0)
    thing.let.release(2)
    assert await first == 0
    assert await asyncio.gather(*later) == [1] * 20
    assert thing.looks == 2


async def test_each_thing_is_looked_at_by_itself(looks: FreshLooks[int]) -> None:
    slow, quick = Thing(), Thing()
    quick.let.release()
    held = asyncio.create_task(looks.look("slow", slow.look))
    await slow.is_looked_at()
    async with asyncio.timeout(PATIENCE_S):
        assert await looks.look("quick", quick.look) == 0
    assert not held.done()
    slow.let.release()
    assert await held == 0


async def test_one_who_goes_does_not_end_the_look_of_the_others(looks: FreshLooks[int]) -> None:
    thing = Thing()
    goes, stays = (asyncio.create_task(looks.look("a", thing.look)) for _ in range(2))
    await thing.is_looked_at()
    goes.cancel()
    with pytest.raises(asyncio.CancelledError):
        await goes
    thing.let.release()
    assert await stays == 0
    assert thing.looks == 1


async def test_a_look_that_fails_is_no_reason_for_the_next_to_fail(looks: FreshLooks[int]) -> None:
    def fail() -> int:
        raise OSError("away")

    thing = Thing()
    thing.let.release()
    with pytest.raises(OSError, match="away"):
        await looks.look("a", fail)
    assert await looks.look("a", thing.look) == 0

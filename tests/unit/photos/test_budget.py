"""Photos share memory in the order they came, and everything that was taken comes back."""

import asyncio

import pytest

from pipeline.photos.budget import MemoryBudget, Share


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_first_is_served_first_so_that_a_large_photo_never_starves() -> None:
    budget = MemoryBudget(100)
    await budget.take(60)
    order: list[str] = []

    async def photo(name: str, size_bytes: int) -> None:
        await budget.take(size_bytes)
        order.append(name)

    tasks = [asyncio.create_task(photo("large", 90)), asyncio.create_task(photo("small", 10))]
    await settle()
    assert order == []
    budget.give_back(60)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert budget.free_bytes == 0


@pytest.mark.parametrize("served_meanwhile", [False, True])
async def test_who_stops_waiting_takes_nothing(served_meanwhile: bool) -> None:
    budget = MemoryBudget(100)
    await budget.take(100)
    leaving, staying = asyncio.create_task(budget.take(90)), asyncio.create_task(budget.take(10))
    await settle()
    if served_meanwhile:
        budget.give_back(100)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    if not served_meanwhile:
        budget.give_back(100)
    assert await staying == 10
    assert budget.free_bytes == 90


async def test_who_stops_waiting_lets_the_next_one_through() -> None:
    budget = MemoryBudget(100)
    await budget.take(50)
    leaving, staying = asyncio.create_task(budget.take(90)), asyncio.create_task(budget.take(10))
    await settle()
    leaving.cancel()
    assert await staying == 10


async def test_more_than_all_there_is_counts_as_all() -> None:
    budget = MemoryBudget(100)
    assert await budget.take(1000) == 100


async def test_a_share_is_given_back_once() -> None:
    budget, share = MemoryBudget(100), Share()
    share.shrink(0)
    await share.take(budget, 80)
    share.shrink(20)
    assert budget.free_bytes == 80
    share.shrink(50)
    assert budget.free_bytes == 80
    share.shrink(0)
    share.shrink(0)
    assert budget.free_bytes == 100

"""Uploads share memory: nobody waits for a half photo, small ones go first, and everything taken comes back."""

import asyncio

import pytest

from deployments.upload_budget import UploadBudget, UploadShare


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def share_of(budget: UploadBudget, held_bytes: int = 0) -> UploadShare:
    share = UploadShare(budget)
    if held_bytes:
        assert share.take_now(held_bytes)
        share.settle(held_bytes, 0)
    return share


async def test_what_fits_is_taken_at_once_and_the_rest_waits() -> None:
    budget = UploadBudget(100, patience_s=30)
    first = share_of(budget, 60)
    late = asyncio.create_task(share_of(budget).take(50))
    await settle()
    assert not late.done()
    first.settle(50, 0)
    await late
    assert budget.taken_bytes == 100


async def test_a_small_photo_goes_before_a_large_one_that_came_earlier() -> None:
    budget = UploadBudget(100, patience_s=30)
    first = share_of(budget, 90)
    large, small = asyncio.create_task(share_of(budget).take(80)), asyncio.create_task(share_of(budget).take(20))
    await settle()
    first.settle(70, 0)
    await small
    assert not large.done()
    first.settle(0, 0)
    await large


async def test_who_holds_much_waits_for_who_holds_little() -> None:
    budget = UploadBudget(100, patience_s=30)
    bulk, other = share_of(budget, 60), share_of(budget, 40)
    more, newcomer = asyncio.create_task(bulk.take(10)), asyncio.create_task(share_of(budget).take(30))
    await settle()
    other.settle(10, 0)
    await newcomer
    assert not more.done()
    more.cancel()


async def test_a_large_photo_that_has_waited_long_is_not_passed_any_more() -> None:
    budget = UploadBudget(100, patience_s=0.001)
    first = share_of(budget, 90)
    large = asyncio.create_task(share_of(budget).take(80))
    await asyncio.sleep(0.05)
    small = asyncio.create_task(share_of(budget).take(20))
    await settle()
    first.settle(70, 0)
    await settle()
    assert not small.done()
    first.settle(0, 0)
    await asyncio.gather(large, small)


async def test_what_is_larger_than_everything_comes_alone() -> None:
    budget = UploadBudget(100, patience_s=30)
    assert share_of(budget).take_now(101)
    assert not share_of(budget).take_now(1)


@pytest.mark.parametrize("granted_meanwhile", [False, True])
async def test_a_connection_that_ends_while_it_waits_holds_nothing(granted_meanwhile: bool) -> None:
    budget = UploadBudget(100, patience_s=30)
    first, leaving = share_of(budget, 100), share_of(budget)
    gone, staying = asyncio.create_task(leaving.take(90)), asyncio.create_task(share_of(budget).take(95))
    await settle()
    if granted_meanwhile:
        first.settle(0, 0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    leaving.settle(0, 0)
    first.settle(0, 0)
    await staying
    assert budget.taken_bytes == 95


async def test_a_report_of_another_photo_takes_nothing_from_what_was_just_granted() -> None:
    budget = UploadBudget(100, patience_s=30)
    first, share = share_of(budget, 60), share_of(budget, 40)
    waiting = asyncio.create_task(share.take(30))
    await settle()
    first.settle(0, 0)
    share.settle(10, 0)
    assert budget.taken_bytes == 40
    await waiting
    share.settle(40, 0)
    assert budget.taken_bytes == 40


async def test_others_wait_for_unfinished_photos_only_where_these_hold_most_of_it() -> None:
    budget = UploadBudget(100, patience_s=30)
    slow = share_of(budget, 60)
    slow.settle(60, 60)
    assert not budget.others_wait
    waiting = asyncio.create_task(share_of(budget).take(60))
    await settle()
    assert budget.others_wait
    slow.settle(60, 40)
    assert not budget.others_wait
    waiting.cancel()

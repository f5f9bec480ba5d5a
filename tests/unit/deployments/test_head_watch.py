"""Where subscriptions wait: one look at a time for all of them, none while nobody waits."""

import asyncio
from collections.abc import Mapping

from deployments.head_watch import HeadWatch
from pipeline.errors import CatalogueUnavailableError
from pipeline.protocol.catalogue_replies import Head

PERIOD_S = 0.02
PATIENCE_S = 5.0


def head(version: int) -> Head:
    return {"version": version, "nonce": f"n{version}"}


class Heads:
    """The catalogues' heads, which a test sets; `broken` makes looks fail."""

    def __init__(self) -> None:
        self.by_name = {"default": head(1)}
        self.broken = False
        self.looks = 0
        self.looked_thrice = asyncio.Event()

    async def __call__(self) -> Mapping[str, Head]:
        self.looks += 1
        if self.looks == 3:
            self.looked_thrice.set()
        if self.broken:
            raise CatalogueUnavailableError("locked")
        return dict(self.by_name)


async def test_all_who_wait_share_each_look_and_hear_of_the_change() -> None:
    heads = Heads()
    watch = HeadWatch(heads, PERIOD_S)
    waiting = [asyncio.create_task(watch.changed("default", head(1))) for _ in range(50)]
    async with asyncio.timeout(PATIENCE_S):
        await heads.looked_thrice.wait()
    assert not any(task.done() for task in waiting)
    before = heads.looks
    heads.by_name["default"] = head(2)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*waiting)
    assert heads.looks <= before + 2, "fifty viewers cost what one does"


async def test_another_nonce_is_a_change_and_so_is_a_catalogue_that_is_gone() -> None:
    heads = Heads()
    watch = HeadWatch(heads, PERIOD_S)
    async with asyncio.timeout(PATIENCE_S):
        await watch.changed("default", {"version": 1, "nonce": "another"})
        await watch.changed("gone", head(1))


async def test_nobody_looks_while_nobody_waits() -> None:
    heads = Heads()
    watch = HeadWatch(heads, PERIOD_S)
    one = asyncio.create_task(watch.changed("default", head(1)))
    await asyncio.sleep(3 * PERIOD_S)
    one.cancel()
    await asyncio.sleep(2 * PERIOD_S)  # the look that was under way
    before = heads.looks
    assert before
    await asyncio.sleep(5 * PERIOD_S)
    assert heads.looks == before


async def test_one_who_goes_leaves_the_look_to_the_others() -> None:
    heads = Heads()
    watch = HeadWatch(heads, PERIOD_S)
    goes, stays = (asyncio.create_task(watch.changed("default", head(1))) for _ in range(2))
    await asyncio.sleep(0)
    goes.cancel()
    heads.by_name["default"] = head(2)
    async with asyncio.timeout(PATIENCE_S):
        await stays
    assert goes.cancelled()


async def test_a_look_that_fails_is_followed_by_another() -> None:
    heads = Heads()
    heads.broken = True
    watch = HeadWatch(heads, PERIOD_S)
    waiting = asyncio.create_task(watch.changed("default", head(1)))
    await asyncio.sleep(4 * PERIOD_S)
    assert not waiting.done()
    heads.broken, heads.by_name["default"] = False, head(2)
    async with asyncio.timeout(PATIENCE_S):
        await waiting

"""What of a ranking goes to whom."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.services import Client, Services
from pipeline.access import Peer
from pipeline.errors import NoSuchCatalogueError
from pipeline.records import LOCAL_USER, Candidate, Ranking, Reference
from pipeline.rights import Held, Right, Standing
from pipeline.session.actions import RankInSeveral, RankQueries

WHOLE = Ranking((Candidate("DANTE", 0.1234567, 4, (Reference(7, 0.7654321, None),)), Candidate("Unknown", 1.0)))


class Rights:
    def __init__(self, right: Right) -> None:
        self._right = right

    async def standing(self, peer: Peer) -> Standing:
        return Standing(peer.actor, {"azores": Held(self._right, "WDC")}, "azores")


class Catalogue:
    async def rank(self, *_: Any) -> list[Ranking]:
        return [WHOLE]

    async def rank_in_several(self, catalogues: dict[str, bool], *_: Any) -> list[Ranking]:
        return [Ranking((Candidate(f"{catalogues}", 0.5),))]

    async def heads(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("right", Right)
def test_who_may_rank_only_gets_no_exact_distance_at_all(right: Right) -> None:
    nothing: Any = SimpleNamespace()
    catalogue: Any = Catalogue()
    rights: Any = Rights(right)
    services = Services(nothing, catalogue, nothing, rights, nothing)

    async def rank() -> Ranking:
        client = Client(Peer(LOCAL_USER, None, True, False))
        async for (ranking,) in services.carry_out(RankQueries((), None), client):
            return ranking
        raise AssertionError

    rounded = Ranking((Candidate("DANTE", 0.12), Candidate("Unknown", 1.0)))
    assert asyncio.run(rank()) == (rounded if right is Right.MATCH else WHOLE)


@pytest.mark.parametrize("right", Right)
def test_of_several_catalogues_the_matcher_is_told_which_may_be_seen(right: Right) -> None:
    nothing: Any = SimpleNamespace()
    catalogue: Any = Catalogue()
    rights: Any = Rights(right)
    services = Services(nothing, catalogue, nothing, rights, nothing)

    async def rank(*names: str) -> str:
        client = Client(Peer(LOCAL_USER, None, True, False))
        async for (ranking,) in services.carry_out(RankInSeveral((), None, names), client):
            return ranking.candidates[0].individual
        raise AssertionError

    assert asyncio.run(rank("azores")) == str({"azores": right is not Right.MATCH})
    with pytest.raises(NoSuchCatalogueError):
        asyncio.run(rank("azores", "madeira"))

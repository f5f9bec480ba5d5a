"""Rights as an ingress replica looks them up: seldom, together, and no longer than they hold."""

import asyncio
import threading
from typing import Any

import pytest

from deployments import rights
from deployments.rights import HOLD_S, LocalRights, StoredRights, rights_of
from pipeline.access import Peer
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError, ForbiddenError
from pipeline.records import LOCAL_USER, Actor
from pipeline.rights import LOCAL_STANDING, Held, Right, Standing
from pipeline.settings import Settings

MAYA, LENA = Actor("WDC", "Maya"), Actor("WDC", "Lena")
PEER = Peer(MAYA, "a" * 64, False, False)
OF_SETTINGS = Peer(LENA, "b" * 64, False, False)


class FakePeople:
    """The database of the rights; `broken` makes look-ups fail, `slow` makes them wait."""

    def __init__(self) -> None:
        self.tokens = {"a" * 64: MAYA}
        self.held = {"azores": Held(Right.VIEW, "WDC")}
        self.looked_up = 0
        self.broken: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def owner(self, sha256: str) -> Actor | None:
        return self._found(self.tokens.get(sha256))

    def valid(self, sha256s: Any) -> set[str]:
        return set(sha256s) & self.tokens.keys()

    def standing(self, actor: Actor) -> Standing:
        return self._found(Standing(actor, dict(self.held), "azores"))

    def _found(self, answer: Any) -> Any:
        self.looked_up += 1
        self.go_on.wait(10)
        if self.broken:
            raise self.broken
        return answer


class Lookup:
    """Stored rights with a clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.people = FakePeople()
        self.opened = 0
        self.rights = StoredRights({"b" * 64: LENA}, self._open, lambda: self.now_s)

    def _open(self) -> Any:
        self.opened += 1
        return self.people


@pytest.fixture
def lookup() -> Lookup:
    return Lookup()


async def test_requests_at_once_share_a_look_up_and_later_ones_within_its_time(lookup: Lookup) -> None:
    found = await asyncio.gather(*(lookup.rights.standing(PEER) for _ in range(50)))
    lookup.now_s += 0.9 * HOLD_S
    assert await lookup.rights.standing(PEER) == found[0] == Standing(MAYA, lookup.people.held, "azores")
    assert (lookup.people.looked_up, lookup.opened) == (1, 1)


async def test_what_was_taken_back_is_noticed_at_the_next_look_up(lookup: Lookup) -> None:
    await lookup.rights.standing(PEER)
    lookup.people.held.clear()
    lookup.now_s += HOLD_S
    assert (await lookup.rights.standing(PEER)).held == {}
    lookup.people.tokens.clear()
    lookup.now_s += HOLD_S
    with pytest.raises(ForbiddenError, match="revoked or has expired"):
        await lookup.rights.standing(PEER)


def test_a_right_ends_within_a_second_with_the_time_of_a_look_up_to_spare() -> None:
    assert HOLD_S <= 0.5


async def test_ended_tokens_are_told_and_those_of_the_settings_never_end(lookup: Lookup) -> None:
    assert await lookup.rights.ended(["a" * 64, "b" * 64, "c" * 64]) == {"c" * 64}
    lookup.people.tokens.clear()
    assert await lookup.rights.ended(["a" * 64, "b" * 64]) == {"a" * 64}


async def test_a_token_of_the_settings_is_known_without_the_database(lookup: Lookup) -> None:
    assert await lookup.rights.owner("b" * 64) == LENA
    assert await lookup.rights.ended(["b" * 64]) == set()
    assert lookup.opened == 0
    standing = await lookup.rights.standing(OF_SETTINGS)
    assert standing.held == {"azores": Held(Right.VIEW, "WDC"), "default": Held(Right.CONFIRM, "default")}


async def test_a_database_that_is_away_is_said_and_looked_for_again(lookup: Lookup) -> None:
    lookup.people.broken = CatalogueUnavailableError("the server is away")
    for ask in (lookup.rights.owner("a" * 64), lookup.rights.standing(PEER)):
        with pytest.raises(CatalogueUnavailableError):
            await ask
    lookup.people.broken = None
    lookup.now_s += HOLD_S
    assert (await lookup.rights.standing(PEER)).actor == MAYA


async def test_a_database_that_cannot_be_opened_yet_is_opened_later() -> None:
    people = [FakePeople()]

    def open_people() -> Any:
        if not gone:
            return people[0]
        raise gone.pop()

    gone = [CatalogueOpenError("the file is gone")]
    stored = StoredRights({}, open_people, lambda: 0.0)
    with pytest.raises(CatalogueUnavailableError, match="the file is gone"):
        await stored.owner("a" * 64)
    assert await stored.owner("a" * 64) == MAYA


async def test_a_database_that_hangs_holds_nobody_for_long(lookup: Lookup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "LOOK_UP_TIMEOUT_S", 0.05)
    lookup.people.go_on.clear()
    with pytest.raises(CatalogueUnavailableError, match="in time"):
        await lookup.rights.standing(PEER)
    lookup.people.go_on.set()


async def test_tokens_that_nobody_uses_any_more_are_forgotten(lookup: Lookup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "MAX_KNOWN", 10)
    for number in range(40):
        token = f"{number:064}"
        lookup.people.tokens[token] = MAYA
        lookup.now_s += HOLD_S / 4
        await lookup.rights.standing(Peer(MAYA, token, False, False))
    assert len(lookup.rights._known) <= 10


async def test_local_access_looks_nothing_up() -> None:
    local = rights_of(Settings(catalogue_url="sqlite:////nowhere/at/all.sqlite"))
    assert isinstance(local, LocalRights)
    assert await local.standing(Peer(LOCAL_USER, None, True, False)) == LOCAL_STANDING
    assert (await local.owner("a" * 64), await local.ended(["a" * 64])) == (None, set())


def test_access_with_tokens_opens_the_database_of_the_settings_when_it_is_needed() -> None:
    stored = rights_of(Settings(catalogue_url="sqlite:////nowhere/at/all.sqlite", access="tokens"))
    assert isinstance(stored, StoredRights)

"""Who speaks with a token, and what they may do at this moment, as one ingress replica looks it up."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from pipeline.access import Peer
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError, ForbiddenError
from pipeline.records import Actor
from pipeline.rights import LOCAL_STANDING, Standing
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.catalogue.people import People

T = TypeVar("T")

HOLD_S = 0.5
"""For so long what was looked up is not looked up again: a right that is taken back ends within a second."""

SESSION_LASTS = timedelta(days=30)
"""Of a browser; ended earlier with its token."""

LOOK_UP_TIMEOUT_S = 5.0
THREADS = 2
"""Of a replica; more would wait at a database that hangs, and nothing else needs them."""

MAX_KNOWN = 4096
"""Tokens whose standing is kept; of more, all that is too old goes."""


class Rights(Protocol):
    """Where an ingress replica looks up who may do what."""

    async def owner(self, token: str) -> Actor | None:
        """Return who speaks with a token (its sha256); None where it is not valid.

        Raises:
            CatalogueUnavailableError: that cannot be looked up.
        """
        ...

    async def standing(self, peer: Peer) -> Standing:
        """Return what somebody may do.

        Raises:
            CatalogueUnavailableError: that cannot be looked up.
            ForbiddenError: their token is no longer valid.
        """
        ...

    async def ended(self, tokens: Iterable[str]) -> set[str]:
        """Return those tokens among these that are no longer valid.

        Raises:
            CatalogueUnavailableError: that cannot be looked up.
        """
        ...

    async def session(self, secret: str) -> str | None:
        """Return the sha256 of the token that a session was begun with; None where it has ended.

        Raises:
            CatalogueUnavailableError: that cannot be looked up.
        """
        ...

    async def begin_session(self, token: str) -> str:
        """Begin a session of who holds a token (its sha256), and return its secret.

        Raises:
            CatalogueUnavailableError: it cannot be stored.
        """
        ...

    async def end_session(self, secret: str) -> None:
        """End a session, unless it has ended.

        Raises:
            CatalogueUnavailableError: that cannot be stored.
        """
        ...


class LocalRights:
    """Of this machine alone: nothing is looked up."""

    async def owner(self, token: str) -> Actor | None:
        """See `Rights`."""
        return None

    async def standing(self, peer: Peer) -> Standing:
        """See `Rights`."""
        return LOCAL_STANDING

    async def ended(self, tokens: Iterable[str]) -> set[str]:
        """See `Rights`."""
        return set()

    async def session(self, secret: str) -> str | None:
        """See `Rights`."""
        return None

    async def begin_session(self, token: str) -> str:
        """See `Rights`; nobody shows a token here."""
        raise ForbiddenError("this machine needs no session")

    async def end_session(self, secret: str) -> None:
        """See `Rights`."""


class StoredRights:
    """Of the catalogues' database, which is opened to read at the first look-up, and of the settings."""

    def __init__(
        self, owners: Mapping[str, Actor], open_people: "Callable[[], People]", clock: Callable[[], float]
    ) -> None:
        """Open nothing yet.

        Args:
            owners: sha256 of each token of the settings -> who speaks with it.
            open_people: opens the database; blocks.
            clock: seconds that never go back.
        """
        self._owners = dict(owners)
        self._open_people = open_people
        self._clock = clock
        self._people: People | None = None
        self._opening = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rights")
        self._known: dict[str, tuple[float, asyncio.Future[Standing | None]]] = {}

    async def owner(self, token: str) -> Actor | None:
        """See `Rights`; one of the settings needs no look-up."""
        named = self._owners.get(token)
        return named if named is not None else await _in_time(self._ask(lambda people: people.owner(token)))

    async def standing(self, peer: Peer) -> Standing:
        """See `Rights`; those who ask at once share one look-up."""
        assert peer.token is not None
        now_s = self._clock()
        asked_s, found = self._known.get(peer.token, (now_s - HOLD_S, None))
        if found is None or now_s - asked_s >= HOLD_S:
            found = self._ask(lambda people: self._read(people, peer))
            self._forget_old(now_s)
            self._known[peer.token] = (now_s, found)
        standing = await _in_time(found)
        if standing is None:
            raise ForbiddenError("your token was revoked or has expired")
        return standing

    async def ended(self, tokens: Iterable[str]) -> set[str]:
        """See `Rights`."""
        stored = set(tokens) - self._owners.keys()
        if not stored:
            return set()
        return stored - await _in_time(self._ask(lambda people: people.valid(stored)))

    async def session(self, secret: str) -> str | None:
        """See `Rights`."""
        return await _in_time(self._ask(lambda people: people.session(secret)))

    async def begin_session(self, token: str) -> str:
        """See `Rights`."""
        return await _in_time(self._ask(lambda people: people.begin_session(token, SESSION_LASTS)))

    async def end_session(self, secret: str) -> None:
        """See `Rights`."""
        await _in_time(self._ask(lambda people: people.end_session(secret)))

    def _read(self, people: "People", peer: Peer) -> Standing | None:
        assert peer.token is not None
        if peer.token in self._owners:
            return people.standing(peer.actor).with_token_of_the_settings()
        return people.standing(peer.actor) if people.valid([peer.token]) else None

    def _ask(self, question: "Callable[[People], T]") -> asyncio.Future[T]:
        def ask() -> T:
            with self._opening:
                if self._people is None:
                    try:
                        self._people = self._open_people()
                    except CatalogueOpenError as error:
                        raise CatalogueUnavailableError(error.message) from error
            return question(self._people)

        return asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def _forget_old(self, now_s: float) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known = {token: known for token, known in self._known.items() if now_s - known[0] < HOLD_S}


def rights_of(settings: Settings) -> Rights:
    """Return where to look up who may do what under these settings."""
    if settings.access == "local":
        return LocalRights()

    def open_stored() -> "People":
        from pipeline.catalogue.people import open_people  # here: without tokens an ingress needs no database

        return open_people(settings.catalogue_url)

    return StoredRights(settings.token_owners(), open_stored, time.monotonic)


async def _in_time(found: asyncio.Future[T]) -> T:
    """Wait for a look-up that others may wait for, too."""
    try:
        async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
            return await asyncio.shield(found)
    except TimeoutError as error:
        raise CatalogueUnavailableError("your rights could not be looked up in time; try again") from error

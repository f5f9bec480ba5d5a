"""Who may come in, and how often somebody may guess a token."""

import asyncio
import ipaddress
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from pipeline.access import AccessRules, Handshake, Peer, Refusal, bearer_token
from pipeline.errors import CatalogueUnavailableError
from pipeline.records import Actor

logger = logging.getLogger(__name__)

FREE_GUESSES = 3
"""Wrong tokens of one address that cost nothing: somebody pasted the wrong one."""

LONGEST_PAUSE_S = 60.0
FORGOTTEN_AFTER_S = 600.0
MAX_ADDRESSES = 4096
"""Addresses that are remembered; the one that guessed longest ago gives way."""

TRY_AGAIN_S = 5
"""For a client whose token cannot be looked up."""

_PREFIX_BITS = 64
"""Of an IPv6 address: one customer has all addresses that begin so."""


@dataclass(slots=True)
class _Guesses:
    wrong: int = 0
    last_s: float = 0.0
    next_s: float = 0.0
    """Until then no token of this address is looked at."""


class LookUp(Protocol):
    """Where tokens and sessions are looked up; both raise CatalogueUnavailableError."""

    async def owner(self, token: str) -> Actor | None:
        """Return who speaks with a token (its sha256); None where it is not valid."""
        ...

    async def session(self, secret: str) -> str | None:
        """Return the sha256 of the token that a session was begun with; None where it has ended."""
        ...


class Admission:
    """The access rules, slowed down for addresses that send wrong tokens.

    After the third wrong token in a row the next one is looked at only after 1 s, then 2 s, up to 60 s. Until then
    every handshake with a token is answered at once with 429, right or wrong, since any other answer would tell which.
    Nothing is held open meanwhile. Handshakes without a token are no guesses.
    """

    def __init__(self, rules: AccessRules, people: LookUp, clock: Callable[[], float]) -> None:
        """Begin with no guesses.

        Args:
            rules: decide what no pause decides.
            people: who speaks with a token.
            clock: seconds that never go back.
        """
        self._rules = rules
        self._people = people
        self._clock = clock
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, handshake: Handshake) -> Peer | Refusal:
        """Return who connects, or why it may not."""
        if not self._rules.asks_for_tokens:
            return self._rules.admit(handshake)
        if "authorization" not in handshake.headers:
            return await self._look_at_session(handshake)
        place = _place(handshake.address)
        turn = self._turns.setdefault(place, asyncio.Lock())
        async with turn:  # else many guesses could be looked up at once, before the first was counted
            return await self._look_at(handshake, place)

    async def _look_at_session(self, handshake: Handshake) -> Peer | Refusal:
        """Admit by the cookie; a wrong one is no guess, since nobody guesses what the service has drawn at random."""
        if handshake.session is None:
            return self._rules.admit(handshake)
        try:
            token = await self._people.session(handshake.session)
            owner = None if token is None else await self._people.owner(token)
        except CatalogueUnavailableError as error:
            return _not_now(error)
        return self._rules.admit(handshake, owner, token)

    async def _look_at(self, handshake: Handshake, place: str) -> Peer | Refusal:
        guesses, now_s = self._guesses.get(place), self._clock()
        if guesses is not None and now_s < guesses.next_s:
            wait_s = math.ceil(guesses.next_s - now_s)
            return Refusal(429, f"too many wrong tokens from your address; try again in {wait_s} s", wait_s)
        token = bearer_token(handshake)
        try:
            owner = None if token is None else await self._people.owner(token)
        except CatalogueUnavailableError as error:
            return _not_now(error)
        answer = self._rules.admit(handshake, owner)
        if isinstance(answer, Peer):
            self._guesses.pop(place, None)
        elif answer.status == 401:
            self._note_wrong(place, now_s)
        return answer

    def _note_wrong(self, place: str, now_s: float) -> None:
        guesses = self._guesses.pop(place, None)
        if guesses is None or now_s - guesses.last_s > FORGOTTEN_AFTER_S:
            guesses = _Guesses()
        guesses.wrong += 1
        guesses.last_s = now_s
        excess = guesses.wrong - FREE_GUESSES
        pause_s = min(2.0 ** min(excess, 32), LONGEST_PAUSE_S) if excess >= 0 else 0.0
        guesses.next_s = now_s + pause_s
        self._guesses[place] = guesses
        if len(self._guesses) > MAX_ADDRESSES:
            self._guesses.popitem(last=False)
        if pause_s:
            logger.warning("%s sent %d wrong tokens; its next is looked at in %g s", place, guesses.wrong, pause_s)


def _not_now(error: CatalogueUnavailableError) -> Refusal:
    logger.warning("a token could not be looked up: %s", error)
    return Refusal(503, "your token cannot be looked up at the moment; try again", TRY_AGAIN_S)


def _place(address: str | None) -> str:
    """Return what stands for all addresses of one peer."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or "a client of unknown address"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, _PREFIX_BITS), strict=False))

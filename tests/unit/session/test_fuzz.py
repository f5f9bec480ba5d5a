"""A million messages, good and bad, through the protocol and the session, with work that ends in any order.

The toy shell checks every answer as a client would, and against its schema: each request is answered exactly once. Here
it is checked besides that a message which is refused is answered once, that a connection closes for the documented
reasons alone, and that nothing is held once nothing is asked for.
"""

import json
import random
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from pipeline.errors import CatalogueUnavailableError, RequestError
from pipeline.protocol.catalogue_requests import Subscribe
from pipeline.protocol.json_text import decode_object, exceeds_limit
from pipeline.protocol.reading import read_id, read_message
from pipeline.protocol.requests import Ack, Cancel, CloseCode, Extract, Message
from pipeline.records import Failure, Segmented
from pipeline.session.actions import Action, Answer, Ask, ExtractPhoto, Started, StoreConfirmations
from pipeline.session.answers import ResultRoom
from pipeline.session.lifecycle import ConnectionState
from tests.unit.session.fuzzed_messages import Messages
from tests.unit.session.session_made import IDLE_TIMEOUT_S, FakeClock, found, last_step, make_session
from tests.unit.session.small_bounds import (
    LENGTHS,
    LIMITS,
    MOST_HELD_BYTES,
    STREAM_WINDOW,
    UNACKNOWLEDGED_BYTES,
    WINDOWS,
    small_bounds,
)
from tests.unit.session.toy_shell import Conversation, ToyShell

MESSAGES_A_CONNECTION = 80
MOST_ANIMALS = 3
MOST_GROWN_MIB = 64
PAGE = {"head": {"version": 1, "nonce": "a"}, "next": None, "total": 0}
DANTE = {"id": 1, "name": "Dante", "aliases": [], "species": None, "sex": None, "note": None}
CATALOGUE = {"name": "default", "version": 1, "individuals": 2, "photos": 3, "institution": "default", "species": None}
CATALOGUE |= {"right": "admin", "place": "exact", "default": True}
GIVEN: dict[str, Any] = {
    "catalogues": {"catalogues": [CATALOGUE]},
    "catalogue_create": CATALOGUE,
    **{kind: {"members": [], "grants": []} for kind in ("members", "grant", "revoke")},
    "individuals": PAGE | {"individuals": []},
    "individual": {
        "head": PAGE["head"],
        "individual": DANTE | {"annotations": 1, "provisional": 0},
        "merged": [],
        "encounters": [],
    },
    "annotations": PAGE | {"annotations": []},
    "review": PAGE | {"annotations": []},
    "history": PAGE | {"events": []},
    "suggest_merges": PAGE | {"pairs": [], "total": None},
}
"""The one answer of each request but changes of what a catalogue says, which are answered by the state they left."""


class Connection:
    """One random client before one random shell."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.messages = Messages(chance)
        self.clock = FakeClock()
        self.room_bytes = chance.choice((700, 1_000_000))
        self.room = ResultRoom(self.room_bytes)
        self.session = make_session(
            self.clock,
            replace(LIMITS, max_result_bytes=self.room_bytes),
            array_dialect=chance.random() < 0.3,
            local_peer=chance.random() < 0.5,
            uploads_only=chance.random() < 0.1,
            room=self.room,
        )
        self.shell = ToyShell(STREAM_WINDOW, window=2 * LIMITS.in_flight_per_connection)
        self.held = False
        self.classic_sent = 0
        self.refusals = 0

    def run(self, count: int) -> int:
        """Send so many messages, or fewer where the connection is closed before; returns how many were sent."""
        sent = 0
        while sent < count and not (self.shell.closed and self.chance.random() < 0.3):
            sent += 1
            self._one_message()
            for _ in range(self.chance.choice((0, 1, 2, 3, 6))):
                self._one_report()
            assert self.session.held_bytes <= MOST_HELD_BYTES
            assert self.shell.refusals.total() == self.refusals
        self._end()
        return sent

    # --- the client ---

    def _one_message(self) -> None:
        draw = self.chance.random()
        if draw < 0.25 and self.shell.uploads and not self.shell.closed:
            self._bytes_as_agreed()
        elif draw < 0.01:
            self._bytes_against_the_rules()
        elif draw < 0.4 and (waiting := [key for key, each in self.shell.conversations.items() if each.unacknowledged]):
            request_id = self.chance.choice(waiting)
            items = self.chance.randint(1, self.shell.conversations[request_id].unacknowledged)
            self._text(encoded(type="ack", id=request_id, items=items))
        else:
            self._text(self.messages.text())

    def _text(self, text: str) -> None:
        if exceeds_limit(text):
            self._perform(self.session.receive_text(text), CloseCode.TOO_BIG)
            return
        request_id, message = understood(text)
        backlog = self.classic_sent - self._classic_ended()
        if request_id is None and backlog > LIMITS.max_requests_per_connection and self.chance.random() < 0.97:
            return  # a client that waits
        if self.shell.closed:
            assert self.session.receive_text(text) == []
        elif request_id is None:
            self.classic_sent += 1
            full = backlog > LIMITS.max_requests_per_connection
            self._perform(self.session.receive_text(text), *([CloseCode.POLICY] if full else []))
        else:
            self._with_id(text, request_id, message)

    def _with_id(self, text: str, request_id: str, message: Message | None) -> None:
        """Say of each message what must become of it."""
        running = self.shell.conversations.get(request_id)
        is_control = decode_object(text).get("type") in ("cancel", "ack")
        before = self.shell.refusals.total()
        if isinstance(message, Ack | Cancel) and running is not None:
            right = isinstance(message, Cancel) or 1 <= message.items <= running.unacknowledged
            running.cancelled |= isinstance(message, Cancel)
            running.unacknowledged -= message.items if isinstance(message, Ack) and right else 0
            self._perform(self.session.receive_text(text))
            assert right or request_id not in self.shell.conversations
        elif is_control and running is not None:
            self._perform(self.session.receive_text(text))
            assert request_id not in self.shell.conversations, "a wrong cancel or ack ends what it is about"
        elif running is None and not is_control and message is not None and self._has_room(message):
            self.shell.conversations[request_id] = conversation(message)
            self.shell.abandoned = [other for other in self.shell.abandoned if other != request_id]
            self._perform(self.session.receive_text(text))
        else:
            self._perform(self.session.receive_text(text))
            refused = self.shell.refusals.total() - before
            crossed = is_control and message is not None and not refused
            assert crossed or refused == 1, text
            self.refusals += refused
            return
        assert self.shell.refusals.total() == before, text

    def _has_room(self, message: Message) -> bool:
        requests = [each.kind for each in self.shell.conversations.values() if each.kind != "subscribe"]
        return message.type == "subscribe" or len(requests) < LIMITS.max_requests_per_connection

    def _bytes_as_agreed(self) -> None:
        for request_id in self.shell.abandoned:
            self._perform(self.session.receive_text(encoded(type="cancel", id=request_id)))
        self.shell.abandoned = []
        data = self.shell.next_bytes(self.chance.randint(1, 30), UNACKNOWLEDGED_BYTES)
        if data:
            self._perform(self.session.receive_bytes(data))

    def _bytes_against_the_rules(self) -> None:
        data = self.chance.randbytes(self.chance.choice((0, 1, 5, 31)))
        if self.shell.closed:
            assert self.session.receive_bytes(data) == []
            return
        self.shell.lost_count, self.shell.uploads = True, []
        self._perform(self.session.receive_bytes(data), CloseCode.POLICY, CloseCode.TOO_BIG)
        if not self.shell.closed:  # whose bytes the next ones are is not known any more
            self._perform(self.session.close(CloseCode.INTERNAL, "the toy has lost count"), CloseCode.INTERNAL)

    # --- the shell ---

    def _one_report(self) -> None:
        draw = self.chance.random()
        if draw < 0.03:
            self.clock.time_s += self.chance.choice((1.0, 61.0, IDLE_TIMEOUT_S + 1))
            self._perform(self.session.tick(), CloseCode.IDLE)
        elif draw < 0.06 and not self.shell.closed:
            self.held = not self.held
            self._perform(self.session.hold(self.held))
        elif draw < 0.12 and self.shell.stopped:
            ask = self.chance.choice(self.shell.stopped)
            assert self.session.report(ask, last_step(ask.call, good=True)) == []
            assert self.session.failed(ask, CatalogueUnavailableError("disk full")) == []
        elif self.shell.outstanding:
            self._answer(self.chance.choice(self.shell.outstanding), self.chance.random())

    def _answer(self, ask: Ask[Any], draw: float) -> None:
        if isinstance(ask.call, ExtractPhoto) and draw < 0.3:
            self._perform(self.session.report(ask, self.chance.choice((Started(), Segmented()))))
            return
        self.shell.end(ask)
        if draw > 0.96:
            self._perform(self.session.failed(ask, CatalogueUnavailableError("disk full")))
        else:
            self._perform(self.session.report(ask, self._last_step(ask)))

    def _last_step(self, ask: Ask[Any]) -> Any:
        good = self.chance.random() < 0.7
        match ask.call:
            case ExtractPhoto() if good:
                return found(animals=self.chance.randint(1, MOST_ANIMALS) if ask.call.animals == "all" else 1)
            case StoreConfirmations() if not good:
                refused = (None, Failure("bad_identity", "another name"))
                return tuple(self.chance.choice(refused) for _ in ask.call.queries)
            case Answer(message=Subscribe()):
                version = self.chance.randint(1, 9)
                return {"catalogue": "default", "head": {"version": version, "nonce": "a"}, "events": []}
            case Answer(message=message):
                return GIVEN.get(message.type, {"head": PAGE["head"], "made": {"individuals": [1]}})
        return last_step(ask.call, good=good)

    def _perform(self, actions: list[Action], *closes: CloseCode) -> None:
        """Carry out; the connection closes for no other reasons than these."""
        was_closed = self.shell.closed
        self.shell.perform(actions)
        if self.shell.closed and not was_closed:
            assert self.shell.close_code in closes, self.shell.close_code
            assert self.session.state is ConnectionState.CLOSING

    def _classic_ended(self) -> int:
        return sum(line == "complete!" or line.startswith("error: ") for line in self.shell.classic)

    # --- the end ---

    def _end(self) -> None:
        draw = self.chance.random()
        if not self.shell.closed and draw < 0.8:
            self._perform(self.session.hold(False))
            self._leave_in_peace() if draw < 0.6 else self._stop_the_service()
            assert not self.shell.conversations
            assert self._classic_ended() == self.classic_sent
            assert self.session.idle
            assert self.room.left_bytes == self.room_bytes
            assert self.session.held_bytes == 0
        before = {ask.request for ask in self.shell.outstanding}
        stops = self.session.disconnected()
        assert {stop.request for stop in stops} == before  # type: ignore[union-attr]
        assert self.session.held_bytes == 0

    def _leave_in_peace(self) -> None:
        """Cancel what waits for the client, answer the rest."""
        for request_id in list(self.shell.conversations):
            self.shell.conversations[request_id].cancelled = True
            self._perform(self.session.receive_text(encoded(type="cancel", id=request_id)))
        while self.shell.outstanding:
            self._answer(self.shell.outstanding[0], 0.5)

    def _stop_the_service(self) -> None:
        for each in self.shell.conversations.values():
            each.cancelled = True
        self._perform(self.session.cancel_all())


def understood(text: str) -> tuple[str | None, Message | None]:
    """Return the `id` of a message that is answered with one, and the message unless it is refused."""
    request_id = None
    try:
        fields = decode_object(text)
        request_id = read_id(fields)
        return request_id, read_message(fields, request_id, LIMITS.max_photos_per_request)
    except RequestError:
        return request_id, None


def conversation(message: Message) -> Conversation:
    """Return what a client expects to hear about a request."""
    lists = [value for _, value in message if isinstance(value, tuple)]
    uploads = (message.uploads or ()) if isinstance(message, Extract) else ()
    sizes = [upload.size_bytes for upload in uploads]
    stream = bool(getattr(message, "stream", False))
    animals = MOST_ANIMALS if getattr(message, "animals", None) == "all" else 1
    return Conversation(message.type, len(lists[0]) if lists else 0, stream, sizes, animals)


def encoded(**fields: Any) -> str:
    """Return a message as text."""
    return json.dumps(fields)


def fuzz(count: int, first_seed: int) -> None:
    """Send so many messages, each connection from a seed of its own, which is named where it fails."""
    start, sent, seed = time.monotonic(), 0, first_seed
    before = psutil.Process().memory_info().rss
    with small_bounds(WINDOWS, LENGTHS):
        while sent < count:
            try:
                sent += Connection(random.Random(seed)).run(MESSAGES_A_CONNECTION)
            except Exception:
                print(f"seed {seed} fails; again: Connection(random.Random({seed})).run({MESSAGES_A_CONNECTION})")
                raise
            seed += 1
    seconds, grown_mib = time.monotonic() - start, (psutil.Process().memory_info().rss - before) / 2**20
    print(f"{sent} messages, {seed - first_seed} connections, {seconds:.0f} s, {grown_mib:+.0f} MiB of memory")
    assert grown_mib < MOST_GROWN_MIB


def test_whatever_a_client_sends_each_request_is_answered_once_and_nothing_stays_held() -> None:
    fuzz(20_000, first_seed=0)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_messages_find_nothing() -> None:
    fuzz(1_000_000, first_seed=1_000_000)

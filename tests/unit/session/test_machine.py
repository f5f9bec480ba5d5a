"""Any client before any shell: random messages, random bytes, random reports, in any order."""

import json
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.errors import CatalogueUnavailableError
from pipeline.records import Segmented
from pipeline.session.actions import Ask, ExtractPhoto, Started
from pipeline.session.lifecycle import ConnectionState
from tests.unit.session.session_made import FakeClock, last_step, make_session
from tests.unit.session.small_bounds import (
    LIMITS,
    MOST_HELD_BYTES,
    STREAM_WINDOW,
    UNACKNOWLEDGED_BYTES,
    WINDOWS,
    small_bounds,
)
from tests.unit.session.toy_shell import Conversation, ToyShell

ids = st.sampled_from(["a", "b", "c", "d"])
paths = st.lists(st.sampled_from(["a.jpg", "b.jpg", "\ud800"]) | st.integers(), max_size=8)
uploads = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["a", "", "b"]), "size": st.integers(-1, 21)}), max_size=6
)
queries = st.lists(
    st.fixed_dictionaries(
        {"path": st.just("a.jpg"), "type": st.sampled_from(["fluke", "flank", "fin"])},
        optional={"embedding": st.just([0.5]), "identity": st.sampled_from(["Dante", "Unknown"])},
    ),
    max_size=7,
)
copies = st.lists(st.fixed_dictionaries({"file": st.just("a"), "selectedIdentity": st.sampled_from(["D", ""])}))
requests = st.one_of(
    st.fixed_dictionaries({"type": st.just("extract"), "fileNames": paths}),
    st.fixed_dictionaries({"type": st.just("identify"), "data": queries}),
    st.fixed_dictionaries({"type": st.just("save"), "whaleIdentities": copies.map(lambda items: items[:5])}),
)
requests_with_id = st.one_of(
    requests,
    st.fixed_dictionaries({"type": st.just("extract"), "uploads": uploads}),
)


class AnyClientAnyShell(RuleBasedStateMachine):
    """Invariants are checked by the toy shell, message by message."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = ExitStack()
        self.bounds.enter_context(small_bounds(WINDOWS))

    @initialize(array=st.booleans())
    def connect(self, array: bool) -> None:
        self.clock = FakeClock()
        self.session = make_session(self.clock, LIMITS, array_dialect=array)
        self.shell = ToyShell(STREAM_WINDOW, window=2 * LIMITS.in_flight_per_connection)
        self.classic_sent = 0

    def classic_ended(self) -> int:
        return sum(line == "complete!" or line.startswith("error: ") for line in self.shell.classic)

    # --- the client ---

    @rule(message=requests, patient=st.integers(0, 20))
    def send_classic(self, message: dict[str, Any], patient: int) -> None:
        if patient and self.classic_sent - self.classic_ended() > LIMITS.max_requests_per_connection:
            return
        self.classic_sent += self.session.state is ConnectionState.OPEN
        self.shell.perform(self.session.receive_text(json.dumps(message)))

    @rule(message=requests_with_id, request_id=ids, stream=st.booleans())
    def send_with_id(self, message: dict[str, Any], request_id: str, stream: bool) -> None:
        stream = stream and message["type"] != "save"
        elements = next(value for value in message.values() if isinstance(value, list))
        room = len(self.shell.conversations) < LIMITS.max_requests_per_connection
        if request_id not in self.shell.conversations and room and not self.shell.closed:
            sizes = [upload["size"] for upload in message.get("uploads", [])]
            self.shell.conversations[request_id] = Conversation(message["type"], len(elements), stream, sizes)
            self.shell.abandoned = [other for other in self.shell.abandoned if other != request_id]
        text = json.dumps(message | {"id": request_id} | ({"stream": True} if stream else {}))
        self.shell.perform(self.session.receive_text(text))

    @rule(request_id=ids)
    def cancel(self, request_id: str) -> None:
        if request_id in self.shell.conversations:
            self.shell.conversations[request_id].cancelled = True
        self.shell.perform(self.session.receive_text(json.dumps({"type": "cancel", "id": request_id})))

    @precondition(lambda self: self.shell.conversations)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.shell.conversations)))
        conversation = self.shell.conversations[request_id]
        if conversation.unacknowledged:
            items = data.draw(st.integers(1, conversation.unacknowledged))
            conversation.unacknowledged -= items
            self.shell.perform(self.session.receive_text(json.dumps({"type": "ack", "id": request_id, "items": items})))

    @rule(request_id=ids, items=st.integers(-1, 400))
    def acknowledge_wrongly(self, request_id: str, items: int) -> None:
        conversation = self.shell.conversations.get(request_id)
        if conversation is None or items > conversation.unacknowledged or items < 1:
            text = json.dumps({"type": "ack", "id": request_id, "items": items})
            self.shell.perform(self.session.receive_text(text))
            assert self.shell.closed or request_id not in self.shell.conversations

    @precondition(lambda self: self.shell.uploads and not self.shell.closed)
    @rule(length=st.integers(1, 30))
    def send_bytes_as_agreed(self, length: int) -> None:
        for request_id in self.shell.abandoned:
            self.shell.perform(self.session.receive_text(json.dumps({"type": "cancel", "id": request_id})))
        self.shell.abandoned = []
        data = self.shell.next_bytes(length, UNACKNOWLEDGED_BYTES)
        if data:
            self.shell.perform(self.session.receive_bytes(data))
            assert self.session.state is not ConnectionState.CLOSING
        else:
            assert self.shell.outstanding or self.shell.conversations

    @rule(data=st.binary(max_size=8), wild=st.integers(0, 100))
    def send_bytes_against_the_rules(self, data: bytes, wild: int) -> None:
        if wild == 100:
            self.shell.lost_count = True
            self.shell.perform(self.session.receive_bytes(data))
            self.shell.uploads = []
            self.shell.perform(self.session.close(1011, "the toy has lost count"))

    @rule(text=st.text(max_size=20))
    def send_anything(self, text: str) -> None:
        if self.classic_sent - self.classic_ended() > LIMITS.max_requests_per_connection:
            return
        self.classic_sent += self.session.state is ConnectionState.OPEN
        self.shell.perform(self.session.receive_text(text))

    # --- the shell ---

    def _finish(self, ask: Ask[Any], good: bool) -> list[Any]:
        """Report the last step of something that was asked for."""
        return self.session.report(ask, last_step(ask.call, good=good))

    @precondition(lambda self: self.shell.outstanding)
    @rule(data=st.data(), good=st.booleans())
    def finish_work(self, data: st.DataObject, good: bool) -> None:
        ask = data.draw(st.sampled_from(self.shell.outstanding))
        self.shell.end(ask)
        self.shell.perform(self._finish(ask, good))

    @precondition(lambda self: self.shell.outstanding)
    @rule(data=st.data(), segmented=st.booleans())
    def work_a_little(self, data: st.DataObject, segmented: bool) -> None:
        ask = data.draw(st.sampled_from(self.shell.outstanding))
        if isinstance(ask.call, ExtractPhoto):
            self.shell.perform(self.session.report(ask, Segmented() if segmented else Started()))

    @precondition(lambda self: self.shell.stopped)
    @rule(data=st.data())
    def report_what_was_stopped(self, data: st.DataObject) -> None:
        ask = data.draw(st.sampled_from(self.shell.stopped))
        assert self._finish(ask, good=True) == []
        assert self.session.failed(ask, CatalogueUnavailableError("disk full")) == []

    @precondition(lambda self: self.shell.outstanding)
    @rule(data=st.data())
    def fail_a_request(self, data: st.DataObject) -> None:
        ask = data.draw(st.sampled_from(self.shell.outstanding))
        self.shell.end(ask)
        self.shell.perform(self.session.failed(ask, CatalogueUnavailableError("disk full")))

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.clock.time_s += seconds
        self.shell.perform(self.session.tick())

    # --- what always holds ---

    @invariant()
    def held_bytes_are_bounded(self) -> None:
        if hasattr(self, "session"):
            assert self.session.held_bytes <= MOST_HELD_BYTES

    def teardown(self) -> None:
        try:
            if hasattr(self, "session"):
                event(f"ends {self.session.state.name}, heard {len(self.shell.classic) // 10}0 lines")
                self._answer_everything()
                before = {ask.request for ask in self.shell.outstanding}
                stops = self.session.disconnected()
                assert {stop.request for stop in stops} == before  # type: ignore[union-attr]
        finally:
            self.bounds.close()

    def _answer_everything(self) -> None:
        """Cancel what waits for the client, answer the rest: every classic request must come to its end."""
        for request_id in sorted(self.shell.conversations):
            self.cancel(request_id)
        assert self.shell.closed or not self.shell.conversations
        while self.shell.outstanding:
            ask = self.shell.outstanding[0]
            self.shell.end(ask)
            self.shell.perform(self._finish(ask, good=True))
        if not self.shell.closed:
            assert self.classic_ended() == self.classic_sent
            assert self.session.idle


AnyClientAnyShell.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyClientAnyShell = AnyClientAnyShell.TestCase

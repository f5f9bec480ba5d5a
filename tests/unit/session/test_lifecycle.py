"""The life of a request and of a connection as docs/protocol.md tells it, written out by hand."""

import pytest

from pipeline.session.errors import IllegalTransitionError
from pipeline.session.lifecycle import (
    CONNECTION_TRANSITIONS,
    REQUEST_TRANSITIONS,
    ConnectionEvent,
    ConnectionState,
    Lifecycle,
    RequestEvent,
    RequestState,
)

QUEUED, RECEIVING, RECEIVING_PAUSED, RUNNING, PAUSED, ENDED = (
    RequestState.QUEUED,
    RequestState.RECEIVING,
    RequestState.RECEIVING_PAUSED,
    RequestState.RUNNING,
    RequestState.PAUSED,
    RequestState.ENDED,
)
START, START_UPLOAD, BYTES_COMPLETE, WINDOW_FULL, WINDOW_OPEN, COMPLETE, FAIL, CANCEL, DISCARD = (
    RequestEvent.START,
    RequestEvent.START_UPLOAD,
    RequestEvent.BYTES_COMPLETE,
    RequestEvent.WINDOW_FULL,
    RequestEvent.WINDOW_OPEN,
    RequestEvent.COMPLETE,
    RequestEvent.FAIL,
    RequestEvent.CANCEL,
    RequestEvent.DISCARD,
)
OPEN, CLOSING, CLOSED = ConnectionState.OPEN, ConnectionState.CLOSING, ConnectionState.CLOSED
CLOSE, DISCONNECT = ConnectionEvent.CLOSE, ConnectionEvent.DISCONNECT

LIVES = {
    "photos of the server, or anything to identify or save": [(START, RUNNING), (COMPLETE, ENDED)],
    "an upload": [(START_UPLOAD, RECEIVING), (BYTES_COMPLETE, RUNNING), (COMPLETE, ENDED)],
    "a stream that the client acknowledges when the window is full": [
        (START, RUNNING),
        (WINDOW_FULL, PAUSED),
        (WINDOW_OPEN, RUNNING),
        (WINDOW_FULL, PAUSED),
        (WINDOW_OPEN, RUNNING),
        (COMPLETE, ENDED),
    ],
    "a stream whose last items, which fill the window, are not acknowledged": [
        (START, RUNNING),
        (WINDOW_FULL, PAUSED),
        (COMPLETE, ENDED),
    ],
    "a stream that is not acknowledged in time": [(START, RUNNING), (WINDOW_FULL, PAUSED), (FAIL, ENDED)],
    "an upload as a stream, acknowledged before its bytes are in": [
        (START_UPLOAD, RECEIVING),
        (WINDOW_FULL, RECEIVING_PAUSED),
        (WINDOW_OPEN, RECEIVING),
        (BYTES_COMPLETE, RUNNING),
        (COMPLETE, ENDED),
    ],
    "an upload as a stream, acknowledged after its bytes are in": [
        (START_UPLOAD, RECEIVING),
        (WINDOW_FULL, RECEIVING_PAUSED),
        (BYTES_COMPLETE, PAUSED),
        (WINDOW_OPEN, RUNNING),
        (COMPLETE, ENDED),
    ],
}

WAYS_TO: dict[RequestState, list[RequestEvent]] = {
    RUNNING: [START],
    PAUSED: [START, WINDOW_FULL],
    RECEIVING: [START_UPLOAD],
    RECEIVING_PAUSED: [START_UPLOAD, WINDOW_FULL],
}
"""The shortest way into each state in which a request is worked on."""

MAY_HAPPEN = {
    QUEUED: {START, START_UPLOAD},  # no `id`, so it cannot be cancelled; with the connection it vanishes unanswered
    RECEIVING: {BYTES_COMPLETE, WINDOW_FULL, FAIL, CANCEL, DISCARD},  # not COMPLETE: some photos are not here yet
    RECEIVING_PAUSED: {BYTES_COMPLETE, WINDOW_OPEN, FAIL, CANCEL, DISCARD},
    RUNNING: {WINDOW_FULL, COMPLETE, FAIL, CANCEL, DISCARD},
    PAUSED: {WINDOW_OPEN, COMPLETE, FAIL, CANCEL, DISCARD},
    ENDED: set(),  # `complete` or `error` is the last that is heard of a request
}


def request(events: list[RequestEvent]) -> Lifecycle[RequestState, RequestEvent]:
    """A new request to which this has happened."""
    lifecycle = Lifecycle(REQUEST_TRANSITIONS, QUEUED)
    for event in events:
        lifecycle.fire(event)
    return lifecycle


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_a_request_lives_as_the_protocol_tells(life: list[tuple[RequestEvent, RequestState]]) -> None:
    lifecycle = request([])
    states = []
    for event, _ in life:
        lifecycle.fire(event)
        states.append(lifecycle.state)
    assert states == [state for _, state in life]


@pytest.mark.parametrize("end", [FAIL, CANCEL, DISCARD])
@pytest.mark.parametrize("state", WAYS_TO)
def test_a_request_that_is_worked_on_can_be_broken_off(state: RequestState, end: RequestEvent) -> None:
    lifecycle = request(WAYS_TO[state])
    assert lifecycle.state is state
    lifecycle.fire(end)
    assert lifecycle.state is ENDED


@pytest.mark.parametrize("state", RequestState)
@pytest.mark.parametrize("event", RequestEvent)
def test_what_may_not_happen_to_a_request_raises_and_changes_nothing(state: RequestState, event: RequestEvent) -> None:
    lifecycle = Lifecycle(REQUEST_TRANSITIONS, state)
    if event in MAY_HAPPEN[state]:
        lifecycle.fire(event)
        assert lifecycle.state is not state
    else:
        with pytest.raises(IllegalTransitionError, match=f"{event.name} cannot happen to a {state.name}"):
            lifecycle.fire(event)
        assert lifecycle.state is state


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([DISCONNECT], CLOSED),
        ([CLOSE], CLOSING),
        ([CLOSE, CLOSE], CLOSING),
        ([CLOSE, DISCONNECT], CLOSED),
        ([CLOSE, DISCONNECT, CLOSE, DISCONNECT], CLOSED),
    ],
)
def test_a_connection_closes_once_and_for_all(events: list[ConnectionEvent], state: ConnectionState) -> None:
    lifecycle = Lifecycle(CONNECTION_TRANSITIONS, OPEN)
    for event in events:
        lifecycle.fire(event)
    assert lifecycle.state is state

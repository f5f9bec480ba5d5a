"""The states of a connection and of its requests, and the only transitions between them."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Generic, TypeVar

from pipeline.session.errors import IllegalTransitionError


class ConnectionState(Enum):
    """Where a connection stands."""

    OPEN = auto()
    CLOSING = auto()
    """The session asked for the close: what still comes in is ignored."""
    CLOSED = auto()


class ConnectionEvent(Enum):
    """What happens to a connection."""

    CLOSE = auto()
    DISCONNECT = auto()


class RequestState(Enum):
    """Where a request stands."""

    QUEUED = auto()
    """Classic: an earlier request of the connection runs. It vanishes with the connection."""
    RECEIVING = auto()
    """Photos are being uploaded, and those that are complete are worked on."""
    RECEIVING_PAUSED = auto()
    """Photos are being uploaded, and the client has to acknowledge items of the stream before more work is done."""
    RUNNING = auto()
    PAUSED = auto()
    """The client has to acknowledge items of the stream before more work is done."""
    ENDED = auto()


class RequestEvent(Enum):
    """What happens to a request."""

    START = auto()
    """Its turn has come, and nothing has to be uploaded."""
    START_UPLOAD = auto()
    BYTES_COMPLETE = auto()
    """The last byte of the last photo is in."""
    WINDOW_FULL = auto()
    """As many items of the stream are unacknowledged as may be."""
    WINDOW_OPEN = auto()
    COMPLETE = auto()
    """Every item has its answer."""
    FAIL = auto()
    """It ended with an error of the request as a whole."""
    CANCEL = auto()
    DISCARD = auto()
    """The connection ended."""


_BROKEN_OFF: Mapping[RequestEvent, RequestState] = {
    RequestEvent.FAIL: RequestState.ENDED,
    RequestEvent.CANCEL: RequestState.ENDED,
    RequestEvent.DISCARD: RequestState.ENDED,
}

REQUEST_TRANSITIONS: Mapping[RequestState, Mapping[RequestEvent, RequestState]] = {
    RequestState.QUEUED: {
        RequestEvent.START: RequestState.RUNNING,
        RequestEvent.START_UPLOAD: RequestState.RECEIVING,
    },
    RequestState.RECEIVING: {
        RequestEvent.BYTES_COMPLETE: RequestState.RUNNING,
        RequestEvent.WINDOW_FULL: RequestState.RECEIVING_PAUSED,
        **_BROKEN_OFF,
    },
    RequestState.RECEIVING_PAUSED: {
        RequestEvent.BYTES_COMPLETE: RequestState.PAUSED,
        RequestEvent.WINDOW_OPEN: RequestState.RECEIVING,
        **_BROKEN_OFF,
    },
    RequestState.RUNNING: {
        RequestEvent.WINDOW_FULL: RequestState.PAUSED,
        RequestEvent.COMPLETE: RequestState.ENDED,
        **_BROKEN_OFF,
    },
    RequestState.PAUSED: {
        RequestEvent.WINDOW_OPEN: RequestState.RUNNING,
        RequestEvent.COMPLETE: RequestState.ENDED,
        **_BROKEN_OFF,
    },
    RequestState.ENDED: {},
}

CONNECTION_TRANSITIONS: Mapping[ConnectionState, Mapping[ConnectionEvent, ConnectionState]] = {
    ConnectionState.OPEN: {
        ConnectionEvent.CLOSE: ConnectionState.CLOSING,
        ConnectionEvent.DISCONNECT: ConnectionState.CLOSED,
    },
    ConnectionState.CLOSING: {
        ConnectionEvent.CLOSE: ConnectionState.CLOSING,
        ConnectionEvent.DISCONNECT: ConnectionState.CLOSED,
    },
    ConnectionState.CLOSED: {
        ConnectionEvent.CLOSE: ConnectionState.CLOSED,
        ConnectionEvent.DISCONNECT: ConnectionState.CLOSED,
    },
}

PAUSED_STATES = frozenset({RequestState.PAUSED, RequestState.RECEIVING_PAUSED})

_State = TypeVar("_State", bound=Enum)
_Event = TypeVar("_Event", bound=Enum)


class Lifecycle(Generic[_State, _Event]):
    """A state and the table that says how it may change."""

    def __init__(self, transitions: Mapping[_State, Mapping[_Event, _State]], initial: _State) -> None:
        self._transitions = transitions
        self.state = initial

    def fire(self, event: _Event) -> None:
        """Make the transition.

        Raises:
            IllegalTransitionError: the table has none for this event in this state.
        """
        target = self._transitions[self.state].get(event)
        if target is None:
            raise IllegalTransitionError(f"{event.name} cannot happen to a {self.state.name} state")
        self.state = target

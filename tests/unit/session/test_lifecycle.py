import pytest

from pipeline.errors import IllegalTransitionError
from pipeline.session.lifecycle import (
    CONNECTION_TRANSITIONS,
    REQUEST_TRANSITIONS,
    ConnectionEvent,
    ConnectionState,
    Lifecycle,
    RequestEvent,
    RequestState,
)


def test_every_state_has_its_row() -> None:
    assert set(REQUEST_TRANSITIONS) == set(RequestState)
    assert set(CONNECTION_TRANSITIONS) == set(ConnectionState)


@pytest.mark.parametrize("state", RequestState)
@pytest.mark.parametrize("event", RequestEvent)
def test_a_request_makes_the_transitions_of_the_table_and_no_others(state: RequestState, event: RequestEvent) -> None:
    lifecycle = Lifecycle(REQUEST_TRANSITIONS, state)
    target = REQUEST_TRANSITIONS[state].get(event)
    if target is None:
        with pytest.raises(IllegalTransitionError):
            lifecycle.fire(event)
        assert lifecycle.state is state
    else:
        lifecycle.fire(event)
        assert lifecycle.state is target


def test_a_connection_never_opens_again() -> None:
    for state in (ConnectionState.CLOSING, ConnectionState.CLOSED):
        for event in ConnectionEvent:
            lifecycle = Lifecycle(CONNECTION_TRANSITIONS, state)
            lifecycle.fire(event)
            assert lifecycle.state is not ConnectionState.OPEN


def test_every_request_state_is_reached_and_leads_to_the_end() -> None:
    reached, frontier = {RequestState.QUEUED}, [RequestState.QUEUED]
    while frontier:
        for target in REQUEST_TRANSITIONS[frontier.pop()].values():
            if target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(RequestState)
    assert all(
        RequestState.ENDED in REQUEST_TRANSITIONS[state].values()
        for state in set(RequestState) - {RequestState.QUEUED, RequestState.ENDED}
    )


def test_an_upload_is_never_complete_before_its_bytes_are() -> None:
    for state in (RequestState.RECEIVING, RequestState.RECEIVING_PAUSED):
        assert RequestEvent.COMPLETE not in REQUEST_TRANSITIONS[state]

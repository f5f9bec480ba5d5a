"""Subscriptions: what is new is told once, in order, and nobody waits for their end."""

from typing import Any

import pytest

from pipeline.errors import CatalogueUnavailableError
from pipeline.session import open_requests
from pipeline.session.actions import Action, Answer, Ask, AwaitChange, StopRequest
from tests.unit.session.session_made import (
    IDLE_TIMEOUT_S,
    DrivenSession,
    FakeClock,
    SmallLimits,
    calls,
    closed,
    make_session,
    of_type,
    said,
    send,
)


def news(version: int, *events: int) -> dict[str, Any]:
    head = {"version": version, "nonce": f"n{version}"}
    return {"catalogue": "default", "head": head, "events": [{"version": event} for event in events]}


def newest(session: DrivenSession) -> Ask[Any]:
    return session.asks[-1]


def asked_since(actions: list[Action]) -> list[int | None]:
    """Return after which versions events are asked for."""
    return [call.message.since for call in calls(actions, Answer)]  # type: ignore[attr-defined]


def subscribe(session: DrivenSession, request_id: str = "s", since: int | None = None) -> list[Action]:
    return send(session, type="subscribe", id=request_id, since=since)


def told(session: DrivenSession, request_id: str = "s") -> None:
    """Subscribe, and let the session tell the first news."""
    subscribe(session, request_id)
    session.report(newest(session), news(3))


def test_what_there_is_is_told_at_once_and_then_each_change() -> None:
    session = make_session()
    assert asked_since(subscribe(session)) == [None]
    first = session.report(newest(session), news(3))
    assert said(first) == [{"type": "subscribe", "id": "s", "data": news(3)}]
    assert calls(first, AwaitChange) == [AwaitChange("default", news(3)["head"])]
    change = session.report(newest(session), None)
    assert asked_since(change) == [3]
    later = session.report(newest(session), news(5, 4, 5))
    assert said(later) == [{"type": "subscribe", "id": "s", "data": news(5, 4, 5)}]
    assert calls(later, AwaitChange) == [AwaitChange("default", news(5)["head"])]


def test_many_events_come_page_by_page_without_waiting_between() -> None:
    session = make_session()
    assert asked_since(subscribe(session, since=0)) == [0]
    assert asked_since(session.report(newest(session), news(3, 1, 2))) == [2]
    last = session.report(newest(session), news(3, 3))
    assert [message["data"]["events"] for message in said(last)] == [[{"version": 3}]]
    assert len(calls(last, AwaitChange)) == 1


def test_a_look_that_finds_nothing_new_is_not_told() -> None:
    session = make_session()
    told(session)
    session.report(newest(session), None)
    actions = session.report(newest(session), news(3))
    assert said(actions) == []
    assert len(calls(actions, AwaitChange)) == 1


def test_an_older_copy_that_was_put_back_is_told_and_followed_from_there() -> None:
    session = make_session()
    told(session)
    session.report(newest(session), None)
    actions = session.report(newest(session), news(1))
    assert [message["data"] for message in said(actions)] == [news(1)]
    assert asked_since(session.report(newest(session), None)) == [1]


def test_a_client_that_is_slow_to_read_is_told_later_and_of_all() -> None:
    session = make_session()
    told(session)
    session.hold(True)
    assert session.report(newest(session), None) == []
    assert asked_since(session.hold(False)) == [3]


def test_it_ends_by_cancel() -> None:
    session = make_session()
    told(session)
    stop, complete = send(session, type="cancel", id="s")
    assert stop == StopRequest(1)
    assert said([complete])[0]["type"] == "complete"


def test_it_ends_with_the_error_that_its_catalogue_has() -> None:
    session = make_session()
    told(session)
    session.report(newest(session), None)
    (error,) = of_type(session.failed(newest(session), CatalogueUnavailableError("gone")), "error")
    assert (error["id"], error["code"]) == ("s", "catalogue_unavailable")


def test_a_connection_that_subscribes_is_not_idle_but_nobody_waits_for_it() -> None:
    clock = FakeClock()
    session = make_session(clock)
    told(session)
    assert session.next_deadline() is None
    clock.time_s += 10 * IDLE_TIMEOUT_S
    assert session.tick() == []
    assert session.idle, "a service that stops need not wait"
    stop, close = session.close(1012, "restart")
    assert stop == StopRequest(1)
    assert closed([close]) == [1012]


def test_subscriptions_count_for_no_limit_but_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_requests, "MAX_SUBSCRIPTIONS", 2)
    session = make_session(limits=SmallLimits(max_requests_per_connection=1))
    told(session, "s")
    told(session, "t")
    (refused,) = said(subscribe(session, "u"))
    assert (refused["id"], refused["code"]) == ("u", "too_many_requests")
    assert "2 subscriptions are running" in refused["message"]
    assert calls(send(session, type="catalogues", id="c"), Answer)
    assert [each["code"] for each in said(send(session, type="catalogues", id="d"))] == ["too_many_requests"]

"""Streams: entries by themselves, a window of 256 unacknowledged ones, a timeout."""

from typing import Any

import pytest

from pipeline.session.actions import Action, RankQueries, StopRequest
from pipeline.session.session import Session
from tests.unit.session.session_made import (
    ACK_TIMEOUT_S,
    FakeClock,
    asked,
    calls,
    finish,
    found,
    make_session,
    not_found,
    of_type,
    ranking,
    said,
    send,
)

ITEM = {"path": "a.jpg", "type": "fluke", "embedding": [0.5]}


def stream(session: Session, photos: int, **fields: Any) -> list[Action]:
    return send(session, type="extract", id="x", stream=True, fileNames=[f"{n}.jpg" for n in range(photos)], **fields)


def items(actions: list[Action], kind: str = "extract") -> list[dict[str, Any]]:
    return [message["item"] for message in of_type(actions, kind) if "item" in message]


def test_each_entry_is_sent_as_its_photo_is_done_and_the_end_holds_counts_only() -> None:
    session = make_session()
    stream(session, 2)
    (item,) = items(session.photo_extracted(1, 1, found((1.0,))))
    assert (item["path"], item["index"], item["embedding"]) == ("1.jpg", 1, [1.0])
    *_, failed, counts, complete = said(session.photo_extracted(1, 0, not_found()))
    assert failed["item"]["error"]["code"] == "no_animal"
    assert counts == {"type": "extract", "id": "x", "counts": {"items": 2, "failed": 1, "cancelled": 0}}
    assert complete == {"type": "complete", "id": "x", "seconds": 0.0}


def test_a_client_that_does_not_acknowledge_gets_256_items_and_no_photo_is_started_for_it() -> None:
    session = make_session()
    actions = finish(session, stream(session, 300))
    assert len(items(actions)) == 256
    # The window of four photos (2 x 2 in flight) was with the shell when the stream became full.
    assert len(asked(actions)) == 256 + 4 - 1
    assert of_type(actions, "complete") == []


def test_acknowledging_lets_the_stream_go_on_to_its_end() -> None:
    session = make_session()
    sent = items(finish(session, stream(session, 300)))
    sent += items(finish(session, send(session, type="ack", id="x", items=10)))
    assert len(sent) == 266
    actions = finish(session, send(session, type="ack", id="x", items=256))
    assert sorted(item["index"] for item in sent + items(actions)) == list(range(300))
    assert of_type(actions, "complete") != []


def test_the_last_items_need_no_acknowledgement() -> None:
    session = make_session()
    actions = finish(session, stream(session, 256))
    assert len(items(actions)) == 256
    assert of_type(actions, "complete") != []


def test_photos_in_flight_when_the_stream_pauses_are_kept_and_no_more() -> None:
    session = make_session()
    queue = asked(stream(session, 300, animals="all"))
    actions: list[Action] = []
    while queue:
        _, index = queue.pop(0)
        further = session.photo_extracted(1, index, found(animals=2))
        actions += further
        queue += asked(further)
    assert len(items(actions)) == 256
    actions = send(session, type="ack", id="x", items=200)
    # Whatever was kept came from photos that had been with the shell: at most the window of four.
    assert 0 < len(items(actions)) <= 4 * 2


def test_refused_photos_take_part_in_the_window() -> None:
    session = make_session(uploads_only=True)
    actions = stream(session, 300)
    assert len(items(actions)) == 256
    actions = send(session, type="ack", id="x", items=100)
    assert len(items(actions)) == 44
    assert of_type(actions, "complete") != []


def test_an_unacknowledged_stream_ends_after_its_timeout() -> None:
    clock = FakeClock()
    session = make_session(clock)
    queue = asked(stream(session, 300))
    while len(queue) > 3:
        queue += asked(session.photo_extracted(1, queue.pop(0)[1], found()))
    clock.time_s += ACK_TIMEOUT_S - 0.1
    assert session.tick() == []
    clock.time_s += 0.1
    actions = session.tick()
    assert actions[0] == StopRequest(1)
    (error,) = said(actions)
    assert (error["type"], error["id"], error["code"]) == ("error", "x", "ack_timeout")
    assert session.photo_extracted(1, queue[0][1], found()) == []
    assert said(stream(session, 1)) == []


def test_every_acknowledgement_gives_more_time() -> None:
    clock = FakeClock()
    session = make_session(clock)
    finish(session, stream(session, 600))
    for _ in range(3):
        clock.time_s += ACK_TIMEOUT_S - 1
        assert session.tick() == []
        assert len(items(finish(session, send(session, type="ack", id="x", items=1)))) == 1
    assert session.next_deadline() == clock.time_s + ACK_TIMEOUT_S


def test_a_stream_that_is_not_full_has_no_deadline() -> None:
    clock = FakeClock()
    session = make_session(clock)
    finish(session, stream(session, 300))
    finish(session, send(session, type="ack", id="x", items=1))
    send(session, type="ack", id="x", items=100)
    assert session.next_deadline() is None


@pytest.mark.parametrize("already", [0, 2])
def test_more_acknowledged_than_sent_ends_the_request(already: int) -> None:
    session = make_session()
    stream(session, 20)
    for index in range(already):
        session.photo_extracted(1, index, found())
    (error,) = said(send(session, type="ack", id="x", items=already + 1))
    assert (error["id"], error["code"]) == ("x", "malformed")


def test_what_was_left_of_a_cancelled_stream_is_counted() -> None:
    session = make_session()
    finish(session, stream(session, 300))
    counts, _ = said(send(session, type="cancel", id="x"))
    assert counts["counts"] == {"items": 256, "failed": 0, "cancelled": 44}


def test_identify_streams_too_and_asks_for_no_more_rankings_while_it_is_paused() -> None:
    session = make_session()
    actions = finish(session, send(session, type="identify", id="x", stream=True, data=[ITEM] * 400))
    assert len(items(actions, "identify")) == 256
    assert sum(len(call.queries) for call in calls(actions, RankQueries)) == 256
    actions = finish(session, send(session, type="ack", id="x", items=256))
    assert len(items(actions, "identify")) == 144
    assert items(actions, "identify")[-1] == {
        "path": "a.jpg",
        "index": 399,
        "identities": [["PMOD001_DANTE", 0.339]],
    }
    assert of_type(actions, "complete") != []


def test_an_identify_stream_holds_at_most_one_portion_back() -> None:
    session = make_session()
    data = [{"path": "bad"}] * 255 + [ITEM] * 100
    actions = send(session, type="identify", id="x", stream=True, data=data)
    (portion,) = calls(actions, RankQueries)
    later = session.ranked(1, *[ranking() for _ in portion.queries])
    assert len(items(actions + later, "identify")) == 256
    assert not calls(later, RankQueries)

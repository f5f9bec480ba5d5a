"""Uploads: whose bytes these are, when they are acknowledged, and how many can be held."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import UploadSource
from pipeline.session.actions import Action, Ask, ExtractPhoto, StopRequest
from pipeline.session.errors import PolicyViolationError
from pipeline.session.session import Session
from pipeline.session.uploads import (
    ACKNOWLEDGED_STEP_BYTES,
    FREELY_HELD_BYTES,
    MAX_UNACKNOWLEDGED_BYTES,
    ReceivedPhoto,
    UploadQueue,
)
from tests.unit.session.session_made import (
    ACK_TIMEOUT_S,
    UPLOAD_TIMEOUT_S,
    FakeClock,
    FakeRoom,
    SmallLimits,
    asked,
    closed,
    find,
    finish,
    found,
    make_session,
    of_type,
    said,
    send,
)

MIB = 2**20


def upload(session: Session, request_id: str, *sizes: object, **fields: Any) -> list[Action]:
    """Announce photos of these sizes."""
    photos = [{"name": f"{request_id}{place}.jpg", "size": size} for place, size in enumerate(sizes)]
    return send(session, type="extract", id=request_id, uploads=photos, **fields)


def photos_in(actions: list[Action]) -> list[tuple[int, int, bytes]]:
    photos = [(ask.request, ask.call) for ask in actions if isinstance(ask, Ask) and isinstance(ask.call, ExtractPhoto)]
    return [
        (request, call.index, call.source.content) for request, call in photos if isinstance(call.source, UploadSource)
    ]


# --- through the session ---


def test_an_upload_is_asked_for_taken_in_and_answered() -> None:
    session = make_session()
    assert said(upload(session, "x", 3, 2)) == [{"type": "ready", "id": "x", "skip": []}]
    actions = session.receive_bytes(b"ab")
    assert actions == []
    actions = session.receive_bytes(b"c")
    assert said(actions) == [{"type": "received", "id": "x", "bytes": 3}]
    assert photos_in(actions) == [(1, 0, b"abc")]
    actions = session.receive_bytes(b"de")
    assert photos_in(actions) == [(1, 1, b"de")]
    (result,) = of_type(finish(session, actions) + session.photo_extracted(1, 0, found()), "extract")
    assert [entry["path"] for entry in result["data"]] == ["x0.jpg", "x1.jpg"]


def test_refused_photos_are_skipped_and_have_their_outcome_in_the_result() -> None:
    session = make_session(limits=SmallLimits(max_photo_bytes=100))
    (ready,) = of_type(upload(session, "x", 101, 1, 0, "big", 100), "ready")
    assert ready["skip"] == [0, 2, 3]
    actions = finish(session, session.receive_bytes(b"a" + b"b" * 100))
    (result,) = of_type(actions, "extract")
    assert [entry.get("error", {}).get("code") for entry in result["data"]] == [
        "too_large",
        None,
        "unreadable",
        "bad_item",
        None,
    ]


def test_a_request_of_which_every_photo_is_skipped_is_complete_at_once() -> None:
    session = make_session()
    actions = upload(session, "x", 0, 0)
    assert [message["type"] for message in said(actions)][0::5] == ["ready", "extract"]
    assert session.idle
    assert closed(session.receive_bytes(b"a")) == [1008]


def test_binary_belongs_to_the_oldest_upload_that_lacks_bytes() -> None:
    session = make_session()
    upload(session, "x", 2)
    upload(session, "y", 3)
    actions = session.receive_bytes(b"abcde")
    assert photos_in(actions) == [(1, 0, b"ab"), (2, 0, b"cde")]
    assert said(actions) == [
        {"type": "received", "id": "x", "bytes": 2},
        {"type": "received", "id": "y", "bytes": 3},
    ]


def test_text_may_come_between_the_bytes() -> None:
    session = make_session()
    upload(session, "x", 2)
    session.receive_bytes(b"a")
    finish(session, send(session, type="extract", fileNames=["a.jpg"]))
    assert photos_in(session.receive_bytes(b"b")) == [(1, 0, b"ab")]


def test_more_bytes_than_declared_close_the_connection() -> None:
    session = make_session()
    upload(session, "x", 2)
    actions = session.receive_bytes(b"abc")
    assert closed(actions) == [1008]
    assert session.held_bytes == 0


def test_photos_wait_for_their_turn_when_the_window_is_full() -> None:
    session = make_session(limits=SmallLimits(in_flight_per_connection=1))
    upload(session, "x", 1, 1, 1)
    assert asked(session.receive_bytes(b"abc")) == [(1, 0), (1, 1)]
    assert photos_in(session.photo_extracted(1, 0, found())) == [(1, 2, b"c")]


def test_a_photo_that_has_left_is_no_longer_held() -> None:
    session = make_session()
    upload(session, "x", 3, 3)
    session.receive_bytes(b"abcd")
    assert session.held_bytes == 4
    session.photo_started(1, 0)
    assert session.held_bytes == 1
    session.photo_started(1, 0)
    assert session.held_bytes == 1


def test_a_paused_stream_takes_bytes_in_but_starts_no_photo() -> None:
    session = make_session()
    upload(session, "x", *[1] * 300, stream=True)
    actions = finish(session, session.receive_bytes(b"a" * 299))
    assert len(asked(actions)) == 256 + 4 - 1
    assert asked(session.receive_bytes(b"a")) == []
    actions = finish(session, send(session, type="ack", id="x", items=256))
    assert of_type(actions, "complete") != []


# --- requests that end before their bytes are in ---


def test_a_cancelled_upload_is_answered_and_stray_bytes_are_swallowed_up_to_what_was_declared() -> None:
    session = make_session()
    upload(session, "x", 3, 3)
    session.receive_bytes(b"abcd")
    actions = send(session, type="cancel", id="x")
    assert actions[0] == StopRequest(1)
    (result,) = of_type(actions, "extract")
    assert [entry["error"]["code"] for entry in result["data"]] == ["cancelled", "cancelled"]
    assert session.held_bytes == 0
    assert session.receive_bytes(b"ef") == []
    assert closed(session.receive_bytes(b"g")) == [1008]


def test_after_a_cancel_bytes_belong_to_the_next_upload() -> None:
    session = make_session()
    upload(session, "x", 3)
    upload(session, "y", 2)
    session.receive_bytes(b"a")
    send(session, type="cancel", id="x")
    assert photos_in(session.receive_bytes(b"yy")) == [(2, 0, b"yy")]


def time_out(session: Session, clock: FakeClock) -> None:
    """End an upload from the server's side while two of its bytes are on their way."""
    upload(session, "x", *[1] * 300, stream=True)
    finish(session, session.receive_bytes(b"a" * 298))
    clock.time_s += ACK_TIMEOUT_S
    (error,) = said(session.tick())
    assert error["code"] == "ack_timeout"


def test_bytes_of_an_upload_that_the_server_ended_are_swallowed_before_others_are_taken() -> None:
    clock = FakeClock()
    session = make_session(clock)
    time_out(session, clock)
    upload(session, "y", 2)
    assert session.receive_bytes(b"xx") == []
    assert photos_in(session.receive_bytes(b"yy")) == [(2, 0, b"yy")]


@pytest.mark.parametrize(
    "sign",
    [{"type": "cancel", "id": "x"}, {"type": "identify", "id": "x", "data": []}],
    ids=["late cancel", "the id used again"],
)
def test_a_client_can_say_that_it_sends_no_more_bytes_of_an_ended_upload(sign: dict[str, Any]) -> None:
    clock = FakeClock()
    session = make_session(clock)
    time_out(session, clock)
    send(session, **sign)
    upload(session, "y", 2)
    assert photos_in(session.receive_bytes(b"yy"))[-1][2] == b"yy"


# --- acknowledging ---


def test_one_large_photo_is_acknowledged_to_its_end() -> None:
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    queue.add(1, [(0, 64 * MIB)])
    acknowledged = 0
    for _ in range(64):
        photos = queue.take(bytes(MIB))
        acknowledged += sum(count for _, count in queue.acknowledgements())
    assert acknowledged == 64 * MIB
    assert [len(photo.content) for photo in photos] == [64 * MIB]


def test_bytes_beyond_the_free_share_are_acknowledged_when_photos_leave() -> None:
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    queue.add(1, [(index, 3 * MIB) for index in range(4)])
    due = 0
    for _ in range(9):
        queue.take(bytes(MIB))
        due += sum(count for _, count in queue.acknowledgements())
    assert due == FREELY_HELD_BYTES
    queue.release(1, 0)
    assert queue.acknowledgements() == [(1, MIB)]
    assert queue.held_bytes == 6 * MIB


def test_a_client_that_overruns_the_window_is_cut_off() -> None:
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    queue.add(1, [(index, 4 * MIB) for index in range(20)])
    for _ in range((FREELY_HELD_BYTES + MAX_UNACKNOWLEDGED_BYTES) // MIB):
        queue.take(bytes(MIB))
        queue.acknowledgements()
    with pytest.raises(PolicyViolationError):
        queue.take(b"a")


def test_the_end_of_a_request_gives_its_share_to_the_others() -> None:
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    queue.add(1, [(0, FREELY_HELD_BYTES)])
    queue.add(2, [(0, MIB), (1, MIB)])
    for _ in range(10):
        queue.take(bytes(MIB))
    assert [request for request, _ in queue.acknowledgements()] == []
    queue.end(1, by_client=True)
    assert queue.acknowledgements() == [(2, 2 * MIB)]
    assert queue.held_bytes == 2 * MIB


def test_tiny_messages_do_not_cost_an_answer_each() -> None:
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    size = 2 * ACKNOWLEDGED_STEP_BYTES
    queue.add(1, [(0, size)])
    answers = []
    for _ in range(size // 1024):
        queue.take(bytes(1024))
        answers += queue.acknowledgements()
    assert answers == [(1, ACKNOWLEDGED_STEP_BYTES)] * 2


def test_swallowed_bytes_need_no_acknowledgement() -> None:
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    queue.add(1, [(0, 60 * MIB)])
    queue.take(bytes(MIB))
    queue.end(1, by_client=False)
    for _ in range(59):
        assert queue.take(bytes(MIB)) == []
    assert queue.acknowledgements() == []
    with pytest.raises(PolicyViolationError):
        queue.take(b"a")


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 25), min_size=1),
    split=st.integers(0, 12),
)
def test_photos_come_out_as_they_went_in_however_the_bytes_are_cut(
    sizes: list[int], cuts: list[int], split: int
) -> None:
    contents = [bytes([65 + place]) * size for place, size in enumerate(sizes)]
    queue = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom())
    for request, part in ((1, range(0, split)), (2, range(split, len(sizes)))):
        photos = [(index, sizes[index]) for index in part if index < len(sizes)]
        if photos:
            queue.add(request, photos)
    data, received, acknowledged, turn = b"".join(contents), list[ReceivedPhoto](), 0, 0
    while data:
        cut = cuts[turn % len(cuts)]
        received += queue.take(data[:cut])
        acknowledged += sum(count for _, count in queue.acknowledgements())
        data, turn = data[cut:], turn + 1
    assert [photo.content for photo in received] == contents
    assert [photo.index for photo in received] == list(range(len(sizes)))
    assert acknowledged == sum(sizes)
    with pytest.raises(PolicyViolationError):
        queue.take(b"a")


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_an_obedient_client_always_gets_on_and_never_fills_the_memory(data: st.DataObject) -> None:
    """The client sends whenever the window allows; photos leave at random moments, and always while it is stuck."""
    sizes = data.draw(st.lists(st.integers(1, 40 * MIB), min_size=1, max_size=6))
    queue, window = UploadQueue(FakeClock(), UPLOAD_TIMEOUT_S, FakeRoom()), MAX_UNACKNOWLEDGED_BYTES
    queue.add(1, list(enumerate(sizes)))
    left, complete = sum(sizes), list[int]()
    while left:
        chunk = min(left, MIB, window)
        if chunk:
            complete += [photo.index for photo in queue.take(bytes(chunk))]
            left, window = left - chunk, window - chunk
        stuck = not window
        assert complete or not stuck or queue.held_bytes <= FREELY_HELD_BYTES
        if complete and (stuck or data.draw(st.booleans())):
            queue.release(1, complete.pop(0))
        window += sum(count for _, count in queue.acknowledgements())
        assert window or complete
        assert queue.held_bytes <= max(FREELY_HELD_BYTES, *sizes) + MAX_UNACKNOWLEDGED_BYTES


def test_the_ready_message_comes_first() -> None:
    session = make_session()
    assert find(upload(session, "x", 0, 5), "{")[0] == '{"type":"ready","id":"x","skip":[0]}'


# --- memory and time ---


@pytest.mark.parametrize("sent", [b"", b"a", b"abc", b"abcd"])
def test_what_begins_in_the_next_bytes_is_known_before_they_are_taken(sent: bytes) -> None:
    session = make_session()
    upload(session, "x", 3, 0, 2, 1)
    upload(session, "y", 4)
    if sent:
        session.receive_bytes(sent)
    before, coming = session.uploads.begun_bytes, 6 - len(sent)
    expected = {0: 3 + 2 + 1, 1: 2 + 1, 3: 2 + 1, 4: 1}[len(sent)]
    assert session.uploads.beginning_in(coming) == expected
    assert session.uploads.beginning_in(coming + 1) == expected + 4
    session.receive_bytes(bytes(coming))
    assert session.uploads.begun_bytes == before + expected == 6


def test_a_photo_holds_its_declared_size_from_its_first_byte_until_it_leaves() -> None:
    session = make_session()
    upload(session, "x", 3)
    session.receive_bytes(b"a")
    assert (session.uploads.begun_bytes, session.uploads.unfinished_bytes) == (3, 3)
    session.receive_bytes(b"bc")
    assert (session.uploads.begun_bytes, session.uploads.unfinished_bytes) == (3, 0)
    session.photo_started(1, 0)
    assert session.uploads.begun_bytes == 0


def test_bytes_of_an_ended_upload_need_no_memory() -> None:
    clock = FakeClock()
    session = make_session(clock)
    upload(session, "x", 3, 5)
    session.receive_bytes(b"a")
    clock.time_s += UPLOAD_TIMEOUT_S
    session.tick()
    assert (session.uploads.begun_bytes, session.uploads.beginning_in(7)) == (0, 0)


def test_a_photo_that_does_not_move_ends_its_request_and_names_itself() -> None:
    clock = FakeClock()
    session = make_session(clock)
    upload(session, "x", 2, 4)
    session.receive_bytes(b"abc")
    clock.time_s += UPLOAD_TIMEOUT_S - 1
    session.receive_bytes(b"d")
    clock.time_s += UPLOAD_TIMEOUT_S - 1
    assert session.tick() == []
    assert session.next_deadline() == clock.time_s + 1
    clock.time_s += 1
    (error,) = said(session.tick())
    assert (error["type"], error["id"], error["code"]) == ("error", "x", "upload_timeout")
    assert error["message"].startswith("x1.jpg: ")
    assert session.held_bytes == 0


def test_a_slow_photo_may_take_long_while_nobody_waits_for_its_memory() -> None:
    clock, room = FakeClock(), FakeRoom()
    session = make_session(clock, upload_room=room)
    upload(session, "x", 100)
    for _ in range(50):
        session.receive_bytes(b"a")
        clock.time_s += UPLOAD_TIMEOUT_S / 2
        assert session.tick() == []
    assert session.next_deadline() == clock.time_s + 1  # looked at again, because somebody may come to wait
    room.others_wait = True
    (error,) = said(session.tick())
    assert error["code"] == "upload_timeout"


def test_a_photo_has_its_time_also_while_others_wait() -> None:
    clock = FakeClock()
    session = make_session(clock, upload_room=FakeRoom(others_wait=True))
    upload(session, "x", 100)
    session.receive_bytes(b"a")
    clock.time_s += UPLOAD_TIMEOUT_S - 1
    session.receive_bytes(b"b")
    assert session.tick() == []
    clock.time_s += 1
    assert of_type(session.tick(), "error")


def test_the_time_does_not_pass_while_the_client_is_held_back() -> None:
    clock = FakeClock()
    session = make_session(clock, idle_timeout_s=UPLOAD_TIMEOUT_S)
    upload(session, "x", 3)
    session.receive_bytes(b"a")
    session.uploads.hold_back(True)
    clock.time_s += 10 * UPLOAD_TIMEOUT_S
    assert session.tick() == []
    assert session.next_deadline() is None
    session.uploads.hold_back(False)
    session.receive_bytes(b"b")
    clock.time_s += UPLOAD_TIMEOUT_S - 1
    assert session.tick() == []


def test_the_time_does_not_pass_while_bytes_are_not_acknowledged() -> None:
    clock = FakeClock()
    limits = SmallLimits(max_photo_bytes=20 * MIB, in_flight_per_connection=1)
    session = make_session(clock, limits)
    upload(session, "x", 9 * MIB, 2 * MIB, 3)
    for _ in range(10):
        session.receive_bytes(bytes(MIB))
    clock.time_s += UPLOAD_TIMEOUT_S
    assert session.tick() == []
    session.photo_started(1, 0)
    clock.time_s += UPLOAD_TIMEOUT_S - 1
    assert session.tick() == []
    clock.time_s += 1
    assert of_type(session.tick(), "error")

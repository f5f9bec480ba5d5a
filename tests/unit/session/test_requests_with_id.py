"""Requests with `id`: overlap, cancelling, refusals; and every message in every state."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.access import NEEDED, Need
from pipeline.errors import CatalogueUnavailableError
from pipeline.protocol.base import Request
from pipeline.protocol.filters import Detail, Filters
from pipeline.protocol.json_text import MAX_TEXT_BYTES
from pipeline.protocol.requests import MESSAGES
from pipeline.records import Candidate, Failure, Ranking, Reference, SaveOutcome
from pipeline.rights import Right
from pipeline.session import session as session_module
from pipeline.session.actions import Action, LetOthersGo, RankInSeveral, RankQueries, SavePhoto, SendText, StopRequest
from pipeline.session.lifecycle import ConnectionState
from pipeline.session.session import Session
from tests.unit.session.session_made import (
    ACK_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    FakeClock,
    SmallLimits,
    asked,
    calls,
    closed,
    finish,
    found,
    good_steps,
    lines,
    make_session,
    not_found,
    of_type,
    ranking,
    said,
    send,
)

ITEM = {"path": "a.jpg", "type": "fluke", "embedding": [0.5]}
AT = {"latitude": 1, "longitude": 1, "radius_m": 5}


def begin(session: Session, request_id: str = "x", photos: int = 2, **fields: Any) -> list[Action]:
    """Start an extract of some photos."""
    return send(session, type="extract", id=request_id, fileNames=[f"{n}.jpg" for n in range(photos)], **fields)


# --- the answers ---


def test_an_extract_is_answered_in_json_with_all_that_is_known() -> None:
    clock = FakeClock()
    session = make_session(clock)
    actions = begin(session)
    actions += session.photo_segmented(1, 0)
    actions += session.photo_extracted(1, 0, found((0.5, -0.25)))
    clock.time_s += 1.234
    actions += session.photo_extracted(1, 1, not_found())
    progress = {"type": "progress", "id": "x", "total": 2}
    assert said(actions) == [
        {**progress, "stage": "segmenting", "done": 1},
        {**progress, "stage": "extracting", "done": 1},
        {**progress, "stage": "segmenting", "done": 2},
        {**progress, "stage": "extracting", "done": 2},
        {
            "type": "extract",
            "id": "x",
            "data": [
                {
                    "path": "0.jpg",
                    "type": "fluke",
                    "embedding": [0.5, -0.25],
                    "index": 0,
                    "animal": 1,
                    "box_xyxy_px": [10.0, 20.0, 110.5, 80.0],
                    "score": 0.75,
                    "model": "5e1f00d",
                    "sha256": "ab" * 32,
                },
                {
                    "path": "1.jpg",
                    "index": 1,
                    "error": {"code": "no_animal", "message": "no fluke or flank was found"},
                    "sha256": "cd" * 32,
                },
            ],
        },
        {"type": "complete", "id": "x", "seconds": 1.23},
    ]


def test_entries_stand_in_the_order_of_the_request_whatever_the_order_of_the_photos() -> None:
    session = make_session()
    begin(session, photos=3)
    actions = [action for index in (2, 0, 1) for action in session.photo_extracted(1, index, found(animals=2))]
    (result,) = of_type(actions, "extract")
    assert [(entry["index"], entry["animal"]) for entry in result["data"]] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    ]


def test_an_identify_is_answered_in_json() -> None:
    session = make_session()
    send(session, type="identify", id="x", data=[ITEM, ITEM, {"type": "fluke"}])
    refused = Ranking((), Failure("other_model", "made by other weights"))
    actions = session.ranked(1, ranking(("Dante", 0.25)), refused)
    (result,) = of_type(actions, "identify")
    assert result["data"] == [
        {"path": "a.jpg", "index": 0, "identities": [["Dante", 0.25]]},
        {"path": "a.jpg", "index": 1, "error": {"code": "other_model", "message": "made by other weights"}},
        {"path": None, "index": 2, "error": {"code": "bad_item", "message": "path: must be a string"}},
    ]


def test_an_identify_with_references_is_answered_in_detail() -> None:
    session = make_session()
    actions = send(session, type="identify", id="x", data=[ITEM, ITEM], topK=2, references=1, filters={"side": "left"})
    (call,) = calls(actions, RankQueries)
    assert call.detail == Detail(1, Filters(side="left"))
    dante = Candidate("Dante", 0.25, 7, (Reference(3, 0.125, None),))
    told = Ranking((dante, Candidate("Unknown", 1.0)), individuals=9, description="{}.signed")
    (result,) = of_type(session.ranked(1, told, Ranking((), Failure("other_model", "other weights"))), "identify")
    answered, refused = result["data"]
    assert answered == {
        "path": "a.jpg",
        "index": 0,
        "identities": [["Dante", 0.25], ["Unknown", 1.0]],
        "candidates": [
            {
                "individual": 7,
                "name": "Dante",
                "distance": 0.25,
                "references": [{"annotation": 3, "distance": 0.125, "encounter": None}],
            }
        ],
        "individuals": 9,
        "ranking": "{}.signed",
    }
    assert refused.keys() == {"path", "index", "error"}


def test_an_identify_in_several_catalogues_says_of_each_candidate_whose_it_is() -> None:
    session = make_session()
    actions = send(session, type="identify", id="x", data=[ITEM], topK=3, catalogues=["azores", "madeira"])
    (call,) = calls(actions, RankInSeveral)
    assert (call.catalogues, call.top_k, call.detail) == (("azores", "madeira"), 3, None)
    assert call.need == Need(Right.MATCH, "azores", others=("madeira",))
    viewed, other = Candidate("Dante", 0.25, 7, catalogue="azores"), Candidate("Dante", 0.5, catalogue="madeira")
    told = Ranking((viewed, other, Candidate("Unknown", 1.0)), description="{}.signed")
    (result,) = of_type(session.report(session.asks[0], (told,)), "identify")
    assert result["data"] == [
        {
            "path": "a.jpg",
            "index": 0,
            "identities": [["Dante", 0.25], ["Dante", 0.5], ["Unknown", 1.0]],
            "candidates": [
                {"individual": 7, "catalogue": "azores", "name": "Dante", "distance": 0.25, "references": []},
                {"catalogue": "madeira", "name": "Dante", "distance": 0.5, "references": []},
            ],
            "ranking": "{}.signed",
        }
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"catalogues": []}, "catalogues"),
        ({"catalogues": "azores"}, "catalogues"),
        ({"catalogues": [f"c{number}" for number in range(17)]}, "catalogues"),
        ({"catalogues": ["azores", "azores"]}, "catalogues: each may be named once"),
        ({"catalogues": ["azores"], "catalogue": "madeira"}, "catalogues: cannot stand beside catalogue"),
        ({"catalogues": ["azores"], "key": "k"}, "catalogues: rank only"),
        ({"catalogues": ["azores"], "data": [ITEM, {**ITEM, "identity": "Dante"}]}, "catalogues: rank only"),
        ({"catalogues": ["azores"], "data": [{**ITEM, "identity": 5}]}, "catalogues: rank only"),
    ],
)
def test_several_catalogues_are_ranked_only_and_named_once(asked: dict[str, Any], message: str) -> None:
    session = make_session()
    (error,) = of_type(send(session, **{"type": "identify", "id": "x", "data": [ITEM], **asked}), "error")
    assert error["code"] == "malformed"
    assert error["message"].startswith(message)
    assert session.asks == []


def test_several_catalogues_need_an_id() -> None:
    session = make_session()
    (line,) = lines(send(session, type="identify", data=[ITEM], catalogues=["azores"]))
    assert line == "error: id: catalogues needs one"


@pytest.mark.parametrize(
    ("asked", "exact"), [({"filters": {"side": "left"}}, False), ({"filters": {"around": AT}}, True)]
)
def test_details_of_several_catalogues_need_the_right_to_view_in_each(asked: dict[str, Any], exact: bool) -> None:
    session = make_session()
    send(session, type="identify", id="x", data=[ITEM], catalogues=["azores", "madeira", "georgia"], **asked)
    (ask,) = session.asks
    assert ask.call.need == Need(Right.VIEW, "azores", exact_place=exact, others=("madeira", "georgia"))


def test_a_filter_on_a_body_part_that_no_model_has_is_refused() -> None:
    session = make_session()
    (error,) = of_type(send(session, type="identify", id="x", data=[ITEM], filters={"bodyPart": "fin"}), "error")
    assert error["code"] == "malformed"
    assert error["message"].startswith('filters.bodyPart: "fin" is no body part of the loaded models, which have ')
    assert of_type(send(session, type="identify", id="x", data=[]), "complete"), "the id is free"


def test_a_save_is_answered_in_json() -> None:
    session = make_session()
    items = [{"file": "a.jpg", "selectedIdentity": "Dante"}, {"file": "b.jpg", "selectedIdentity": "Dante"}, 5]
    actions = send(session, type="save", id="x", whaleIdentities=items)
    actions += session.saved(1, SaveOutcome("export/Dante/a.jpg", skipped=True))
    actions += session.saved(1, SaveOutcome(None, failure=Failure("export_failed", "disk full")))
    assert [message["done"] for message in of_type(actions, "progress")] == [1, 2, 3]
    (result,) = of_type(actions, "save")
    assert result["data"] == [
        {
            "file": "a.jpg",
            "selectedIdentity": "Dante",
            "index": 0,
            "new_file": "export/Dante/a.jpg",
            "skipped": True,
        },
        {
            "file": "b.jpg",
            "selectedIdentity": "Dante",
            "index": 1,
            "error": {"code": "export_failed", "message": "disk full"},
        },
        {
            "file": None,
            "selectedIdentity": None,
            "index": 2,
            "error": {"code": "bad_item", "message": "must be an object"},
        },
    ]


def test_a_service_that_takes_uploads_only_refuses_every_path_by_itself() -> None:
    session = make_session(uploads_only=True)
    actions = begin(session)
    assert asked(actions) == []
    (result,) = of_type(actions, "extract")
    assert [entry["error"]["code"] for entry in result["data"]] == ["outside_roots"] * 2
    assert len(of_type(actions, "progress")) == 4


def test_where_no_path_may_be_named_nothing_is_saved() -> None:
    session = make_session(uploads_only=True)
    actions = send(session, type="save", id="x", whaleIdentities=[{"file": "a.jpg", "selectedIdentity": "DANTE"}])
    (result,) = of_type(actions, "save")
    assert [entry["error"]["code"] for entry in result["data"]] == ["outside_roots"]
    assert session.asks == []


# --- overlap ---


def test_requests_overlap() -> None:
    session = make_session()
    begin(session, "x")
    actions = finish(session, begin(session, "y"))
    assert [message["id"] for message in of_type(actions, "complete")] == ["y"]
    assert not session.idle


def test_photos_are_issued_in_a_window() -> None:
    session = make_session(limits=SmallLimits(in_flight_per_connection=2))
    assert asked(begin(session, photos=6)) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert asked(session.photo_extracted(1, 2, found())) == [(1, 4)]


def test_more_requests_than_allowed_are_refused_and_the_others_go_on() -> None:
    session = make_session(limits=SmallLimits(max_requests_per_connection=2))
    begin(session, "x")
    begin(session, "y")
    (refusal,) = said(begin(session, "z"))
    assert (refusal["type"], refusal["id"], refusal["code"]) == ("error", "z", "too_many_requests")
    session.photo_extracted(1, 0, found())
    session.photo_extracted(1, 1, found())
    assert asked(begin(session, "z")) == [(3, 0), (3, 1)]


def test_too_many_photos_are_refused() -> None:
    session = make_session(limits=SmallLimits(max_photos_per_request=3))
    (refusal,) = said(begin(session, photos=4))
    assert (refusal["id"], refusal["code"]) == ("x", "too_many_photos")
    assert asked(begin(session, photos=3)) != []


def test_an_answer_that_grows_too_long_ends_its_request_and_no_other() -> None:
    session = make_session(limits=SmallLimits(max_result_bytes=400))
    send(session, type="identify", id="x", data=[ITEM] * 3)
    begin(session, "y", photos=1)
    long = ranking(*[(f"INDIVIDUAL_{number}", 0.5) for number in range(20)])
    actions = session.ranked(1, ranking(), long, ranking())
    assert [message["code"] for message in of_type(actions, "error")] == ["result_too_large"]
    assert session.ranked(1, ranking(), long, ranking()) == []
    assert len(of_type(session.photo_extracted(2, 0, not_found()), "complete")) == 1


def test_all_results_of_a_connection_share_what_may_be_held() -> None:
    session = make_session(limits=SmallLimits(max_result_bytes=400))
    for request_id in "xyz":
        send(session, type="identify", id=request_id, data=[ITEM] * 65)
    long = ranking(("A", 0.1))
    codes_heard = [codes(session.ranked(number, *[long] * 64)) for number in (1, 2, 3)]
    assert codes_heard == [["result_too_large"]] * 3
    send(session, type="identify", id="later", data=[ITEM])
    assert len(of_type(session.ranked(4, ranking()), "complete")) == 1


def test_a_stream_may_be_longer_than_a_result() -> None:
    session = make_session(limits=SmallLimits(max_result_bytes=100))
    begin(session, "x", photos=3, stream=True)
    actions = [action for index in range(3) for action in session.photo_extracted(1, index, found())]
    assert len(of_type(actions, "complete")) == 1


def test_reports_are_taken_once_and_never_after_the_end() -> None:
    session = make_session()
    begin(session)
    session.photo_segmented(1, 0)
    assert session.photo_segmented(1, 0) == []
    session.photo_extracted(1, 0, found())
    assert session.photo_extracted(1, 0, found()) == []
    assert session.photo_segmented(1, 0) == []
    assert session.photo_extracted(1, 7, found()) == []
    session.photo_extracted(1, 1, found())
    assert session.photo_extracted(1, 1, found()) == []
    assert session.request_failed(1, CatalogueUnavailableError("disk full")) == []


def test_a_failure_of_the_shell_ends_the_request_and_stops_its_photos() -> None:
    session = make_session()
    begin(session)
    stop, error = session.request_failed(1, CatalogueUnavailableError("disk full"))
    assert stop == StopRequest(1)
    assert isinstance(error, SendText)
    assert json.loads(error.text) == {
        "type": "error",
        "id": "x",
        "code": "catalogue_unavailable",
        "message": "disk full",
    }


@pytest.mark.parametrize(
    "message",
    [
        {"type": "identify", "data": [ITEM]},
        {"type": "identify", "data": [{**ITEM, "identity": "Dante"}]},
        {"type": "save", "whaleIdentities": [{"file": "a", "selectedIdentity": "Dante"}]},
    ],
)
def test_the_shell_is_not_told_to_stop_what_it_said_had_failed(message: dict[str, Any]) -> None:
    session = make_session()
    send(session, id="x", **message)
    actions = session.request_failed(1, CatalogueUnavailableError("disk full"))
    assert [type(action) for action in actions] == [SendText]


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ({"type": "catalogues"}, {"when": object()}),
        ({"type": "identify", "data": [ITEM, ITEM]}, (ranking(),)),
    ],
)
def test_a_step_that_cannot_be_dealt_with_still_ends_its_request(message: dict[str, Any], step: Any) -> None:
    session = make_session()
    send(session, id="x", **message)
    (ask,) = session.asks
    with pytest.raises((TypeError, ValueError)):
        session.report(ask, step)
    assert codes(session.failed(ask, CatalogueUnavailableError("a defect"))) == ["catalogue_unavailable"]
    assert session.idle


def test_a_request_without_a_row_in_the_table_of_rights_is_refused_whichever_way_it_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "NEEDED", {})
    session = make_session()
    (refusal,) = said(begin(session))
    assert (refusal["id"], refusal["code"]) == ("x", "forbidden")
    (line,) = lines(send(session, type="extract", fileNames=["a.jpg"]))
    assert line.startswith("error: type: extract may not be sent")
    assert session.asks == []


def test_every_request_has_a_row_in_the_table_of_rights() -> None:
    assert {name for name, kind in MESSAGES.items() if issubclass(kind, Request)} == set(NEEDED)


def test_what_is_asked_of_the_shell_names_the_right_and_the_catalogue_that_it_needs() -> None:
    session = make_session()
    send(session, type="identify", id="x", catalogue="azores", data=[{**ITEM, "identity": "DANTE"}, ITEM])
    session.stored(1)
    send(session, type="catalogues", id="z")
    send(session, type="extract", id="y", fileNames=["a.jpg"])
    needs = [ask.call.need for ask in session.asks]
    assert needs == [Need(Right.CONFIRM, "azores"), Need(Right.MATCH, "azores"), None, Need(Right.MATCH, anywhere=True)]


@pytest.mark.parametrize(
    ("asked", "exact"),
    [
        ({"topK": 1, "references": 1}, False),
        ({"filters": {}}, False),
        ({"filters": {"side": "left", "from": "2020-05-01"}}, False),
        ({"filters": {"box": {"south": 1, "west": 1, "north": 2, "east": 2}}}, True),
        ({"filters": {"around": {"latitude": 1, "longitude": 1, "radius_m": 5}}}, True),
    ],
)
def test_details_need_the_right_to_view_and_places_to_see_them_exactly(asked: dict[str, Any], exact: bool) -> None:
    session = make_session()
    send(session, type="identify", id="x", catalogue="azores", data=[{**ITEM, "identity": "DANTE"}, ITEM], **asked)
    session.stored(1)
    needs = [ask.call.need for ask in session.asks]
    confirm, view = (Need(right, "azores", exact_place=exact) for right in (Right.CONFIRM, Right.VIEW))
    assert needs == [confirm, view]


def test_a_request_without_elements_has_one_answer() -> None:
    session = make_session()
    actions = send(session, type="catalogues", id="x")
    answer, complete = said(finish(session, actions))
    assert answer == {"type": "catalogues", "id": "x", "data": {"good": True}}
    assert complete["type"] == "complete"
    assert session.idle


def test_an_answer_that_is_longer_than_a_result_may_be_is_refused() -> None:
    session = make_session(limits=SmallLimits(max_result_bytes=200))
    send(session, type="annotations", id="x")
    (ask,) = session.asks
    assert codes(session.report(ask, {"annotations": [{"path": "x" * 200}]})) == ["result_too_large"]
    assert session.idle


def test_a_request_without_elements_that_is_cancelled_only_completes() -> None:
    session = make_session()
    send(session, type="catalogues", id="x")
    stop, complete = send(session, type="cancel", id="x")
    assert stop == StopRequest(1)
    assert said([complete])[0]["type"] == "complete"


def test_a_request_without_elements_does_not_stream() -> None:
    session = make_session()
    send(session, type="catalogues", id="x")
    assert codes(send(session, type="ack", id="x", items=1)) == ["malformed"]


# --- cancelling ---


def test_what_was_left_of_a_cancelled_extract_is_cancelled() -> None:
    session = make_session()
    begin(session, photos=3)
    session.photo_extracted(1, 1, found())
    actions = send(session, type="cancel", id="x")
    assert actions[0] == StopRequest(1)
    result, complete = said(actions)
    assert [entry.get("error", {}).get("code") for entry in result["data"]] == ["cancelled", None, "cancelled"]
    assert complete["type"] == "complete"
    assert session.idle


def test_what_was_left_of_a_cancelled_identify_and_save_is_cancelled() -> None:
    session = make_session()
    send(session, type="identify", id="x", data=[ITEM] * 65)
    send(session, type="save", id="y", whaleIdentities=[{"file": "a", "selectedIdentity": "Dante"}])
    session.ranked(1, *[ranking()] * 64)
    (identified,) = of_type(send(session, type="cancel", id="x"), "identify")
    (saved,) = of_type(send(session, type="cancel", id="y"), "save")
    assert [entry.get("error", {}).get("code") for entry in identified["data"]] == [None] * 64 + ["cancelled"]
    assert [entry["error"]["code"] for entry in saved["data"]] == ["cancelled"]


def test_a_cancel_or_ack_that_crosses_with_the_end_is_no_error() -> None:
    session = make_session()
    finish(session, begin(session))
    assert send(session, type="cancel", id="x") == []
    assert send(session, type="ack", id="x", items=1) == []


def test_only_so_many_ended_ids_are_remembered() -> None:
    session = make_session()
    for number in range(257):
        send(session, type="identify", id=f"{number}", data=[])
    assert send(session, type="cancel", id="1") == []
    assert said(send(session, type="cancel", id="0"))[0]["code"] == "unknown_id"


# --- every message in every state of the request that it names ---


def _none(session: Session) -> None:
    """No request ever had the id."""


def _running(session: Session) -> None:
    begin(session)


def _streaming(session: Session) -> None:
    begin(session, photos=300, stream=True)
    session.photo_extracted(1, 0, found())


def _paused(session: Session) -> None:
    begin(session, photos=300, stream=True)
    for index in range(256):
        session.photo_extracted(1, index, found())


def _receiving(session: Session) -> None:
    send(session, type="extract", id="x", uploads=[{"name": "a", "size": 50}])


def _confirming(session: Session) -> None:
    send(session, type="identify", id="x", data=[{**ITEM, "identity": "Dante"}])


def _ranking(session: Session) -> None:
    send(session, type="identify", id="x", data=[ITEM])


def _saving(session: Session) -> None:
    send(session, type="save", id="x", whaleIdentities=[{"file": "a", "selectedIdentity": "Dante"}])


def _ended(session: Session) -> None:
    finish(session, begin(session))


BUSY = (_running, _streaming, _paused, _receiving, _confirming, _ranking, _saving)
STATES = (_none, *BUSY, _ended)
REQUESTS: tuple[dict[str, Any], ...] = (
    {"type": "extract", "id": "x", "fileNames": ["b.jpg"]},
    {"type": "extract", "id": "x", "uploads": [{"name": "b.jpg", "size": 3}]},
    {"type": "identify", "id": "x", "data": [ITEM]},
    {"type": "save", "id": "x", "whaleIdentities": [{"file": "b.jpg", "selectedIdentity": "Dante"}]},
    {"type": "individuals", "id": "x"},
    {"type": "merge", "id": "x", "into": 1, "others": [2]},
)
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"type": "extract", "id": "x"}, "malformed"),
    ({"type": "identify", "id": "x", "data": [], "topK": 0}, "malformed"),
    ({"type": "guess", "id": "x"}, "unknown_type"),
    ({"type": "rename", "id": "x", "individual": 0, "name": "Dante"}, "malformed"),
    ({"id": "x"}, "malformed"),
    ({"type": "extract", "id": "x", "fileNames": ["a"] * 1001}, "too_many_photos"),
)
Prepare = Callable[[Session], None]


def codes(actions: list[Action]) -> list[str]:
    return [message["code"] for message in of_type(actions, "error")]


@pytest.mark.parametrize("prepare", STATES)
@pytest.mark.parametrize("message", REQUESTS, ids=lambda message: f"{message['type']}-{list(message)[-1]}")
def test_a_request_runs_unless_its_id_does(prepare: Prepare, message: dict[str, Any]) -> None:
    session = make_session()
    prepare(session)
    actions = send(session, **message)
    assert codes(actions) == (["duplicate_id"] if prepare in BUSY else [])
    assert not session.idle


@pytest.mark.parametrize("prepare", STATES)
@pytest.mark.parametrize(("message", "code"), WRONG)
def test_a_wrong_message_is_refused_and_does_not_touch_a_running_request(
    prepare: Prepare, message: dict[str, Any], code: str
) -> None:
    session = make_session()
    prepare(session)
    actions = send(session, **message)
    assert codes(actions) == (["duplicate_id"] if prepare in BUSY else [code])
    assert session.idle != (prepare in BUSY)


@pytest.mark.parametrize("prepare", STATES)
def test_cancel_ends_whatever_runs(prepare: Prepare) -> None:
    session = make_session()
    prepare(session)
    actions = send(session, type="cancel", id="x")
    assert codes(actions) == (["unknown_id"] if prepare is _none else [])
    assert [message["id"] for message in of_type(actions, "complete")] == (["x"] if prepare in BUSY else [])
    assert [action for action in actions if isinstance(action, StopRequest)] == (
        [StopRequest(1)] if prepare in BUSY and prepare is not _receiving else []
    )
    assert session.idle


ACK_CODES = {_none: ["unknown_id"], _streaming: [], _paused: [], _ended: []}


@pytest.mark.parametrize("prepare", STATES)
def test_ack_is_for_streams(prepare: Prepare) -> None:
    session = make_session()
    prepare(session)
    actions = send(session, type="ack", id="x", items=1)
    assert codes(actions) == ACK_CODES.get(prepare, ["malformed"])
    assert session.idle != (prepare in (_streaming, _paused))


@pytest.mark.parametrize("prepare", STATES)
@pytest.mark.parametrize("message", [{"type": "ack", "items": 0}, {"type": "cancel", "reason": "tired"}])
def test_a_wrong_message_about_a_running_request_ends_it(prepare: Prepare, message: dict[str, Any]) -> None:
    session = make_session()
    prepare(session)
    actions = send(session, id="x", **message)
    assert codes(actions) == ["malformed"]
    assert session.idle


@pytest.mark.parametrize("prepare", STATES)
def test_binary_is_for_uploads(prepare: Prepare) -> None:
    session = make_session()
    prepare(session)
    assert closed(session.receive_bytes(b"abc")) == ([] if prepare is _receiving else [1008])


@pytest.mark.parametrize("prepare", STATES)
def test_a_disconnect_stops_what_is_outstanding_and_says_nothing(prepare: Prepare) -> None:
    session = make_session()
    prepare(session)
    stops = [StopRequest(1)] if prepare in BUSY and prepare is not _receiving else []
    assert session.disconnected() == stops
    assert session.state is ConnectionState.CLOSED
    assert session.disconnected() == []


@pytest.mark.parametrize("prepare", STATES)
def test_after_the_close_nothing_is_heard_or_said(prepare: Prepare) -> None:
    session = make_session()
    prepare(session)
    actions = session.close(1012, "restart")
    assert closed(actions) == [1012]
    assert lines(actions) == []
    assert session.idle
    later = send(session, **REQUESTS[0]) + session.receive_text("x") + session.receive_bytes(b"x") + session.tick()
    for ask in session.asks:
        later += [action for step in good_steps(ask.call) for action in session.report(ask, step)]
        later += session.failed(ask, CatalogueUnavailableError("x"))
    later += session.close(1000, "idle")
    later += session.disconnected()
    assert later == []
    assert session.next_deadline() is None


# --- time and size ---


def test_an_idle_connection_is_closed() -> None:
    clock = FakeClock()
    session = make_session(clock)
    assert session.next_deadline() == clock.time_s + IDLE_TIMEOUT_S
    clock.time_s += IDLE_TIMEOUT_S - 1
    assert session.tick() == []
    finish(session, begin(session))
    clock.time_s += IDLE_TIMEOUT_S - 1
    assert session.tick() == []
    clock.time_s += 1
    assert closed(session.tick()) == [1000]


def test_a_connection_whose_photos_are_worked_on_is_not_idle() -> None:
    clock = FakeClock()
    session = make_session(clock)
    begin(session)
    assert session.next_deadline() is None
    clock.time_s += 10 * IDLE_TIMEOUT_S
    assert session.tick() == []
    finish(session, session.photo_extracted(1, 0, found()) + session.photo_extracted(1, 1, found()))
    assert session.next_deadline() == clock.time_s + IDLE_TIMEOUT_S


def test_an_upload_that_is_left_half_done_does_not_keep_the_connection() -> None:
    clock = FakeClock()
    session = make_session(clock)
    _receiving(session)
    clock.time_s += IDLE_TIMEOUT_S
    assert closed(session.tick()) == [1000]
    assert session.held_bytes == 0


def test_a_paused_stream_is_due_before_the_connection_is_idle() -> None:
    clock = FakeClock()
    session = make_session(clock)
    _paused(session)
    assert session.next_deadline() == clock.time_s + ACK_TIMEOUT_S


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("x" * (MAX_TEXT_BYTES + 1), 1009),
        (b"x" * (2**20 + 1), 1009),
        (b"", 1008),
    ],
    ids=["text above 16 MiB", "binary above 1 MiB", "empty binary that nobody waits for"],
)
def test_what_breaks_the_protocol_closes_the_connection(data: str | bytes, code: int) -> None:
    session = make_session()
    begin(session)
    actions = session.receive_text(data) if isinstance(data, str) else session.receive_bytes(data)
    assert actions[0] == StopRequest(1)
    assert closed(actions) == [code]


def test_photos_are_saved_one_after_the_other() -> None:
    session = make_session()
    actions = send(session, type="save", id="x", whaleIdentities=[{"file": "a", "selectedIdentity": "Dante"}] * 3)
    assert len(calls(actions, SavePhoto)) == 1
    assert len(calls(finish(session, actions), SavePhoto)) == 3


def test_a_client_that_is_slow_to_read_has_one_slice_of_its_bad_elements_asked_for_at_a_time() -> None:
    session = make_session(limits=SmallLimits(max_photos_per_request=1000))
    assert len(calls(send(session, type="extract", id="x", fileNames=[0] * 250), LetOthersGo)) == 1
    assert session.hold(True) == []
    assert session.hold(False) == []


def test_nothing_is_asked_for_a_request_that_ends_with_a_slice() -> None:
    session = make_session(limits=SmallLimits(max_photos_per_request=1000))
    actions = send(session, type="extract", id="x", fileNames=[0] * 100)
    assert of_type(actions, "complete")
    assert calls(actions, LetOthersGo) == []

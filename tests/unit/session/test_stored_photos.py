"""Extract of photos of the store: by their hash, of a catalogue, with what a person drew."""

from typing import Any

import pytest

from pipeline.access import Need
from pipeline.records import BoundingBox
from pipeline.rights import Right
from pipeline.session.actions import Action, ExtractPhoto
from pipeline.stored_photos import DrawnBox, StoreSource
from tests.unit.session.session_made import calls, finish, found, make_session, of_type, said, send

SHA256 = "ab" * 32
BOX = {"type": "fluke", "box_xyxy_px": [1, 2.5, 30, 40]}


def extract(**fields: Any) -> list[Action]:
    return send(make_session(), type="extract", id="x", **fields)


def sources(actions: list[Action]) -> list[object]:
    return [call.source for call in calls(actions, ExtractPhoto)]


def test_a_photo_is_asked_for_by_its_hash_and_answered_under_it() -> None:
    session = make_session()
    actions = send(session, type="extract", id="x", photos=[SHA256.upper()], catalogue="azores")
    assert sources(actions) == [StoreSource(SHA256, "azores")]
    (result,) = of_type(finish(session, actions), "extract")
    assert [(entry["path"], entry["index"]) for entry in result["data"]] == [(SHA256, 0)]


def test_the_client_needs_the_right_to_view_the_catalogue() -> None:
    (call,) = calls(extract(photos=[SHA256], catalogue="azores"), ExtractPhoto)
    assert call.need == Need(Right.VIEW, "azores")
    (by_path,) = calls(extract(fileNames=["a.jpg"]), ExtractPhoto)
    assert by_path.need == Need(Right.MATCH, None, anywhere=True)


def test_what_a_person_drew_goes_with_its_photo() -> None:
    drawn = (DrawnBox(BoundingBox(1.0, 2.5, 30.0, 40.0), "fluke", 1),)
    second = (*drawn, DrawnBox(BoundingBox(1.0, 2.5, 30.0, 40.0), "flank", 7))
    boxes = [None, [BOX], [BOX, {**BOX, "type": "flank", "animal": 7}]]
    actions = extract(photos=[SHA256] * 3, boxes=boxes)
    assert sources(actions) == [StoreSource(SHA256, None, each) for each in (None, drawn, second)]


def test_boxes_that_are_none_or_contradict_each_other_fail_their_photo_alone() -> None:
    wrong: list[Any] = [
        [],
        "box",
        [{**BOX, "animal": 1}, BOX | {"animal": 1}],
        [{"type": "fluke"}],
        [{**BOX, "type": 3}],
        [{**BOX, "animal": 0}],
        *([{**BOX, "box_xyxy_px": edges}] for edges in ([1, 2, 3], [1, 2, 1, 4], [3, 2, 1, 4], [1, 2, 3, 1e999])),
        *([{**BOX, "box_xyxy_px": edges}] for edges in ([1, 2, 3, "4"], [1, 2, 3, True], [0, 0, 10**400, 1])),
        [{**BOX, "animal": number} for number in range(1, 102)],
    ]
    session = make_session()
    actions = send(session, type="extract", id="x", photos=[SHA256] * (len(wrong) + 1), boxes=[*wrong, [BOX]])
    (result,) = of_type(finish(session, actions), "extract")
    codes = [entry.get("error", {}).get("code") for entry in result["data"]]
    assert codes == ["bad_item"] * len(wrong) + [None]


@pytest.mark.parametrize("photo", ["ab", "g" * 64, 3, None, ["ab" * 32]])
def test_what_is_no_hash_fails_alone(photo: object) -> None:
    session = make_session()
    (result,) = of_type(finish(session, send(session, type="extract", id="x", photos=[photo, SHA256])), "extract")
    assert [entry.get("error", {}).get("code") for entry in result["data"]] == ["bad_item", None]
    assert result["data"][0]["path"] is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"photos": [SHA256], "fileNames": ["a.jpg"]}, "photos"),
        ({"photos": [SHA256], "uploads": []}, "photos"),
        ({"fileNames": ["a.jpg"], "boxes": [None]}, "boxes"),
        ({"fileNames": ["a.jpg"], "catalogue": "azores"}, "catalogue"),
        ({"photos": [SHA256], "boxes": []}, "boxes"),
        ({"photos": SHA256}, "photos"),
    ],
)
def test_fields_that_do_not_go_together_are_refused_by_name(fields: dict[str, Any], named: str) -> None:
    (error,) = said(extract(**fields))
    assert (error["type"], error["code"]) == ("error", "malformed")
    assert error["message"].startswith(f"{named}: ")


def test_photos_of_the_store_need_an_id() -> None:
    (answer,) = (action.text for action in send(make_session(), type="extract", photos=[SHA256]))  # type: ignore[union-attr]
    assert answer == "error: id: photos needs one"


def test_a_box_that_a_person_drew_has_no_score() -> None:
    session = make_session()
    send(session, type="extract", id="x", photos=[SHA256])
    animal = found().animals[0]
    drawn = type(animal.annotation)(animal.annotation.box_px, "fluke", None, 3)
    extracted = type(found())((type(animal)(drawn, animal.embedding),), None, SHA256)
    (result,) = of_type(session.photo_extracted(1, 0, extracted), "extract")
    assert (result["data"][0]["score"], result["data"][0]["animal"]) == (None, 3)

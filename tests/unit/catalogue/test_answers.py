"""Every request without elements has a handler, whose answer is of the type that the request promises."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.catalogue.answers import READERS, VERBS, answer, change, heads
from pipeline.catalogue.permitted import OF_RIGHTS
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.errors import (
    ChangedSinceError,
    ChangeRefusedError,
    KeyReusedError,
    MalformedMessageError,
    NameInUseError,
    NotInCatalogueError,
)
from pipeline.protocol.base import ListRequest, Request
from pipeline.protocol.catalogue_requests import ChangeRequest, SuggestMerges
from pipeline.protocol.reading import read_message
from pipeline.protocol.requests import MESSAGES
from pipeline.records import Actor
from tests.confirming import confirm, word

MARIA = Actor("azores", "Maria")


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    """Two photos of Dante and one of Vergil."""
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    confirm(opened, [word("a", "Dante"), word("b", "Dante"), word("c", "Vergil")])
    yield opened
    opened.close()


def ask(catalogue: SqlCatalogue, kind: str, only_changes: bool = False, /, **fields: Any) -> Any:
    """Ask as a client does, and look whether the answer is of the type that is promised and JSON can carry it."""
    message: Any = read_message({"type": kind, "id": "x", **fields}, "x")
    if isinstance(message, ChangeRequest):
        given = change(catalogue, message, MARIA, only_changes)
    else:
        given = answer(catalogue, message, "exact")
    TypeAdapter(message.reply).validate_python(given, strict=True)
    assert json.loads(json.dumps(given)) == given
    return given


def numbers(catalogue: SqlCatalogue) -> tuple[list[int], list[int]]:
    """Return the individuals by name, and the annotations by age."""
    individuals = ask(catalogue, "individuals")["individuals"]
    annotations = ask(catalogue, "annotations")["annotations"]
    return [each["id"] for each in individuals], [each["id"] for each in annotations]


def test_every_request_without_elements_has_a_handler() -> None:
    asked = {kind for kind in MESSAGES.values() if issubclass(kind, Request) and not issubclass(kind, ListRequest)}
    assert READERS.keys() | VERBS.keys() | OF_RIGHTS.keys() | {SuggestMerges} == asked, "a matcher answers the last one"
    assert set(VERBS) == {kind for kind in asked if issubclass(kind, ChangeRequest)}
    assert all(kind.reply is not None for kind in asked)


def test_pages_follow_one_another(catalogue: SqlCatalogue) -> None:
    first = ask(catalogue, "individuals", limit=1)
    second = ask(catalogue, "individuals", limit=1, after=first["next"])
    assert [page["individuals"][0]["name"] for page in (first, second)] == ["Dante", "Vergil"]
    assert (first["total"], second["total"], second["next"]) == (2, None, None)
    assert ask(catalogue, "individuals", search="VERG")["total"] == 1


@pytest.mark.parametrize("after", ["x", "[]", "[9999999999999]", '["a"]', "[-1]", "[1.5]", "[true]", "[" * 3000])
def test_a_place_that_no_page_gave_is_refused(catalogue: SqlCatalogue, after: str) -> None:
    with pytest.raises(MalformedMessageError, match="after: must be `next` of the page before"):
        ask(catalogue, "annotations", after=after)


def test_text_that_no_database_takes_finds_nothing(catalogue: SqlCatalogue) -> None:
    assert ask(catalogue, "individuals", search="\0", species="\0")["total"] == 0
    with pytest.raises(MalformedMessageError, match="after"):
        ask(catalogue, "individuals", after='["\\u0000", 0]')


def test_an_individual_is_shown_with_its_encounters(catalogue: SqlCatalogue) -> None:
    (dante, _), annotations = numbers(catalogue)
    made = ask(catalogue, "move", annotations=annotations[:2])["made"]
    values = {"begins_at": "2026-07-01T14:05:00", "latitude": 38.5, "locality": "Faial"}
    ask(catalogue, "describe", sighting=made["sightings"][0], values=values)
    ask(catalogue, "describe", sighting=made["sightings"][0], values={"locality": None})
    (encounter,) = ask(catalogue, "individual", individual=dante)["encounters"]
    assert (encounter["id"], encounter["annotations"]) == (made["encounters"][0], annotations[:2])
    assert (encounter["begins_at"], encounter["latitude"], encounter["locality"]) == ("2026-07-01T14:05:00", 38.5, None)


def test_what_waits_for_a_person_is_listed_until_a_person_decides(catalogue: SqlCatalogue) -> None:
    (dante, _), (first, second, _) = numbers(catalogue)
    unsure = [{"annotation": first, "verdict": "unsure", "individual": dante}]
    ask(catalogue, "decide", decisions=unsure, reason="blurred")
    (waiting,) = ask(catalogue, "review")["annotations"]
    assert (waiting["id"], waiting["individual"], waiting["verdict"]) == (first, None, "unsure")
    decided = [{"annotation": first, "verdict": "match", "individual": dante, "confidence": "certain"}]
    ask(catalogue, "decide", decisions=[*decided, {"annotation": second, "verdict": "not_comparable"}])
    assert ask(catalogue, "review")["total"] == 0
    shown = ask(catalogue, "annotations", individual=dante)["annotations"]
    assert [(each["id"], each["verdict"], each["confidence"]) for each in shown] == [(first, "match", "certain")]


def test_history_says_who_spoke_and_why(catalogue: SqlCatalogue) -> None:
    (dante, _), _ = numbers(catalogue)
    renamed = ask(catalogue, "rename", individual=dante, name="Durante", keep=True, reason="baptised\0")
    event, *_ = ask(catalogue, "history", individual=dante)["events"]
    assert event["version"] == renamed["head"]["version"] == 2
    assert (event["kind"], event["reason"]) == ("rename", "baptised\\x00")
    assert event["actor"] == {"institution": "azores", "name": "Maria", "kind": "person"}
    assert ask(catalogue, "history", since=2)["events"] == []
    ask(catalogue, "undo", version=2)
    (entry, _) = ask(catalogue, "individuals")["individuals"]
    assert (entry["name"], entry["aliases"]) == ("Dante", [])


def test_individuals_are_merged_split_and_called_otherwise(catalogue: SqlCatalogue) -> None:
    (dante, vergil), annotations = numbers(catalogue)
    ask(catalogue, "merge", into=dante, others=[vergil])
    assert ask(catalogue, "individual", individual=vergil)["individual"]["aliases"] == ["Vergil"]
    assert ask(catalogue, "individual", individual=dante)["merged"] == [vergil]
    ask(catalogue, "aliases", individual=dante, add=["The Poet"], remove=["vergil"])
    made = ask(catalogue, "split", annotations=annotations[2:], name="Vergil")["made"]
    assert ask(catalogue, "annotations", individual=made["individuals"][0])["total"] == 1
    ask(catalogue, "remove", annotations=annotations[2:])
    assert numbers(catalogue)[1] == annotations[:2]


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("individual", {"individual": 99}, NotInCatalogueError),
        ("rename", {"individual": 99, "name": "x"}, NotInCatalogueError),
        ("rename", {"individual": 1, "name": "VERGIL"}, NameInUseError),
        ("split", {"annotations": [5, 11], "name": "Bice"}, ChangeRefusedError),
        ("split", {"annotations": [5]}, ChangeRefusedError),
        ("split", {"annotations": [5], "individual": 3, "name": "Bice"}, ChangeRefusedError),
        ("move", {"annotations": [5, 99]}, NotInCatalogueError),
        ("move", {"annotations": [5], "encounter": 1, "sighting": 1}, ChangeRefusedError),
        ("describe", {"annotation": 5, "values": {"side": "left", "sex": "female"}}, ChangeRefusedError),
        ("describe", {"individual": 1, "values": {"latitude": 1}}, ChangeRefusedError),
        ("undo", {"version": 99}, NotInCatalogueError),
        ("decide", {"decisions": [{"annotation": 5, "verdict": "match"}]}, ChangeRefusedError),
    ],
)
def test_a_change_is_refused_as_a_whole(
    catalogue: SqlCatalogue, kind: str, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(catalogue, kind, **fields)
    assert catalogue.head().version == 1


def test_a_change_that_is_sent_again_is_done_once(catalogue: SqlCatalogue) -> None:
    (_, vergil), (_, second, _) = numbers(catalogue)
    split = {"annotations": [second], "name": "Bice", "key": "k\0"}
    first = ask(catalogue, "split", **split)
    ask(catalogue, "decide", decisions=[{"annotation": second, "verdict": "match", "individual": vergil}])
    assert ask(catalogue, "split", **split) == first
    assert ask(catalogue, "annotations", individual=vergil)["total"] == 2
    with pytest.raises(KeyReusedError):
        ask(catalogue, "split", **split | {"name": "Beatrice"})


def test_what_was_decided_on_must_not_have_changed(catalogue: SqlCatalogue) -> None:
    known = ask(catalogue, "individuals")["head"]
    (dante, vergil), _ = numbers(catalogue)
    ask(catalogue, "rename", individual=dante, name="Durante")
    ask(catalogue, "rename", individual=vergil, name="Virgilio", known=known)
    with pytest.raises(ChangedSinceError, match=r"version 2 \(rename by Maria"):
        ask(catalogue, "rename", individual=dante, name="Dante", known=known)


def test_who_subscribed_is_told_what_came_since(catalogue: SqlCatalogue) -> None:
    (dante, _), _ = numbers(catalogue)
    start = ask(catalogue, "subscribe")
    assert (start["catalogue"], start["head"]["version"], start["events"]) == ("default", 1, [])
    for name in ("Durante", "Alighieri"):
        ask(catalogue, "rename", individual=dante, name=name)
    news = ask(catalogue, "subscribe", since=1)
    assert [event["version"] for event in news["events"]] == [2, 3], "in the order in which they came"
    assert news["head"] == heads(catalogue)["default"]
    assert ask(catalogue, "subscribe", since=9)["events"] == []


def test_a_key_of_the_service_makes_no_event_of_nothing(catalogue: SqlCatalogue) -> None:
    (dante, _), _ = numbers(catalogue)
    assert ask(catalogue, "rename", True, individual=dante, name="Dante", key="a")["head"]["version"] == 1
    assert ask(catalogue, "rename", individual=dante, name="Dante", key="b")["head"]["version"] == 2
    assert ask(catalogue, "rename", True, individual=dante, name="Durante", key="c")["head"]["version"] == 3
    assert ask(catalogue, "rename", True, individual=dante, name="Durante", key="c")["head"]["version"] == 3


def test_a_time_zone_is_the_catalogues_and_a_clock_a_cameras(catalogue: SqlCatalogue) -> None:
    ask(catalogue, "describe", values={"timezone": "Atlantic/Azores", "gap_min": 45})
    proposed = ask(catalogue, "propose_sightings", limit=2)
    assert (proposed["timezone"], proposed["gap_min"], proposed["sightings"], proposed["total"]) == (
        *("Atlantic/Azores", 45, []),
        3,
    )
    assert [each["path"] for each in proposed["undated"]] == ["a", "b"]
    assert ask(catalogue, "propose_sightings", gap_min=5, after=proposed["next"])["gap_min"] == 5
    with pytest.raises(NotInCatalogueError, match="camera"):
        ask(catalogue, "describe", camera="Canon", values={"clock_s": 5})


def test_annotations_are_moved_to_a_sighting_that_is_described(catalogue: SqlCatalogue) -> None:
    (dante, _), annotations = numbers(catalogue)
    values = {"begins_at": "2026-07-01T14:05:00", "latitude": 38.5, "observer": "Maria"}
    ask(catalogue, "move", annotations=annotations[:2], values=values)
    (encounter,) = ask(catalogue, "individual", individual=dante)["encounters"]
    assert {name: encounter[name] for name in values} == values

"""When photos were taken, by what cameras wrote and what people said of clocks; and how people say it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.catalogue.clocks import GAP_MIN, Clocks, Moment, read_clocks
from pipeline.catalogue.photos import open_photos
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Describe, Undo
from pipeline.catalogue.views import HistoryFilter
from pipeline.errors import ChangeRefusedError, NotInCatalogueError, UndoBlockedError
from pipeline.records import LOCAL_USER, Actor
from pipeline.stored_photos import PhotoFacts, PhotoRecord, Taken

CAMERA = "Canon, Canon EOS R5, serial 0123"
NOON = datetime(2026, 7, 1, 12)
MARIA = Actor("azores", "Maria")


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def test_a_time_stays_local_where_neither_offset_nor_zone_is_known() -> None:
    assert Clocks().moment(NOON, None, None) == Moment(True, NOON, None)


def test_an_offset_that_the_camera_wrote_counts() -> None:
    moment = Clocks().moment(NOON, 120, None)
    assert moment == Moment(False, NOON - hours(2), hours(2))
    assert moment.local(moment.ahead) == NOON


@pytest.mark.parametrize(("month", "ahead"), [(7, 0), (1, -1)])
def test_the_zone_stands_in_for_an_offset_in_summer_and_winter(month: int, ahead: int) -> None:
    """The Azores are at UTC-1, and at UTC in summer."""
    written = NOON.replace(month=month)
    moment = Clocks("Atlantic/Azores").moment(written, None, None)
    assert moment == Moment(False, written - hours(ahead), hours(ahead))


def test_an_offset_counts_more_than_the_zone_in_which_the_time_is_told() -> None:
    moment = Clocks("Atlantic/Azores").moment(NOON, 120, None)
    assert moment == Moment(False, NOON - hours(2), hours(0))


def test_a_clock_is_corrected_and_no_other() -> None:
    clocks = Clocks("UTC", corrections={CAMERA: -90})
    assert clocks.moment(NOON, None, CAMERA).at == NOON - timedelta(seconds=90)
    assert clocks.moment(NOON, None, "another").at == clocks.moment(NOON, None, None).at == NOON


@pytest.mark.parametrize(("written", "correction"), [(datetime(1, 1, 1), -60), (datetime(9999, 12, 31, 23, 59), 3600)])
def test_beyond_the_calendar_the_written_time_counts(written: datetime, correction: int) -> None:
    for clocks in (Clocks(corrections={CAMERA: correction}), Clocks("Asia/Tokyo", corrections={CAMERA: correction})):
        moment = clocks.moment(written, None, CAMERA)
        assert moment == Moment(True, written, None)
        assert moment.local(hours(5 if written.year > 1 else -5)) == written


# --- people say it ---


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    """A photo of the camera is in it."""
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    photo = PhotoRecord("a" * 64, 1, PhotoFacts((1, 1), Taken(NOON, camera=CAMERA)), None)
    photos = open_photos(url)
    photos.add("default", photo, LOCAL_USER)
    photos.close()
    yield opened
    opened.close()


def clocks_of(catalogue: SqlCatalogue) -> Clocks:
    with catalogue.database.reading() as connection:
        return read_clocks(connection, catalogue.id)


def of_catalogue(**values: str | int | None) -> Describe:
    return Describe("catalogue", "", values)


def test_zone_gap_and_clocks_are_said_in_events_and_undone(catalogue: SqlCatalogue) -> None:
    assert clocks_of(catalogue) == Clocks(None, GAP_MIN, {})
    catalogue.change(of_catalogue(timezone="Atlantic/Azores"), MARIA)
    catalogue.change(of_catalogue(gap_min=45), MARIA)
    catalogue.change(Describe("camera", CAMERA, {"clock_s": -3600}), MARIA)
    said = Clocks("Atlantic/Azores", 45, {CAMERA: -3600})
    assert clocks_of(catalogue) == said
    assert catalogue.change(of_catalogue(timezone="Atlantic/Azores"), MARIA).head.version == 3
    catalogue.change(Undo(3), MARIA)
    catalogue.change(Undo(2), MARIA)
    assert clocks_of(catalogue) == Clocks("Atlantic/Azores", GAP_MIN, {})
    catalogue.change(Undo(4), MARIA)
    assert clocks_of(catalogue) == replace(said, gap_min=GAP_MIN)
    catalogue.change(Describe("camera", CAMERA, {"clock_s": None}), MARIA)
    catalogue.change(of_catalogue(timezone=None), MARIA)
    assert clocks_of(catalogue) == Clocks(None, GAP_MIN, {})
    assert {(event.kind, event.actor) for event in catalogue.history(HistoryFilter()).entries} == {
        ("describe", MARIA),
        ("undo", MARIA),
    }
    assert catalogue.differences_from_log() == []


def test_what_was_said_anew_is_in_the_way_of_an_undo(catalogue: SqlCatalogue) -> None:
    catalogue.change(of_catalogue(timezone="UTC"), MARIA)
    catalogue.change(Undo(1), MARIA)
    catalogue.change(of_catalogue(timezone="Asia/Tokyo"), MARIA)
    with pytest.raises(UndoBlockedError, match="version 3"):
        catalogue.change(Undo(2), MARIA)


@pytest.mark.parametrize(
    ("verb", "refusal"),
    [
        (
            of_catalogue(timezone="Azores"),
            "timezone: there is no 'Azores': write an IANA name, such as",
        ),
        (of_catalogue(timezone="../../etc/passwd"), "timezone: there is no"),
        (of_catalogue(timezone="localtime"), "timezone: there is no"),
        (of_catalogue(timezone=""), "timezone: there is no"),
        (of_catalogue(gap_min=0), "gap_min: must be a whole number from 1 to 10080"),
        (of_catalogue(gap_min=10081), "gap_min: must be a whole number"),
        (of_catalogue(clock_s=1), "catalogue has no clock_s: it has timezone, gap_min"),
        (Describe("camera", CAMERA, {"clock_s": 2**31}), "clock_s: must be a whole number"),
        (Describe("camera", CAMERA, {"clock_s": 0.5}), "clock_s: must be a whole number"),
        (Describe("camera", CAMERA, {"timezone": "UTC"}), "camera has no timezone: it has clock_s"),
    ],
)
def test_what_no_clock_can_be_is_refused(catalogue: SqlCatalogue, verb: Describe, refusal: str) -> None:
    with pytest.raises(ChangeRefusedError) as refused:
        catalogue.change(verb, MARIA)
    assert refused.value.message.startswith(refusal)
    assert catalogue.head().version == 0


def test_a_camera_that_took_no_photo_is_refused_by_its_name(catalogue: SqlCatalogue) -> None:
    with pytest.raises(NotInCatalogueError, match='no photo of the catalogue is by a camera "Cannon"'):
        catalogue.change(Describe("camera", "Cannon", {"clock_s": 1}), MARIA)

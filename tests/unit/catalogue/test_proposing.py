"""Which sightings are proposed: by times, places and clocks, page by page, and nothing is written."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.clocks import Moment
from pipeline.catalogue.photos import CataloguePhotos, open_photos
from pipeline.catalogue.places import Position, distance_m
from pipeline.catalogue.proposals import Camera, ProposalFilter, Proposals, ProposedEncounter, ProposedSighting, Undated
from pipeline.catalogue.proposing import Shot, group_shots
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Describe, Move, Remove
from pipeline.catalogue.views import AnnotationFilter
from pipeline.errors import MalformedMessageError, NotInCatalogueError
from pipeline.records import LOCAL_USER, PhotoKey
from pipeline.stored_photos import NOT_TOLD, PhotoFacts, PhotoRecord, Taken
from tests.confirming import confirm, word

NOON = datetime(2026, 7, 1, 12)
HALF_AN_HOUR = timedelta(minutes=30)
FAIAL, PICO, LISBON = (38.53, -28.62), (38.53, -28.51), (38.72, -9.14)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


# --- the rule ---


def shot(
    number: int, minutes: float, position: Position | None = None, camera: str | None = None, is_local: bool = False
) -> Shot:
    moment = Moment(is_local, at(minutes), None if is_local else timedelta())
    return Shot(moment, number, (number,), camera, position)


def grouped(*shots: Shot, jumps: bool = True) -> list[list[int]]:
    return [[each.first for each in group.shots] for group in group_shots(shots, HALF_AN_HOUR, jumps)]


def test_a_gap_of_more_than_half_an_hour_begins_a_new_sighting() -> None:
    assert grouped(shot(1, 0), shot(2, 30), shot(3, 60), shot(4, 90.1)) == [[1, 2, 3], [4]]
    assert grouped() == []


def test_the_distance_is_that_over_the_sphere() -> None:
    assert distance_m((0.0, 179.5), (0.0, -179.5)) == pytest.approx(111_195, rel=1e-4)
    assert distance_m((90.0, 0.0), (-90.0, 0.0)) == pytest.approx(20_015_115, rel=1e-6)


@pytest.mark.parametrize(("minutes", "groups"), [(5.0, [[1], [2]]), (6.0, [[1, 2]])])
def test_where_no_boat_comes_in_that_time_is_another_sighting(minutes: float, groups: list[list[int]]) -> None:
    """Between Faial and Pico are 9.6 km: 1 km, and 5.2 minutes at 100 km/h."""
    assert distance_m(FAIAL, PICO) == pytest.approx(9_570, abs=10)
    assert grouped(shot(1, 0, FAIAL), shot(2, minutes, PICO)) == groups
    assert grouped(shot(1, 0, FAIAL), shot(2, minutes, PICO), jumps=False) == [[1, 2]]


def test_a_receiver_that_errs_makes_no_new_sighting() -> None:
    assert grouped(shot(1, 0, FAIAL), shot(2, 0, (38.5385, -28.62))) == [[1, 2]]


def test_two_boats_at_one_time_are_two_sightings() -> None:
    boats = [shot(1, 0, FAIAL), shot(2, 1, LISBON), shot(3, 2, FAIAL), shot(4, 3, LISBON), shot(5, 40, LISBON)]
    assert grouped(*boats) == [[1, 3], [2, 4], [5]]


def test_a_photo_without_a_place_is_of_its_cameras_boat() -> None:
    boats = [shot(1, 0, FAIAL, "a"), shot(2, 1, LISBON, "b"), shot(3, 2, None, "a"), shot(4, 3, None, "b")]
    assert grouped(*boats, shot(5, 4), shot(6, 5, None, "c")) == [[1, 3], [2, 4, 5, 6]]


def test_times_of_which_nobody_knows_the_zone_are_compared_with_no_others() -> None:
    assert grouped(shot(1, 0), shot(2, 1), shot(3, 0, is_local=True), shot(4, 1, is_local=True)) == [[1, 2], [3, 4]]


# --- a catalogue ---


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    yield opened
    opened.close()


@pytest.fixture
def photos(catalogue: SqlCatalogue) -> CataloguePhotos:
    return open_photos(catalogue.database.engine.url.render_as_string(hide_password=False))


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def put(
    catalogue: SqlCatalogue,
    photos: CataloguePhotos,
    name: str,
    taken: Taken = NOT_TOLD,
    who: str = "DANTE",
    animal: int = 1,
    vector: tuple[float, float] = (1.0, 1.0),
) -> int:
    """Put a photo into the store, confirm an animal in it, and return the annotation."""
    photos.add("default", PhotoRecord(sha(name), 1, PhotoFacts((4, 3), taken), name), LOCAL_USER)
    key = PhotoKey(f"sha256:{sha(name)}", animal)
    confirm(catalogue, [replace(word(name, who), key=key, values=np.array(vector))])
    return max(entry.id for entry in catalogue.annotations(AnnotationFilter(), limit=1000).entries)


def propose(
    catalogue: SqlCatalogue, *numbers: int, after: str | None = None, limit: int = 100, **how: object
) -> Proposals:
    wanted = ProposalFilter(numbers or None, **how)  # type: ignore[arg-type]
    return catalogue.propose_sightings(wanted, after, limit)


def annotations_of(proposed: Proposals) -> list[list[tuple[int, ...]]]:
    return [[each.annotations for each in sighting.encounters] for sighting in proposed.sightings]


def test_sightings_have_time_place_and_encounters(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    a = put(catalogue, photos, "a", Taken(NOON, 60, *FAIAL, "Nikon"))
    b = put(catalogue, photos, "b", Taken(at(20), 60, 38.54, -28.62, "Canon"), "VERGIL")
    c = put(catalogue, photos, "c", Taken(at(10), 60), "DANTE")
    proposed = propose(catalogue)
    dante, vergil = (entry.individual for entry in catalogue.annotations(AnnotationFilter()).entries[:2])
    encounters = (ProposedEncounter((a, c), dante), ProposedEncounter((b,), vergil))
    within_m = 1112.0  # a hundredth of a degree of latitude
    found = ProposedSighting(NOON, at(20), 60, *FAIAL, within_m, encounters, ())
    assert proposed.sightings == (found,)
    assert (proposed.undated, proposed.next, proposed.total, proposed.gap_min) == ((), None, 1, 30)
    assert proposed.cameras == (Camera("Canon", None), Camera("Nikon", None))


def test_nothing_is_written(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    put(catalogue, photos, "a", Taken(NOON))
    head = catalogue.head()
    assert propose(catalogue) == propose(catalogue)
    assert catalogue.head() == head
    assert catalogue.differences_from_log() == []


def test_what_has_no_date_is_listed_apart_and_never_guessed(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    dated = put(catalogue, photos, "a", Taken(NOON))
    undated = put(catalogue, photos, "b", Taken(None, None, *FAIAL))
    confirm(catalogue, [word("path.jpg"), replace(word("unknown.jpg"), key=PhotoKey(f"sha256:{sha('unknown')}"))])
    confirm(catalogue, [word(f"xx{sha('a')}", "another photo, whose path ends like a hash")])
    proposed = propose(catalogue)
    assert annotations_of(proposed) == [[(dated,)]]
    assert proposed.undated[0] == Undated(undated, "b")
    assert [each.path for each in proposed.undated] == ["b", "path.jpg", "unknown.jpg", f"xx{sha('a')}"]
    assert proposed.total == 5


def test_pages_follow_one_another_through_sightings_and_then_what_has_no_date(
    catalogue: SqlCatalogue, photos: CataloguePhotos
) -> None:
    numbers = [put(catalogue, photos, f"p{n}", Taken(at(60 * n), 0 if n < 2 else None)) for n in range(4)]
    undated = [put(catalogue, photos, f"u{n}") for n in range(3)]
    for limit in range(1, 9):
        pages = [propose(catalogue, limit=limit)]
        while pages[-1].next is not None:
            pages.append(propose(catalogue, limit=limit, after=pages[-1].next))
        seen = [each.encounters[0].annotations[0] for page in pages for each in page.sightings]
        assert seen == numbers
        assert [each.annotation for page in pages for each in page.undated] == undated
        assert all(len(page.sightings) + len(page.undated) == limit for page in pages[:-1])
        assert [page.total for page in pages] == [7] + [None] * (len(pages) - 1)


def test_a_page_goes_on_where_the_one_before_ended_though_that_was_agreed_to(
    catalogue: SqlCatalogue, photos: CataloguePhotos
) -> None:
    numbers = [put(catalogue, photos, f"p{n}", Taken(at(60 * n))) for n in range(3)]
    first = propose(catalogue, limit=1)
    catalogue.change(Move((numbers[0],)), LOCAL_USER)
    assert annotations_of(propose(catalogue, after=first.next)) == [[(numbers[1],)], [(numbers[2],)]]


@pytest.mark.parametrize("after", ["[]", '[0, 1, "x"]', '[0, "x"]', "5", '[-1, "2026", 1]'])
def test_a_place_that_no_page_gave_is_refused(catalogue: SqlCatalogue, after: str) -> None:
    with pytest.raises(MalformedMessageError, match="after: must be `next`"):
        propose(catalogue, after=after)


def test_only_what_is_in_no_encounter_or_is_named_is_proposed(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    a, b = put(catalogue, photos, "a", Taken(NOON)), put(catalogue, photos, "b", Taken(NOON))
    u = put(catalogue, photos, "u")
    catalogue.change(Move((a,)), LOCAL_USER)
    assert annotations_of(propose(catalogue)) == [[(b,)]]
    named = propose(catalogue, a, u, u)
    assert (annotations_of(named), [each.annotation for each in named.undated], named.total) == ([[(a,)]], [u], 2)
    catalogue.change(Remove((b,)), LOCAL_USER)
    assert annotations_of(propose(catalogue)) == []
    with pytest.raises(NotInCatalogueError, match=f"no annotations {b}, 999"):
        propose(catalogue, a, b, 999)


def test_many_that_are_named_are_proposed_together(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    a = put(catalogue, photos, "a", Taken(NOON))
    confirm(catalogue, [word(f"u{n}") for n in range(600)])
    (b,) = {put(catalogue, photos, "b", Taken(at(1)))}
    numbers = [entry.id for entry in catalogue.annotations(AnnotationFilter(), limit=1000).entries]
    proposed = propose(catalogue, *numbers, limit=1000)
    assert (annotations_of(proposed), len(proposed.undated), proposed.total) == ([[(a, b)]], 600, 601)
    pages = [propose(catalogue, *numbers, limit=400)]
    pages.append(propose(catalogue, *numbers, limit=400, after=pages[0].next))
    assert [len(page.sightings) + len(page.undated) for page in pages] == [400, 201]


def test_animals_of_one_photo_are_one_sighting_and_two_encounters(
    catalogue: SqlCatalogue, photos: CataloguePhotos
) -> None:
    one = put(catalogue, photos, "a", Taken(NOON))
    two = put(catalogue, photos, "a", Taken(NOON), "VERGIL", animal=2)
    assert annotations_of(propose(catalogue)) == [[(one,), (two,)]]


def test_the_gap_is_the_catalogues_or_the_requests(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    a, b = put(catalogue, photos, "a", Taken(NOON)), put(catalogue, photos, "b", Taken(at(45)))
    assert len(propose(catalogue).sightings) == 2
    assert annotations_of(propose(catalogue, gap_min=45)) == [[(a, b)]]
    catalogue.change(Describe("catalogue", "", {"gap_min": 60}), LOCAL_USER)
    assert (len(propose(catalogue).sightings), propose(catalogue).gap_min) == (1, 60)
    assert len(propose(catalogue, gap_min=44).sightings) == 2


def test_a_zone_and_clocks_bring_times_together_and_leave_what_was_written(
    catalogue: SqlCatalogue, photos: CataloguePhotos
) -> None:
    """Noon by a phone at UTC+1 is 11:00 in the Azores' summer; a slow camera without an offset says 10:30."""
    phone = put(catalogue, photos, "a", Taken(NOON, 60, camera="phone"))
    camera = put(catalogue, photos, "b", Taken(at(-90), None, camera="slow"))
    assert annotations_of(propose(catalogue)) == [[(phone,)], [(camera,)]]
    assert [each.utc_offset_min for each in propose(catalogue).sightings] == [60, None]
    catalogue.change(Describe("catalogue", "", {"timezone": "Atlantic/Azores"}), LOCAL_USER)
    catalogue.change(Describe("camera", "slow", {"clock_s": 1860}), LOCAL_USER)
    proposed = propose(catalogue)
    assert (proposed.timezone, proposed.cameras) == ("Atlantic/Azores", (Camera("phone", None), Camera("slow", 1860)))
    (sighting,) = proposed.sightings
    assert (sighting.begins_at, sighting.ends_at, sighting.utc_offset_min) == (at(-60), at(-59), 0)
    found = photos.find("default", sha("b"))
    assert found is not None
    assert found.facts.taken == Taken(at(-90), None, camera="slow")


def test_the_catalogues_sightings_of_that_time_are_named(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    put(catalogue, photos, "a", Taken(NOON))
    (b,) = {put(catalogue, photos, "b", Taken(at(600)))}
    values = {"begins_at": at(-60), "ends_at": at(-30)}
    (known,) = catalogue.change(Move((b,), values=values), LOCAL_USER).made["sightings"]
    assert [each.near for each in propose(catalogue).sightings] == [(known,)]
    assert [each.near for each in propose(catalogue, gap_min=29).sightings] == [()]


@pytest.mark.parametrize("written", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)])
def test_a_clock_at_the_calendars_end_harms_nobody(
    catalogue: SqlCatalogue, photos: CataloguePhotos, written: datetime
) -> None:
    put(catalogue, photos, "a", Taken(written, 840))
    (b,) = {put(catalogue, photos, "b", Taken(NOON))}
    catalogue.change(Move((b,), values={"begins_at": NOON}), LOCAL_USER)
    for zone in (None, "Pacific/Kiritimati", "America/Los_Angeles"):
        catalogue.change(Describe("catalogue", "", {"timezone": zone}), LOCAL_USER)
        assert len(propose(catalogue).sightings) == 1


# --- places ---


def test_places_are_proposed_as_far_as_they_may_be_seen(catalogue: SqlCatalogue, photos: CataloguePhotos) -> None:
    put(catalogue, photos, "a", Taken(NOON, 0, 38.5312, -28.6249))
    put(catalogue, photos, "b", Taken(at(1), 0, 38.5322, -28.6249))
    places = {}
    for place in ("exact", "coarse", "none"):
        found = propose(catalogue, place=place).sightings
        places[place] = [(each.latitude, each.longitude, each.uncertainty_m) for each in found]
    assert places["exact"] == [(38.5312, -28.6249, pytest.approx(111.2, abs=0.1))]
    assert places["coarse"] == [(38.5, -28.6, 10_000.0)]
    assert places["none"] == [(None, None, None)]


@pytest.mark.parametrize("place", ["coarse", "none"])
def test_who_does_not_see_places_exactly_learns_nothing_of_them_by_own_photos(
    catalogue: SqlCatalogue, photos: CataloguePhotos, place: str
) -> None:
    """Wherever in its square the photo was taken, the answer beside a photo of one's own is the same."""
    put(catalogue, photos, "own", Taken(NOON, 0, 38.5, -28.6))
    answers, exact = [], []
    for name, latitude in (("near", 38.4999), ("far", 38.5499)):
        number = put(catalogue, photos, name, Taken(at(0.1), 0, latitude, -28.6001), name)
        answers.append([replace(each, encounters=()) for each in propose(catalogue, place=place).sightings])
        exact.append(len(propose(catalogue, place="exact").sightings))
        catalogue.change(Move((number,)), LOCAL_USER)
    assert answers[0] == answers[1]
    assert exact == [1, 2]

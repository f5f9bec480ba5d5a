"""What rankings bring beside names and distances, and which annotations count; on each kind of database."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.schema import decisions
from pipeline.catalogue.signing import sign
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Decide, Decision, Describe, Move, Remove
from pipeline.catalogue.views import AnnotationFilter, IndividualFilter
from pipeline.errors import ChangeRefusedError
from pipeline.protocol.filters import Around, Box, Detail, Filters
from pipeline.records import LOCAL_USER, PhotoKey, Query, Ranking
from tests.confirming import confirm, word
from tests.memory_catalogue import MemoryCatalogue

MODEL = LoadedModel("fluke", "m1", 2, normalised=False)
PHOTOS = {"a": ("DANTE", 0.1), "b": ("DANTE", 0.2), "c": ("DANTE", 0.6), "d": ("VERGIL", 0.25), "e": ("VERGIL", 0.35)}
"""Who each shows, and how far it is from the query."""


def query(photo: str = "q", identity: str | None = None) -> Query:
    return Query(PhotoKey(f"path:{photo}"), photo, "fluke", np.zeros(2, dtype=np.float32), None, identity)


def placed(photo: str, name: str, far: float) -> Confirmation:
    return replace(word(photo, name), values=np.array([far, 0.0]))


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    confirm(opened, [placed(photo, name, far) for photo, (name, far) in PHOTOS.items()])
    yield opened
    opened.close()


def number(catalogue: SqlCatalogue, photo: str) -> int:
    return next(e.id for e in catalogue.annotations(AnnotationFilter()).entries if e.path == photo)


def rank(catalogue: SqlCatalogue, references: int = 0, asked: Query | None = None, **filters: Any) -> Ranking:
    detail = Detail(references, Filters(**filters) if filters else None)
    (ranking,) = CatalogueMatcher(catalogue, [MODEL]).rank([asked or query()], 10, detail)
    return ranking


def names(ranking: Ranking) -> list[str]:
    return [candidate.individual for candidate in ranking.candidates]


def photos(catalogue: SqlCatalogue, ranking: Ranking) -> dict[str, list[str]]:
    """Return the photos that each candidate brings."""
    path_of = {entry.id: entry.path for entry in catalogue.annotations(AnnotationFilter()).entries}
    return {c.individual: [path_of[r.annotation] for r in c.references] for c in ranking.candidates if c.number}


def kept_rankings(catalogue: SqlCatalogue) -> list[str | None]:
    with catalogue._database.reading() as connection:
        return list(connection.execute(select(decisions.c.ranking).where(decisions.c.gone.is_(None))).scalars())


def see(catalogue: SqlCatalogue, photo: str, **known: Any) -> None:
    """Give a photo an encounter in a sighting of its own, of which this is known."""
    made = catalogue.change(Move((number(catalogue, photo),)), LOCAL_USER).made
    catalogue.change(Describe("sighting", made["sightings"][0], known), LOCAL_USER)


# --- references ---


def test_each_candidate_brings_its_nearest_annotations(catalogue: SqlCatalogue) -> None:
    ranking = rank(catalogue, references=2)
    assert photos(catalogue, ranking) == {"DANTE": ["a", "b"], "VERGIL": ["d", "e"]}
    dante = ranking.candidates[0]
    assert dante.distance == pytest.approx(0.3)
    assert [reference.distance for reference in dante.references] == pytest.approx([0.1, 0.2])
    assert ranking.candidates[-1].references == ()


def test_of_several_annotations_of_one_encounter_only_the_nearest_is_brought(catalogue: SqlCatalogue) -> None:
    made = catalogue.change(Move((number(catalogue, "a"), number(catalogue, "b"))), LOCAL_USER).made
    ranking = rank(catalogue, references=2)
    assert photos(catalogue, ranking) == {"DANTE": ["a", "c"], "VERGIL": ["d", "e"]}
    assert [reference.encounter for reference in ranking.candidates[0].references] == [*made["encounters"], None]


def test_a_confirmed_photo_is_not_its_own_reference(catalogue: SqlCatalogue) -> None:
    ranking = rank(catalogue, 3, query("a", "DANTE"))
    assert photos(catalogue, ranking)["DANTE"] == ["b", "c"]


def test_without_references_there_are_numbers_and_counts_alone(catalogue: SqlCatalogue) -> None:
    ranking = rank(catalogue)
    assert ranking.individuals == 2
    assert all(candidate.references == () for candidate in ranking.candidates)
    found = {e.name: e.id for e in catalogue.individuals(IndividualFilter()).entries}
    assert {c.individual: c.number for c in ranking.candidates} == {**found, "Unknown": None}


# --- filters ---


def test_a_side_counts_alone_in_means_and_references(catalogue: SqlCatalogue) -> None:
    for photo in ("b", "c"):
        catalogue.change(Describe("annotation", number(catalogue, photo), {"side": "left"}), LOCAL_USER)
    ranking = rank(catalogue, references=3, side="left")
    assert photos(catalogue, ranking) == {"DANTE": ["b", "c"]}
    assert ranking.candidates[0].distance == pytest.approx(0.4)
    assert ranking.individuals == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"from": date(2020, 5, 2)}, "ab"),
        ({"from": date(2020, 5, 3)}, "b"),
        ({"until": date(2020, 5, 1)}, "a"),
        ({"until": date(2020, 4, 30)}, ""),
        ({"from": date(2020, 5, 2), "until": date(2020, 5, 2)}, "a"),
        ({"until": date(9999, 12, 31)}, "ab"),
    ],
)
def test_days_are_those_of_sightings_both_ends_included(
    catalogue: SqlCatalogue, filters: dict[str, date], expected: str
) -> None:
    see(catalogue, "a", begins_at=datetime(2020, 5, 1, 23, 50), ends_at=datetime(2020, 5, 2, 0, 10))
    see(catalogue, "b", begins_at=datetime(2020, 5, 3, 0, 0))
    see(catalogue, "d", locality="somewhere")
    asked = {"from": None} | {name: value.isoformat() for name, value in filters.items()}
    ranking = rank(catalogue, 5, **asked)
    assert photos(catalogue, ranking) == ({"DANTE": list(expected)} if expected else {})


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"box": Box(south=38, west=-29, north=39, east=-28)}, "a"),
        ({"box": Box(south=-90, west=-180, north=90, east=180)}, "abd"),
        ({"box": Box(south=-20, west=170, north=-10, east=-170)}, "bd"),
        ({"box": Box(south=-20, west=-170, north=-10, east=170)}, ""),
        ({"around": Around(latitude=38.5, longitude=-28.5, radius_m=1)}, "a"),
        ({"around": Around(latitude=-15, longitude=180, radius_m=53_800)}, "bd"),
        ({"around": Around(latitude=-15, longitude=180, radius_m=53_600)}, ""),
        ({"around": Around(latitude=-15, longitude=180, radius_m=2e7), "side": "none"}, ""),
    ],
)
def test_places_are_those_of_sightings_also_across_180_degrees(
    catalogue: SqlCatalogue, place: dict[str, Any], expected: str
) -> None:
    """Half a degree of longitude at 15 degrees south is 53.7 km."""
    see(catalogue, "a", latitude=38.5, longitude=-28.5)
    see(catalogue, "b", latitude=-15.0, longitude=179.5)
    see(catalogue, "d", latitude=-15.0, longitude=-179.5)
    see(catalogue, "e", begins_at=datetime(2020, 5, 3))
    brought = photos(catalogue, rank(catalogue, 5, **place))
    assert sorted(photo for each in brought.values() for photo in each) == list(expected)


def test_what_no_filter_lets_through_is_unknown(catalogue: SqlCatalogue) -> None:
    ranking = rank(catalogue, references=3, side="dorsal")
    assert names(ranking) == ["Unknown"]
    assert ranking.individuals == 0


def test_a_filter_on_another_body_part_leaves_no_candidates(catalogue: SqlCatalogue) -> None:
    assert names(rank(catalogue, bodyPart="flank")) == ["Unknown"]
    assert names(rank(catalogue, bodyPart="fluke")) == names(rank(catalogue))


def test_filtered_rankings_follow_what_is_said_meanwhile(catalogue: SqlCatalogue) -> None:
    matcher = CatalogueMatcher(catalogue, [MODEL])
    left = Detail(5, Filters(side="left"))
    for step, photo in enumerate("bde"):
        catalogue.change(Describe("annotation", number(catalogue, photo), {"side": "left"}), LOCAL_USER)
        (ranking,) = matcher.rank([query()], 10, left)
        assert sum(len(candidate.references) for candidate in ranking.candidates) == step + 1
    catalogue.change(Remove((number(catalogue, "d"),)), LOCAL_USER)
    assert matcher.rank([query()], 10, left) == CatalogueMatcher(catalogue, [MODEL]).rank([query()], 10, left)
    assert matcher.rank([query()], 10) == CatalogueMatcher(catalogue, [MODEL]).rank([query()], 10)


def test_a_confirmed_photo_that_the_filters_leave_out_is_compared_with_all_that_they_let_through(
    catalogue: SqlCatalogue,
) -> None:
    catalogue.change(Describe("annotation", number(catalogue, "b"), {"side": "left"}), LOCAL_USER)
    ranking = rank(catalogue, 3, query("a", "DANTE"), side="left")
    assert photos(catalogue, ranking) == {"DANTE": ["b"]}


def test_others_rank_while_the_filters_are_looked_up() -> None:
    memory = MemoryCatalogue()
    confirm(memory, [word("a", "DANTE")])
    matcher = CatalogueMatcher(memory, [LoadedModel("fluke", "m1", 2, normalised=False)])
    looking, go_on = threading.Event(), threading.Event()
    find = memory.find_matching

    def slow(*arguments: Any) -> Any:
        looking.set()
        assert go_on.wait(10)
        return find(*arguments)

    memory.find_matching = slow  # type: ignore[method-assign]
    filters = Filters(bodyPart="fluke")
    thread = threading.Thread(target=matcher.prepare, args=(Detail(0, filters),))
    thread.start()
    assert looking.wait(10)
    assert matcher.rank([query()], 1)[0].failure is None
    confirm(memory, [word("b", "VERGIL")])
    go_on.set()
    thread.join()
    (ranking,) = matcher.rank([query()], 10, Detail(0, filters))
    assert ranking.individuals == 2, "what was found before others spoke is not used"


def test_all_portions_of_a_filtered_request_are_ranked_in_one_state(catalogue: SqlCatalogue) -> None:
    matcher, left = CatalogueMatcher(catalogue, [MODEL]), Detail(5, Filters(side="left"))
    for photo in "bd":
        catalogue.change(Describe("annotation", number(catalogue, photo), {"side": "left"}), LOCAL_USER)
    made = matcher.prepare(left)
    before = matcher.finish(matcher.compare([query("b", "DANTE"), query()], 10, left, made))
    catalogue.change(Remove((number(catalogue, "d"),)), LOCAL_USER)
    confirm(catalogue, [placed("b", "VERGIL", 0.9), placed("f", "BICE", 0.2), placed("g", "BICE", 0.2)])
    assert names(matcher.rank([query()], 10)[0]) == ["BICE", "DANTE", "VERGIL", "Unknown"]
    assert matcher.finish(matcher.compare([query("b", "DANTE"), query()], 10, left, made)) == before
    assert names(before[1]) == ["DANTE", "VERGIL", "Unknown"]
    assert names(matcher.rank([query()], 10, left)[0]) == ["VERGIL", "Unknown"], "the next request has the new state"


# --- the signed description ---


def test_a_ranking_says_what_was_compared(catalogue: SqlCatalogue) -> None:
    catalogue.change(Describe("annotation", number(catalogue, "b"), {"side": "left"}), LOCAL_USER)
    ranking = rank(catalogue, 2, **{"side": "left", "from": None})
    assert ranking.description is not None
    head = catalogue.head()
    assert json.loads(ranking.description.rpartition(".")[0]) == {
        "catalogue": "default",
        "model": "m1",
        "type": "fluke",
        "version": head.version,
        "nonce": head.nonce,
        "topK": 10,
        "references": 2,
        "filters": {"side": "left"},
        "individuals": 1,
    }


def decide(catalogue: SqlCatalogue, ranking: str | None) -> None:
    catalogue.change(Decide((Decision(number(catalogue, "a"), "unsure", ranking=ranking),)), LOCAL_USER)


def test_a_decision_keeps_the_ranking_that_it_brings_back(catalogue: SqlCatalogue) -> None:
    signed = rank(catalogue).description
    assert signed is not None
    confirm(catalogue, [word("z", "OTHER")])
    decide(catalogue, signed)
    assert catalogue.differences_from_log() == []
    assert kept_rankings(catalogue) == [signed.rpartition(".")[0]]


@pytest.mark.parametrize("forged", ["", "{}", ".", "changed", "other signature", "é.ü", "\ud800."])
def test_a_ranking_that_the_catalogue_has_not_signed_is_refused(catalogue: SqlCatalogue, forged: str) -> None:
    signed = rank(catalogue).description
    assert signed is not None
    given = {
        "changed": signed.replace('"topK":10', '"topK":11'),
        "other signature": signed[:-1] + ("0" if signed[-1] != "0" else "1"),
    }.get(forged, forged)
    before = catalogue.head()
    with pytest.raises(ChangeRefusedError, match=r"annotation \d+: the ranking is none that this catalogue has signed"):
        decide(catalogue, given)
    assert catalogue.head() == before


def test_a_ranking_of_another_catalogue_of_the_database_is_refused(catalogue: SqlCatalogue) -> None:
    other = open_catalogue(catalogue._database.engine.url.render_as_string(hide_password=False), "other")
    confirm(other, [placed("a", "DANTE", 0.1)])
    with pytest.raises(ChangeRefusedError, match="none that this catalogue has signed"):
        decide(catalogue, rank(other).description)
    other.close()


def test_a_ranking_names_its_catalogue_and_the_state_alone_does_not_do(catalogue: SqlCatalogue) -> None:
    ours = rank(catalogue).description
    assert ours is not None
    of_another = json.loads(ours.rpartition(".")[0]) | {"catalogue": "other"}
    with pytest.raises(ChangeRefusedError, match="none that this catalogue has signed"):
        decide(catalogue, sign(catalogue.signing_key(), of_another))


def test_catalogues_of_two_databases_sign_with_keys_of_their_own(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("a.sqlite", "b.sqlite")]
    keys = [open_catalogue(url).signing_key() for url in urls * 2]
    assert keys[:2] == keys[2:]
    assert keys[0] != keys[1]
    assert len(keys[0]) == 32


# --- photos that only other weights have embedded ---


@pytest.mark.parametrize("filters", [None, Filters(side="left")])
def test_an_answer_says_how_many_photos_are_ranked_until_all_are(
    catalogue: SqlCatalogue, filters: Filters | None
) -> None:
    matcher = CatalogueMatcher(catalogue, [MODEL])

    def told(matcher: CatalogueMatcher) -> tuple[int, int] | None:
        (ranking,) = matcher.rank([query()], 10, Detail(1, filters))
        assert ranking.description is not None
        assert ('"photos":[' in ranking.description) == (ranking.photos is not None)
        return ranking.photos

    assert told(matcher) is None
    older = [replace(placed(photo, "NERO", 0.5), model="m0") for photo in ("f", "g")]
    confirm(catalogue, older)
    assert told(matcher) == told(CatalogueMatcher(catalogue, [MODEL])) == (5, 7)
    confirm(catalogue, [placed("f", "NERO", 0.5)])
    assert told(matcher) == told(CatalogueMatcher(catalogue, [MODEL])) == (6, 7)
    catalogue.change(Remove((number(catalogue, "g"),)), LOCAL_USER)
    assert told(matcher) is None
    assert told(CatalogueMatcher(catalogue, [MODEL])) is None
    assert matcher.rank([query()], 10, None)[0].photos is None

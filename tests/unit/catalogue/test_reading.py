"""What people read of a catalogue: lists in pages, one individual, what waits for review, history."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from pipeline.catalogue.rows import EMPTY, ImportBatch, ImportFile
from pipeline.catalogue.schema import assignments
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Alias, Decide, Decision, Describe, Merge, Move, Undo
from pipeline.catalogue.views import AnnotationFilter, EventEntry, HistoryFilter, IndividualEntry, IndividualFilter
from pipeline.errors import MalformedMessageError, NotInCatalogueError
from pipeline.records import LOCAL_USER, Actor
from tests.confirming import confirm, word

MARIA = Actor("azores", "Maria")


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    opened = open_catalogue(url)
    confirm(opened, [word("a", "Dante"), word("b", "Dante"), word("c", "VERGIL"), word("d", "100 %_\\")])
    yield opened
    opened.close()


def individuals(catalogue: SqlCatalogue, **wanted: str) -> list[str]:
    return [entry.name for entry in catalogue.individuals(IndividualFilter(**wanted)).entries]


def number_of(catalogue: SqlCatalogue, name: str) -> int:
    return next(entry.id for entry in catalogue.individuals(IndividualFilter()).entries if entry.name == name)


def test_individuals_are_found_by_parts_of_their_names_and_aliases(catalogue: SqlCatalogue) -> None:
    assert sorted(individuals(catalogue)) == ["100 %_\\", "Dante", "VERGIL"]
    catalogue.change(Alias(number_of(catalogue, "VERGIL"), add=("Publius Maro",)), MARIA)
    assert individuals(catalogue, search="ma ro") == ["VERGIL"]
    assert individuals(catalogue, search="ANT") == ["Dante"]
    assert individuals(catalogue, search="%_\\") == ["100 %_\\"]
    assert individuals(catalogue, search="_a") == []
    assert individuals(catalogue, body_part="flank") == []
    assert len(individuals(catalogue, body_part="fluke")) == 3


def test_an_entry_counts_what_shows_the_individual(catalogue: SqlCatalogue) -> None:
    dante = number_of(catalogue, "Dante")
    catalogue.change(Describe("individual", dante, {"sex": "female", "species": "Physeter", "note": "scar"}), MARIA)
    catalogue.change(Alias(dante, add=("Durante",)), MARIA)
    (entry,) = catalogue.individuals(IndividualFilter(sex="female", species="Physeter")).entries
    assert entry == IndividualEntry(dante, "Dante", ("Durante",), "Physeter", "female", "scar", 2, 0)


def test_pages_hold_every_entry_once_whatever_came_meanwhile(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [word(f"n{n}", f"I{n:02}") for n in range(20)])
    seen: list[str] = []
    after = None
    while True:
        page = catalogue.individuals(IndividualFilter(), after, limit=4)
        seen += [entry.name for entry in page.entries]
        assert page.total is None if after else page.total >= 23
        if page.next is None:
            break
        after = page.next
        confirm(catalogue, [word("first", "0 comes before all")])
    assert sorted(seen) == sorted({*seen})
    assert {f"I{n:02}" for n in range(20)} <= set(seen)


@pytest.mark.parametrize("after", ["", "[]", "[1]", '["a"]', "{}", '["a", "b"]', "[" * 100_000])
def test_a_place_that_no_page_gave_is_refused(catalogue: SqlCatalogue, after: str) -> None:
    with pytest.raises(MalformedMessageError, match="after"):
        catalogue.individuals(IndividualFilter(), after)


def test_one_individual_with_its_encounters_is_found_under_old_numbers_too(catalogue: SqlCatalogue) -> None:
    dante, vergil = number_of(catalogue, "Dante"), number_of(catalogue, "VERGIL")
    a, b = (entry.id for entry in catalogue.annotations(AnnotationFilter(individual=dante)).entries)
    made = catalogue.change(Move((a, b)), MARIA).made
    catalogue.change(Describe("sighting", made["sightings"][0], {"locality": "Pico"}), MARIA)
    catalogue.change(Merge(dante, (vergil,)), MARIA)
    detail = catalogue.individual(vergil)
    assert (detail.individual.id, detail.individual.aliases, detail.individual.annotations) == (dante, ("VERGIL",), 3)
    assert detail.merged == (vergil,)
    assert detail.head == catalogue.head()
    ((encounter),) = detail.encounters
    assert (encounter.annotations, encounter.locality, encounter.sighting) == ((a, b), "Pico", made["sightings"][0])
    assert len(catalogue.annotations(AnnotationFilter(individual=vergil)).entries) == 3
    with pytest.raises(NotInCatalogueError):
        catalogue.individual(9999)


def test_annotations_are_listed_by_what_is_known_of_them(catalogue: SqlCatalogue) -> None:
    page = catalogue.annotations(AnnotationFilter(), limit=1)
    (first,) = page.entries
    assert (first.source_key, first.name, first.reviewed, first.models, page.total) == (
        "path:a",
        "Dante",
        True,
        ("m1",),
        4,
    )
    catalogue.change(Describe("annotation", first.id, {"side": "left"}), MARIA)
    assert [entry.id for entry in catalogue.annotations(AnnotationFilter(side="left")).entries] == [first.id]
    assert catalogue.annotations(AnnotationFilter(body_part="flank")).total == 0
    rest = catalogue.annotations(AnnotationFilter(), page.next).entries
    assert [entry.source_key for entry in rest] == ["path:b", "path:c", "path:d"]


def test_what_waits_for_a_person_is_provisional_or_unsure(catalogue: SqlCatalogue) -> None:
    a, b, c, _ = (entry.id for entry in catalogue.annotations(AnnotationFilter()).entries)
    catalogue.change(Decide((Decision(a, "unsure", confidence="low"), Decision(b, "not_comparable"))), MARIA)
    with catalogue._database.writing() as connection:
        connection.execute(update(assignments).where(assignments.c.annotation == c).values(reviewed=False))
    waiting = catalogue.annotations(AnnotationFilter(waiting=True)).entries
    assert [(entry.id, entry.individual is None, entry.reviewed) for entry in waiting] == [
        (a, True, False),
        (c, False, False),
    ]
    assert (waiting[0].verdict, waiting[0].confidence) == ("unsure", "low")
    catalogue.change(Decide((Decision(c, "match", waiting[1].individual),)), MARIA)
    assert [entry.id for entry in catalogue.annotations(AnnotationFilter(waiting=True)).entries] == [a]


def test_a_provisional_guess_is_not_ranked_nor_counted(catalogue: SqlCatalogue) -> None:
    with catalogue._database.writing() as connection:
        connection.execute(update(assignments).values(reviewed=False))
    assert catalogue.changes_since(EMPTY).added == ()
    assert catalogue.counts().photos == 0
    (entry,) = catalogue.individuals(IndividualFilter(search="dante")).entries
    assert (entry.annotations, entry.provisional) == (0, 2)


def told(entries: tuple[EventEntry, ...]) -> list[tuple[int, str, str, int | None, int | None]]:
    return [(e.version, e.kind, e.actor.name, e.undoes, e.undone_by) for e in entries]


def test_history_is_newest_first_with_who_spoke_and_what_was_undone(catalogue: SqlCatalogue) -> None:
    dante, vergil = number_of(catalogue, "Dante"), number_of(catalogue, "VERGIL")
    catalogue.import_rows([ImportBatch(ImportFile("x.csv", "fluke", "d1", "m1"), (word("csv", "Nova"),))])
    catalogue.change(Merge(dante, (vergil,)), MARIA, reason="same scar")
    catalogue.change(Undo(3), LOCAL_USER)
    page = catalogue.history(HistoryFilter(), limit=3)
    assert told(page.entries) == [
        (4, "undo", "local user", 3, None),
        (3, "merge", "Maria", None, 4),
        (2, "import", "whale-vision", None, None),
    ]
    assert page.entries[1].reason == "same scar"
    assert page.entries[1].at.tzinfo is not None
    assert [entry.version for entry in catalogue.history(HistoryFilter(), page.next).entries] == [1]
    assert [entry.version for entry in catalogue.history(HistoryFilter(since=2)).entries] == [4, 3]
    assert [entry.version for entry in catalogue.history(HistoryFilter(individual=vergil)).entries] == [4, 3, 1]


def test_the_history_of_an_annotation_holds_what_was_said_of_it(catalogue: SqlCatalogue) -> None:
    a = catalogue.annotations(AnnotationFilter()).entries[0].id
    confirm(catalogue, [word("b", "Nova")])
    catalogue.change(Decide((Decision(a, "unsure"),)), MARIA)
    assert [entry.version for entry in catalogue.history(HistoryFilter(annotation=a)).entries] == [3, 1]

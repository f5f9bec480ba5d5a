"""What a check of a database finds: damage that was done by hand, one kind at a time, and nothing where all is well."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline.catalogue.checking import check_database
from pipeline.catalogue.rows import ImportBatch, ImportFile
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Merge, Move, Remove, Undo
from pipeline.catalogue.views import AnnotationFilter, IndividualFilter
from pipeline.records import LOCAL_USER
from tests.confirming import confirm, word


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def catalogue(url: str) -> Iterator[SqlCatalogue]:
    """DANTE, into whom NERO was merged, and VERGIL; an encounter, a withdrawn annotation, an undone event."""
    catalogue = open_catalogue(url)
    confirm(catalogue, [word("a"), word("b", "VERGIL"), word("c", "NERO"), word("d", "VERGIL")])
    ids = {entry.name: entry.id for entry in catalogue.individuals(IndividualFilter()).entries}
    photos = {entry.path: entry.id for entry in catalogue.annotations(AnnotationFilter()).entries}
    catalogue.change(Merge(ids["DANTE"], (ids["NERO"],)), LOCAL_USER)
    catalogue.change(Move((photos["a"], photos["b"])), LOCAL_USER)
    removed = catalogue.change(Remove((photos["d"],)), LOCAL_USER)
    catalogue.change(Undo(removed.head.version), LOCAL_USER)
    catalogue.change(Remove((photos["d"],)), LOCAL_USER)
    yield catalogue
    catalogue.close()


def damage(catalogue: SqlCatalogue, statement: str) -> None:
    with catalogue.database.writing() as connection:
        connection.execute(text(statement))


def kinds(catalogue: SqlCatalogue) -> set[str]:
    return {finding.kind for finding in check_database(catalogue.database, None) if finding.is_error}


def test_nothing_is_found_where_all_is_well(catalogue: SqlCatalogue) -> None:
    assert check_database(catalogue.database, {"m1"}) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE names SET name = 'SPARDA' WHERE name = 'VERGIL'", {"log"}),
        ("UPDATE events SET payload = '{}' WHERE version = 1", {"log"}),
        ("UPDATE events SET payload = '{' WHERE version = 1", {"log"}),
        ("DELETE FROM events WHERE version = 3", {"log", "head"}),
        ("UPDATE catalogues SET head = 1", {"head"}),
        ("UPDATE catalogues SET next_row = 3", {"head"}),
        ("UPDATE annotations SET gone = 6 WHERE path = 'a'", {"log", "dangling"}),
        ("UPDATE individuals SET gone = 6 WHERE id = 1", {"log", "dangling"}),
        ("UPDATE individuals SET merged_into = 2 WHERE row = 1", {"log", "merged"}),
        ("UPDATE names SET is_alias = true WHERE name = 'VERGIL'", {"log", "nameless"}),
        ("UPDATE embeddings SET dimension = 3", {"log", "vector"}),
    ],
)
def test_what_was_changed_behind_the_catalogue_s_back_is_found(
    catalogue: SqlCatalogue, statement: str, found: set[str]
) -> None:
    damage(catalogue, statement)
    assert kinds(catalogue) == found


def test_each_finding_names_its_catalogue(catalogue: SqlCatalogue, url: str) -> None:
    other = open_catalogue(url, "other")
    confirm(other, [word("a")])
    other.close()
    damage(catalogue, "UPDATE names SET name = 'SPARDA' WHERE catalogue_id = 2")
    assert {finding.catalogue for finding in check_database(catalogue.database, None)} == {"other"}


def test_twins_and_embeddings_of_unknown_weights_are_noted_and_no_errors(catalogue: SqlCatalogue) -> None:
    rows = (word("t1", "Nova"), word("t2", "NOVA"))
    catalogue.import_rows([ImportBatch(ImportFile("x.csv", "fluke", "d1", "m1"), rows)])
    notes = check_database(catalogue.database, {"m2"})
    assert [(note.kind, note.is_error) for note in notes] == [("twins", False), ("unknown_model", False)]
    assert '"Nova"' in notes[0].text
    assert '"NOVA"' in notes[0].text
    assert notes[1].text.startswith("5 embeddings are by weights m1")


def test_a_damaged_page_of_a_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    catalogue = open_catalogue(f"sqlite:///{file}")
    confirm(catalogue, [word(f"{n}", f"I{n}", size=128) for n in range(100)])
    with catalogue.database.writing() as connection:
        root = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'names_by_key'").scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    catalogue.close()
    content = bytearray(file.read_bytes())
    content[root * size - 300 : root * size] = bytes(300)
    file.write_bytes(content)
    catalogue = open_catalogue(f"sqlite:///{file}")
    findings = check_database(catalogue.database, None)
    catalogue.close()
    assert {finding.kind for finding in findings} == {"damage"}

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.catalogue.csv_import import CsvSource, import_csvs
from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.errors import CatalogueFileError
from tests.memory_catalogue import MemoryCatalogue

REPOSITORY = Path(__file__).parents[3]
FLUKES = 'DANTE,dataset/1.jpg,"[1, 0]"\nVERGIL,dataset/2.jpg,"[0, 1]"\nDANTE,dataset/1.jpg,"[0, 1]"\n'
FLANKS = 'VERGIL,dataset/3.jpg,"[1, 1]"\n'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlCatalogue]:
    catalogue = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    yield catalogue
    catalogue.close()


def source(folder: Path, part: str, content: str, model: str = "m1") -> CsvSource:
    path = folder / f"pm_identification_{part}_ind.csv"
    path.write_text(content, encoding="utf-8")
    return CsvSource(path, part, model, dimension=2)


def statuses(catalogue: Catalogue, *sources: CsvSource) -> list[str]:
    return [outcome.status for outcome in import_csvs(catalogue, sources)]


def test_every_row_of_every_file_comes_in_also_two_of_one_path(store: SqlCatalogue, tmp_path: Path) -> None:
    outcomes = import_csvs(store, [source(tmp_path, "fluke", FLUKES), source(tmp_path, "flank", FLANKS)])
    assert [(outcome.status, outcome.rows) for outcome in outcomes] == [("new", 3), ("new", 1)]
    rows = store.changes_since(EMPTY).added
    assert [(row.individual, row.body_part, row.values.tolist()) for row in rows] == [
        ("DANTE", "fluke", [1.0, 0.0]),
        ("VERGIL", "fluke", [0.0, 1.0]),
        ("DANTE", "fluke", [0.0, 1.0]),
        ("VERGIL", "flank", [1.0, 1.0]),
    ]
    assert {row.model for row in rows} == {"m1"}


def test_path_and_file_are_kept_as_provenance(store: SqlCatalogue, tmp_path: Path) -> None:
    import_csvs(store, [source(tmp_path, "flank", FLANKS)])
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as raw:
        ((path, source_key),) = raw.execute("SELECT path, source_key FROM annotations").fetchall()
    assert path == "dataset/3.jpg"
    assert source_key == f"csv:{store.imports()[0].digest}:1"


def test_the_same_content_comes_in_once_whatever_its_name(store: SqlCatalogue, tmp_path: Path) -> None:
    assert statuses(store, source(tmp_path, "fluke", FLUKES)) == ["new"]
    renamed = CsvSource(tmp_path / "other.csv", "fluke", "m1", 2)
    renamed.path.write_text(FLUKES, encoding="utf-8")
    assert statuses(store, renamed) == ["already_imported"]
    assert (store.head().version, len(store.changes_since(EMPTY).added)) == (1, 3)


def test_a_changed_file_is_reported_and_not_merged(
    store: SqlCatalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_csvs(store, [source(tmp_path, "fluke", FLUKES)])
    with caplog.at_level(logging.WARNING):
        assert statuses(store, source(tmp_path, "fluke", FLUKES + 'NERO,4.jpg,"[1, 1]"\n')) == ["changed_since"]
    assert "pm_identification_fluke_ind.csv has changed since" in caplog.text
    assert store.head().version == 1


def test_the_same_file_beside_other_weights_is_reported(
    store: SqlCatalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_csvs(store, [source(tmp_path, "fluke", FLUKES)])
    assert statuses(store, source(tmp_path, "fluke", FLUKES, model="m2")) == ["other_model"]
    assert "imported with other weights" in caplog.text
    assert dict(store.counts().rows) == {("fluke", "m1"): 3}


def test_a_file_made_with_other_weights_comes_in_beside_the_first(store: SqlCatalogue, tmp_path: Path) -> None:
    import_csvs(store, [source(tmp_path, "fluke", FLUKES)])
    assert statuses(store, source(tmp_path, "fluke", 'DANTE,1.jpg,"[3, 3]"', model="m2")) == ["new"]
    assert dict(store.counts().rows) == {("fluke", "m1"): 3, ("fluke", "m2"): 1}


def test_one_bad_row_leaves_nothing_of_any_file(store: SqlCatalogue, tmp_path: Path) -> None:
    good = source(tmp_path, "fluke", FLUKES)
    bad = source(tmp_path, "flank", FLANKS + 'NERO,4.jpg,"[1]"\n')
    with pytest.raises(CatalogueFileError, match=r"pm_identification_flank_ind\.csv: line 2: .*has 1 numbers, not 2"):
        import_csvs(store, [good, bad])
    assert (store.head().version, store.imports()) == (0, ())


def test_a_file_that_is_not_there_is_passed_over() -> None:
    assert import_csvs(MemoryCatalogue(), [CsvSource(Path("nowhere.csv"), "fluke", "m1", 2)]) == ()


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueFileError, match="cannot be read"):
        import_csvs(MemoryCatalogue(), [CsvSource(tmp_path, "fluke", "m1", 2)])


def test_an_empty_file_may_be_filled_later(tmp_path: Path) -> None:
    catalogue = MemoryCatalogue()
    import_csvs(catalogue, [source(tmp_path, "fluke", "")])
    assert statuses(catalogue, source(tmp_path, "fluke", FLUKES)) == ["new"]


IMPORT = """
import sys
from pathlib import Path
from pipeline.catalogue.csv_import import CsvSource, import_csvs
from pipeline.catalogue.sql_store import open_catalogue
sys.stdin.readline()
catalogue = open_catalogue(sys.argv[1])
print(import_csvs(catalogue, [CsvSource(Path(sys.argv[2]), "fluke", "m1", 2)])[0].status)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_start_at_once_import_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    in_file = kind == "sqlite"
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}" if in_file else request.getfixturevalue("postgres_url")
    path = source(tmp_path, "fluke", FLUKES * 200).path
    command = [sys.executable, "-c", IMPORT, url, str(path)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for process in processes:  # started first, then let go together
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert answers == ["already_imported", "already_imported", "new"]
    catalogue = open_catalogue(url)
    assert (catalogue.head().version, len(catalogue.changes_since(EMPTY).added)) == (1, 600)
    catalogue.close()

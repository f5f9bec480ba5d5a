"""What holds for a catalogue in a SQLite file alone: its log, its locks, its backup, its disk, its wrong files."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.catalogue import sqlite
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from tests.confirming import confirm, confirming, word


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "catalogue.sqlite"
    open_catalogue(url_of(file)).close()
    assert file.is_file()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:c?mode=memory&uri=true"])
def test_a_catalogue_in_memory_is_refused(url: str) -> None:
    with pytest.raises(CatalogueOpenError, match="in memory"):
        open_catalogue(url)


def test_commits_wait_for_the_disk_in_a_write_ahead_log(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    with catalogue._database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_backup_made_while_others_write_holds_whole_requests(file: Path, tmp_path: Path) -> None:
    process = confirming(url_of(file), "I", "forever")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().split()[0] for _ in range(5)]
    sqlite3.connect(file).execute("VACUUM INTO ?", [str(tmp_path / "backup.sqlite")])
    process.kill()
    process.communicate(timeout=10)
    restored = open_catalogue(url_of(tmp_path / "backup.sqlite"))
    rows = [row.individual for row in restored.changes_since(EMPTY).added]
    assert set(acknowledged) <= set(rows)
    assert {rows.count(name) for name in rows} == {2}
    assert confirm(restored, [word("after")]) == restored.head().version == len(rows) // 2 + 1


def test_a_full_disk_stores_nothing_and_says_what_to_do(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("before")])
    limit_pages(catalogue._database.engine, sqlite3.connect(file).execute("PRAGMA page_count").fetchone()[0] + 4)
    with pytest.raises(CatalogueUnavailableError, match="disk is full: free some space"):
        confirm(catalogue, [word(f"{n}", f"I{n}", size=128) for n in range(200)])
    assert catalogue.head().version == 1
    assert catalogue.counts().individuals == 1
    assert confirm(catalogue, [word("small")]) == 2


def limit_pages(engine: Engine, pages: int) -> None:
    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "connect", on_connect)
    engine.dispose()


def test_a_locked_catalogue_says_so_and_works_again_afterwards(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0)
    catalogue = open_catalogue(url_of(file))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CatalogueUnavailableError, match="another process holds it locked"):
        confirm(catalogue, [word("a")])
    assert catalogue.head().version == 0, "readers go on beside a writer"
    other.execute("ROLLBACK")
    assert confirm(catalogue, [word("a")]) == 1


def test_damage_found_while_running_is_an_unavailable_catalogue(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word(f"{n}") for n in range(50)])
    catalogue.close()
    file.write_bytes(b"SQLite format 3\0" + b"\xff" * (file.stat().st_size - 16))
    with pytest.raises(CatalogueUnavailableError, match="restore the last backup"):
        catalogue.changes_since(EMPTY)


def test_a_file_that_is_not_a_catalogue_is_refused(file: Path) -> None:
    file.write_text("individual;photo\n" * 100)
    with pytest.raises(CatalogueOpenError, match="not a catalogue"):
        open_catalogue(url_of(file))
    assert file.read_text().startswith("individual;photo")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogueOpenError, match="cannot be made"):
        open_catalogue(url_of(tmp_path / "file" / "folder" / "catalogue.sqlite"))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueOpenError, match="cannot be opened"):
        open_catalogue(url_of(tmp_path))


def test_a_read_only_file_is_read_and_refuses_confirmations_with_what_to_do(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    confirm(open_catalogue(url_of(file)), [word("a")])
    catalogue = open_catalogue(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert "can only be read; confirmations are refused" in caplog.text
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["DANTE"]
    with pytest.raises(CatalogueUnavailableError, match="read-only: give the service's user the right to write"):
        confirm(catalogue, [word("b")])

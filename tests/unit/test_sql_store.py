"""What the SQL store promises beyond the contract: durability, several processes, failures of the disk."""

import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, create_mock_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.catalogue import sqlite
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.schema import SCHEMA_VERSION, metadata
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from pipeline.records import PhotoKey

REPOSITORY = Path(__file__).parents[2]


def word(photo: str, individual: str = "DANTE", size: int = 2) -> Confirmation:
    return Confirmation(PhotoKey(f"path:{photo}"), "fluke", individual, np.ones(size), "m1", photo)


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


def test_folder_is_made_and_contents_outlive_the_process(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "catalogue.sqlite"
    first = open_catalogue(url_of(file))
    first.confirm([word("a"), word("b", "VERGIL")])
    before = first.changes_since(0)
    first.close()
    second = open_catalogue(url_of(file))
    after = second.changes_since(0)
    second.close()
    assert (after.head, [row.individual for row in after.added]) == (1, ["DANTE", "VERGIL"])
    assert [row.row_id for row in after.added] == [row.row_id for row in before.added]


def test_catalogues_of_one_database_do_not_mix(file: Path) -> None:
    ours, theirs = open_catalogue(url_of(file), "ours"), open_catalogue(url_of(file), "theirs")
    ours.confirm([word("a")])
    assert (ours.head(), theirs.head()) == (1, 0)
    assert theirs.changes_since(0).added == ()
    theirs.confirm([word("a", "VERGIL")])
    assert [row.individual for row in ours.changes_since(0).added] == ["DANTE"]
    assert theirs.counts().individuals == 1


def test_replaced_rows_stay_in_the_file_as_history(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    for individual in ("A", "B"):
        catalogue.confirm([word("a", individual)])
    with sqlite3.connect(file) as raw:
        rows = raw.execute("SELECT version, superseded_version, origin, dimension FROM annotations ORDER BY id")
        assert rows.fetchall() == [(1, 2, "identify", 2), (2, None, "identify", 2)]


def test_rows_carry_their_time_in_utc(file: Path) -> None:
    noon_in_lisbon = datetime(2026, 7, 1, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    opened = open_catalogue(url_of(file))
    SqlCatalogue(opened._engine, 1, clock=lambda: noon_in_lisbon).confirm([word("a")])
    with sqlite3.connect(file) as raw:
        ((created_at,),) = raw.execute("SELECT created_at FROM annotations").fetchall()
    assert datetime.fromisoformat(created_at).replace(tzinfo=UTC) == noon_in_lisbon


def test_commits_wait_for_the_disk_in_a_write_ahead_log(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    with catalogue._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


CONFIRM_FOREVER = """
import itertools, sys
import numpy as np
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.records import PhotoKey
catalogue = open_catalogue(sys.argv[1])
for n in itertools.count() if sys.argv[3] == "forever" else range(int(sys.argv[3])):
    name = f"{sys.argv[2]}{n}"
    catalogue.confirm([Confirmation(PhotoKey(f"path:{name}{i}"), "fluke", name, np.ones(2), "m1", "p") for i in "ab"])
    print(name, flush=True)
"""


def confirming(file: Path, prefix: str, count: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CONFIRM_FOREVER, url_of(file), prefix, count]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_everything_acknowledged_survives_kill_9(file: Path) -> None:
    process = confirming(file, "I", "forever")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().split("\n")[:-1]
    process.wait(timeout=10)
    catalogue = open_catalogue(url_of(file))
    rows = [row.individual for row in catalogue.changes_since(0).added]
    assert {name: rows.count(name) for name in acknowledged} == {f"I{n}": 2 for n in range(len(acknowledged))}
    assert all(rows.count(name) == 2 for name in rows), "half of a request was stored"


def test_processes_that_write_at_once_lose_nothing(file: Path) -> None:
    processes = [confirming(file, prefix, "25") for prefix in "XYZ"]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    catalogue = open_catalogue(url_of(file))
    individuals = {row.individual for row in catalogue.changes_since(0).added}
    assert individuals == {f"{prefix}{n}" for prefix in "XYZ" for n in range(25)}
    assert catalogue.head() == 75


def test_another_process_s_commit_is_in_the_next_answer(file: Path) -> None:
    reader, writer = open_catalogue(url_of(file)), open_catalogue(url_of(file))
    assert reader.head() == 0
    for n in range(1, 4):
        writer.confirm([word(f"{n}")])
        assert reader.head() == n
        assert [row.key.photo for row in reader.changes_since(n - 1).added] == [f"path:{n}"]


def test_a_backup_made_while_others_write_holds_whole_requests(file: Path, tmp_path: Path) -> None:
    process = confirming(file, "I", "forever")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(5)]
    sqlite3.connect(file).execute("VACUUM INTO ?", [str(tmp_path / "backup.sqlite")])
    process.kill()
    process.communicate(timeout=10)
    restored = open_catalogue(url_of(tmp_path / "backup.sqlite"))
    rows = [row.individual for row in restored.changes_since(0).added]
    assert set(acknowledged) <= set(rows)
    assert {rows.count(name) for name in rows} == {2}
    assert restored.confirm([word("after")]) == restored.head() == len(rows) // 2 + 1


def test_a_full_disk_stores_nothing_and_says_what_to_do(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    catalogue.confirm([word("before")])
    limit_pages(catalogue._engine, sqlite3.connect(file).execute("PRAGMA page_count").fetchone()[0] + 4)
    with pytest.raises(CatalogueUnavailableError, match="disk is full: free some space"):
        catalogue.confirm([word(f"{n}", f"I{n}", size=128) for n in range(200)])
    assert catalogue.head() == 1
    assert catalogue.counts().individuals == 1
    assert catalogue.confirm([word("small")]) == 2


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
        catalogue.confirm([word("a")])
    assert catalogue.head() == 0, "readers go on beside a writer"
    other.execute("ROLLBACK")
    assert catalogue.confirm([word("a")]) == 1


def test_damage_found_while_running_is_an_unavailable_catalogue(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    catalogue.confirm([word(f"{n}") for n in range(50)])
    catalogue.close()
    file.write_bytes(b"SQLite format 3\0" + b"\xff" * (file.stat().st_size - 16))
    with pytest.raises(CatalogueUnavailableError, match="restore the last backup"):
        catalogue.changes_since(0)


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


def test_a_read_only_file_is_refused_with_what_to_do(file: Path) -> None:
    open_catalogue(url_of(file)).close()
    with pytest.raises(CatalogueOpenError, match="read-only: give the service's user the right to write"):
        open_catalogue(f"sqlite:///file:{file}?mode=ro&uri=true")


def test_a_newer_layout_is_refused_and_left_alone(file: Path) -> None:
    open_catalogue(url_of(file)).close()
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE schema_versions SET version = ?", (SCHEMA_VERSION + 1,))
    with pytest.raises(CatalogueOpenError, match="written by a newer release"):
        open_catalogue(url_of(file))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:c?mode=memory&uri=true", "in memory"),
        ("catalogue.sqlite", "catalogue_url"),
        ("nosuchdatabase://host/name", "catalogue_url"),
        ("", "catalogue_url"),
    ],
)
def test_a_wrong_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises(CatalogueOpenError, match=reason):
        open_catalogue(url)


def test_tables_can_be_made_in_postgresql_too() -> None:
    statements: list[str] = []

    def record(statement: object, *_: object, **__: object) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)))  # type: ignore[attr-defined]

    engine = create_mock_engine("postgresql+psycopg2://", record)
    metadata.create_all(engine, checkfirst=False)
    partial = [statement for statement in statements if "CREATE UNIQUE INDEX one_standing_row_a_photo" in statement]
    assert len(partial) == 1
    assert "WHERE superseded_version IS NULL" in partial[0]

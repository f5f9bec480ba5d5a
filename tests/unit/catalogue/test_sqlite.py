"""What holds for a catalogue in a SQLite file alone: its log, its locks, its backup, its disk, its wrong files."""

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.catalogue import sqlite, sqlite_file
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from tests.confirming import REPOSITORY, confirm, confirming, word


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


# --- company ----------------------------------------------------------------------------------------------------------


OPEN = """
import sys
from pipeline.catalogue.sql_store import open_catalogue
print("ready", flush=True)
sys.stdin.readline()
print(open_catalogue(sys.argv[1]).head().version)
"""


def test_the_switch_to_the_log_waits_for_whoever_holds_the_file(file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
    release.start()
    assert open_catalogue(url_of(file)).head() == EMPTY
    release.join()


def test_processes_that_open_a_new_file_at_once_all_open_it(file: Path) -> None:
    command, pipe = [sys.executable, "-c", OPEN, url_of(file)], subprocess.PIPE
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["0"] * 4


def test_two_writers_of_two_spellings_make_one_individual(file: Path) -> None:
    catalogues = [open_catalogue(url_of(file)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        names = ("Nova", "NOVA", "nova", "no va")
        list(pool.map(lambda n: confirm(catalogues[n], [word(f"{n}", names[n])]), range(4)))
    assert catalogues[0].counts().individuals == 1


# --- a file that is replaced or deleted while the service runs --------------------------------------------------------


def move_away(file: Path) -> None:
    """Take away the file and what lies beside it, as docs/catalogue.md says."""
    for path in file.parent.glob(f"{file.name}*"):
        path.rename(path.with_name(f"away-{path.name}"))


def backup_of(file: Path) -> Path:
    copy = file.with_name("backup.sqlite")
    sqlite3.connect(file).execute("VACUUM INTO ?", [str(copy)])
    return copy


def test_a_backup_put_in_place_is_what_every_replica_reads_and_writes(file: Path) -> None:
    replicas = [open_catalogue(url_of(file)) for _ in range(2)]
    confirm(replicas[0], [word("a")])
    backup = backup_of(file)
    confirm(replicas[1], [word("lost", "VERGIL")])
    assert [replica.head().version for replica in replicas] == [2, 2]
    move_away(file)
    backup.rename(file)
    assert replicas[0].head().version == 1
    assert confirm(replicas[1], [word("b", "NOVA")]) == 2
    for replica in [*replicas, open_catalogue(url_of(file))]:
        assert [row.individual for row in replica.changes_since(EMPTY).added] == ["DANTE", "NOVA"]


def test_a_confirmation_into_a_deleted_file_is_refused_and_no_new_file_is_made(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("a")])
    file.unlink()
    with pytest.raises(CatalogueUnavailableError, match="file is gone: put it back"):
        confirm(catalogue, [word("b")])
    with pytest.raises(CatalogueUnavailableError, match="file is gone"):
        catalogue.head()
    assert not file.exists()


def test_a_file_that_is_moved_away_and_back_works_on(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("a")])
    file.rename(file.with_name("away"))
    with pytest.raises(CatalogueUnavailableError):
        catalogue.head()
    file.with_name("away").rename(file)
    assert confirm(catalogue, [word("b")]) == 2


@pytest.mark.parametrize("make", [True, False])
def test_a_copy_that_has_just_begun_is_left_alone_and_read_when_it_is_whole(file: Path, make: bool) -> None:
    confirm(open_catalogue(url_of(file)), [word("a")])
    content = backup_of(file).read_bytes()
    catalogue = open_catalogue(url_of(file), make=make)
    confirm(catalogue, [word("lost")])
    move_away(file)
    file.touch()
    for _ in range(2):
        with pytest.raises(CatalogueUnavailableError, match="is being replaced: try again"):
            catalogue.head()
    with pytest.raises(CatalogueUnavailableError, match="is being replaced: try again"):
        open_catalogue(url_of(file), make=False)
    assert file.stat().st_size == 0
    file.write_bytes(content)
    assert confirm(catalogue, [word("b")]) == 2


def test_a_file_that_cannot_be_looked_at_is_not_said_to_be_gone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "catalogue.sqlite"
    catalogue = open_catalogue(url_of(file))
    folder.rename(tmp_path / "away")
    folder.touch()
    with pytest.raises(CatalogueUnavailableError, match="cannot be looked at: Not a directory"):
        catalogue.head()


def test_a_folder_named_like_an_option_does_not_let_a_new_file_be_made(tmp_path: Path) -> None:
    file = tmp_path / "mode=x" / "catalogue.sqlite"
    name = f"file:{file}"
    assert sqlite_file._must_exist(name) == f"{name}?mode=rw"


def test_a_new_file_beside_the_old_one_s_log_is_refused_until_that_is_moved_away(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("a")])
    backup = backup_of(file)
    confirm(catalogue, [word("lost", "VERGIL")])
    backup.replace(file)
    for _ in range(2):
        with pytest.raises(CatalogueUnavailableError, match=r"its log catalogue\.sqlite-wal is still that of the old"):
            confirm(catalogue, [word("b")])
    for path in file.parent.glob("catalogue.sqlite-*"):
        path.unlink()
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["DANTE"]
    assert confirm(catalogue, [word("b")]) == 2


def test_a_word_that_went_into_a_replaced_file_is_not_acknowledged(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("a")])
    backup = backup_of(file)

    def store_while_it_is_replaced() -> None:
        with catalogue._database.writing():
            move_away(file)
            backup.rename(file)

    with pytest.raises(CatalogueUnavailableError, match="replaced while this was stored: send the request again"):
        store_while_it_is_replaced()
    assert confirm(catalogue, [word("b")]) == 2


def test_a_link_that_points_to_another_file_is_followed(file: Path, tmp_path: Path) -> None:
    files = [tmp_path / name / "real.sqlite" for name in ("old", "new")]
    for target, name in zip(files, ("DANTE", "NOVA"), strict=True):
        target.parent.mkdir()
        opened = open_catalogue(url_of(target))
        confirm(opened, [word("a", name)])
        opened.close()
    file.symlink_to(files[0])
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("b", "VERGIL")])
    file.unlink()
    file.symlink_to(files[1])
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["NOVA"]


# --- a disk without room ----------------------------------------------------------------------------------------------


def without_room(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Let every opening of the file fail as on a full disk, where the log's shared memory (32 kB) finds no room."""
    opening = sqlite3.connect

    def connect(name: str, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if str(file) in name and "immutable" not in name:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
            raise error
        return opening(name, *arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)


def test_on_a_full_disk_a_catalogue_opens_to_be_read_and_refuses_confirmations(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_catalogue(url_of(file))
    confirm(first, [word("a")])
    first.close()
    without_room(monkeypatch, file)
    catalogue = open_catalogue(url_of(file))
    assert "can only be read" in caplog.text
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["DANTE"]
    with pytest.raises(CatalogueUnavailableError, match="disk is full: free some space"):
        confirm(catalogue, [word("b")])
    monkeypatch.undo()
    assert confirm(catalogue, [word("b")]) == 2, "it works again as soon as there is room"


def test_a_full_disk_hides_no_words_that_are_still_in_the_log(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_catalogue(url_of(file))
    confirm(first, [word("a")])
    without_room(monkeypatch, file)
    with pytest.raises(CatalogueOpenError, match="disk is full"):
        open_catalogue(url_of(file))


def test_a_disk_with_little_room_is_in_the_log_at_the_start(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_catalogue(url_of(file)).close()
    assert "can only be read" not in caplog.text
    monkeypatch.setattr(sqlite, "_SCARCE_BYTES", 2**62)
    open_catalogue(url_of(file)).close()
    assert "confirmations are refused: the disk is full" in caplog.text


def test_opening_a_catalogue_does_not_wait_for_a_writer(file: Path) -> None:
    open_catalogue(url_of(file)).close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    assert open_catalogue(url_of(file)).head() == EMPTY
    assert time.monotonic() - start < sqlite.BUSY_TIMEOUT_S / 2
    other.execute("ROLLBACK")


def test_a_writer_that_began_before_others_noticed_the_new_file_is_not_acknowledged(file: Path) -> None:
    catalogue = open_catalogue(url_of(file))
    confirm(catalogue, [word("a")])
    backup = backup_of(file)

    def store_while_a_reader_goes_over() -> None:
        with catalogue._database.writing():
            move_away(file)
            backup.rename(file)
            assert catalogue.head().version == 1

    with pytest.raises(CatalogueUnavailableError, match="replaced while this was stored"):
        store_while_a_reader_goes_over()

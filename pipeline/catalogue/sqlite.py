"""Everything about the catalogue that holds for SQLite only: its pragmas, its transactions, its errors.

WAL lets readers go on beside one writer; `synchronous=FULL` makes a commit wait for the disk, so that what is
acknowledged survives a power cut; writers take the lock at their start (`BEGIN IMMEDIATE`), since a reader that turns
into a writer can fail halfway where a waiting one cannot. Which file is open: `sqlite_file.py`.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.catalogue.layout import no_catalogue
from pipeline.catalogue.sqlite_file import OPEN_FILE, READ_ONLY_BECAUSE, DatabaseFile
from pipeline.catalogue_url import catalogue_file
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another one before it gives up."""

_RETRY_S = 0.02
_SCARCE_BYTES = 2**20  # free space below which the log warns at the start

_WRITES = {"sqlite_begin": "IMMEDIATE"}
_FILE = "catalogue_file"  # execution option that carries the engine's DatabaseFile

_FULL = "the disk is full: free some space and send the request again"
_READ_ONLY = "its file or folder is read-only: give the service's user the right to write"
_LOCKED = "another process holds it locked: try again; if this lasts, see which program has it open"
_ADVICE = {
    sqlite3.SQLITE_ERROR: "its tables are gone or of another release: restore the last backup and restart the service",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # no room for the few kB that its readers and writers share
    sqlite3.SQLITE_IOERR: "the disk reported an error: check the disk and its free space, then send the request again",
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: "its file may not be opened: give the service's user the right to read and write",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened: check that the folder exists and may be written",
    sqlite3.SQLITE_CORRUPT: "its file is damaged: stop the service and restore the last backup",
    sqlite3.SQLITE_NOTADB: "its file is not a catalogue: check catalogue_url, or restore the last backup",
}


def make_engine(url: URL, make: bool) -> Engine:
    """Make the engine; a file that vanishes later is never made again.

    Args:
        url: names the file.
        make: make the file and its folder where they are missing.

    Raises:
        CatalogueOpenError: the URL names no file, or the file does not exist or cannot be made.
    """
    path = catalogue_file(url)
    if path is None or url.query.get("mode") == "memory":
        raise CatalogueOpenError("catalogue_url: a catalogue in memory would forget what it acknowledged; name a file")
    try:
        if make and url.query.get("mode") != "ro":
            _make_file(path)
        elif not path.exists():
            raise no_catalogue(url)
    except OSError as error:
        raise CatalogueOpenError(f"catalogue_url: the file {path} cannot be opened: {error.strerror}") from error
    file = DatabaseFile(path, make)
    engine = create_engine(url, execution_options={_FILE: file}, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "do_connect", file.connect)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "connect", file.note_log)
    event.listen(engine, "checkin", _on_checkin)
    event.listen(engine, "begin", _on_begin)
    return engine


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueOpenError(f"catalogue_url: the folder {path.parent} cannot be made: {error.strerror}") from error
    if not path.exists():
        path.touch()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Hold a transaction that sees one state of the file."""
    _file_of(engine).check(engine)
    with engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Hold a transaction that has the file's lock from its start; its commit counts only where the file is still there.

    Raises:
        CatalogueUnavailableError: the file was replaced or deleted.
    """
    file = _file_of(engine)
    file.check(engine)
    with engine.execution_options(**_WRITES).begin() as connection:
        stored_in = connection.info[OPEN_FILE]
        yield connection
    file.check_still(stored_in)


def before_schema(connection: Connection) -> None:
    """Do nothing: a writing transaction keeps all others out already."""


def guard_photos(_connection: Connection, deletes: bool) -> None:
    """Do nothing: a writing transaction keeps all others out already."""


def advice(error: SQLAlchemyError) -> str | None:
    """Return what to do about an SQLite error, None for anything that is not known."""
    return _advice(getattr(error, "orig", None))


def why_read_only(engine: Engine) -> str | None:
    """Say why nothing can be stored as things are, or None where nothing is known to be in the way."""
    path = _file_of(engine).path
    if engine.url.query.get("mode") == "ro" or not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return _READ_ONLY
    return _FULL if shutil.disk_usage(path.parent).free < _SCARCE_BYTES else None


def back_up(engine: Engine, layout: int) -> str:
    """Copy the database into a new file beside it, while a transaction holds its lock.

    The copy has its name only once it is whole: nobody may take half of one for a backup.

    Args:
        engine: of the database.
        layout: of its tables; stands in the copy's name.

    Returns:
        The copy's path; no file that was there is overwritten.

    Raises:
        CatalogueOpenError: the copy cannot be made.
    """
    path = _file_of(engine).path
    unfinished = path.with_name(f"{path.name}.unfinished-backup")
    try:
        unfinished.unlink(missing_ok=True)  # of a start command that was killed
        copy_into(engine, unfinished)
        copy = _free_name(path, layout)
        unfinished.rename(copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise CatalogueOpenError(f"no backup of {path} could be made, so it stays as it is: {error}") from error
    return str(copy)


def copy_into(engine: Engine, target: Path) -> None:
    """Copy the database into a new file, as it is at one moment, while others read and write.

    Raises:
        sqlite3.Error: the copy cannot be made.
    """
    with closing(sqlite3.connect(target)) as copy, engine.connect() as connection:
        source: Any = connection.connection.driver_connection
        source.backup(copy)


def find_damage(connection: Connection) -> list[str]:
    """Return what SQLite finds wrong with the file, a hundred lines at most."""
    found = [str(said) for said in connection.exec_driver_sql("PRAGMA integrity_check").scalars() if said != "ok"]
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [
        *found,
        *(f"row {row} of {table} names a row of {parent} that is not there" for table, row, parent, _ in broken),
    ]


def size_bytes(connection: Connection) -> int:
    """Return the size of the file, without its log."""
    pragmas = ("page_count", "page_size")
    pages, page_bytes = (connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas)
    return int(pages * page_bytes)


def _free_name(path: Path, layout: int) -> Path:
    number = 0
    while True:
        number += 1
        ending = "" if number == 1 else f"-{number}"
        copy = path.with_name(f"{path.stem}.layout-{layout}{ending}{path.suffix}")
        if not copy.exists():
            return copy


def _file_of(engine: Engine) -> DatabaseFile:
    file: DatabaseFile = engine.get_execution_options()[_FILE]
    return file


def _on_connect(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    raw: Any = connection
    raw.isolation_level = None  # the driver must not begin transactions of its own: _on_begin does
    if READ_ONLY_BECAUSE not in record.info:
        _use_write_ahead_log(raw)
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync there does not reach the disk
    raw.execute("PRAGMA foreign_keys = ON")


def _use_write_ahead_log(raw: sqlite3.Connection) -> None:
    """Switch the journal's mode, once in the file's life; SQLite does not wait for the lock that this needs."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY:
                return  # it can be read as it is, and nobody writes
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
    if mode != "wal":
        raise CatalogueOpenError(
            f"the catalogue's file system does not support SQLite's write-ahead log (journal mode {mode}): "
            "put catalogue_url on a local disk"
        )


def _on_checkin(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    """Give up a connection that cannot write: the next one finds out whether the disk has room again."""
    if READ_ONLY_BECAUSE in record.info:
        record.invalidate()


def _on_begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    reason = connection.info.get(READ_ONLY_BECAUSE)
    if reason is not None and kind == "IMMEDIATE":
        raise CatalogueUnavailableError(f"the catalogue could not be written: {_advice(reason) or reason}")
    connection.exec_driver_sql(f"BEGIN {kind}")


def _advice(error: BaseException | None) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    return _ADVICE.get(code) or _ADVICE.get(code & 0xFF)  # the low byte of an extended code is the plain one

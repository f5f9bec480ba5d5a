"""Everything about the catalogue that holds for SQLite only: its pragmas, its transactions, its errors.

WAL lets readers go on beside one writer; `synchronous=FULL` makes a commit wait for the disk, so that what is
acknowledged survives a power cut; writers take the lock at their start (`BEGIN IMMEDIATE`), since a reader that turns
into a writer can fail halfway where a waiting one cannot.
"""

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.errors import CatalogueOpenError

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another one before it gives up."""

_WRITES = {"sqlite_begin": "IMMEDIATE"}

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process holds it locked: try again; if this lasts, see which program has it open",
    sqlite3.SQLITE_LOCKED: "another process holds it locked: try again; if this lasts, see which program has it open",
    sqlite3.SQLITE_FULL: "the disk is full: free some space and send the request again",
    sqlite3.SQLITE_IOERR: "the disk reported an error: check the disk and its free space, then send the request again",
    sqlite3.SQLITE_READONLY: "its file or folder is read-only: give the service's user the right to write",
    sqlite3.SQLITE_PERM: "its file may not be opened: give the service's user the right to read and write",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened: check that the folder exists and may be written",
    sqlite3.SQLITE_CORRUPT: "its file is damaged: stop the service and restore the last backup",
    sqlite3.SQLITE_NOTADB: "its file is not a catalogue: check catalogue_url, or restore the last backup",
}


def make_engine(url: URL) -> Engine:
    """Make the engine, and the folder of the database file.

    Raises:
        CatalogueOpenError: the URL names no file, or its folder cannot be made.
    """
    if not url.database or url.database == ":memory:" or url.query.get("mode") == "memory":
        raise CatalogueOpenError("catalogue_url: a catalogue in memory would forget what it acknowledged; name a file")
    folder = Path(url.database.removeprefix("file:")).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueOpenError(f"catalogue_url: the folder {folder} cannot be made: {error.strerror}") from error
    engine = create_engine(url)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def reading(engine: Engine) -> AbstractContextManager[Connection]:
    """Hold a transaction that sees one state of the file."""
    return engine.begin()


def writing(engine: Engine) -> AbstractContextManager[Connection]:
    """Hold a transaction that has the file's lock from its start."""
    return engine.execution_options(**_WRITES).begin()


def before_schema(connection: Connection) -> None:
    """Do nothing: a writing transaction keeps all others out already."""


def advice(error: SQLAlchemyError) -> str | None:
    """Return what to do about an SQLite error, None for anything that is not known."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else _ADVICE.get(code & 0xFF)  # the low byte of an extended code is the plain one


def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    raw: Any = connection
    raw.isolation_level = None  # the driver must not begin transactions of its own: _on_begin does
    raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise CatalogueOpenError(
            f"the catalogue's file system does not support SQLite's write-ahead log (journal mode {mode}): "
            "put catalogue_url on a local disk"
        )
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync there does not reach the disk
    raw.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")

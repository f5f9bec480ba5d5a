"""Which file the catalogue's SQLite connections have open, and whether it is still the one at its path.

A connection goes on with the file that it opened, also when that was deleted or another was put in its place; what it
stored there would be lost. So each transaction compares the file's device and inode with those at its path.
"""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Dialect, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.errors import CatalogueUnavailableError

OPEN_FILE = "open_file"
"""Key of a pooled connection's `info`: device and inode of the file that it has open."""

READ_ONLY_BECAUSE = "read_only_because"
"""Key of a pooled connection's `info`: the error for which the file could be opened only to read."""

_log = logging.getLogger(__name__)

_Identity = tuple[int, int]
"""Device and inode."""

# What opening a write-ahead log needs and a full or read-only disk refuses.
_NO_ROOM = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}

_FIRST_READ = "SELECT 1 FROM sqlite_master LIMIT 1"


class DatabaseFile:
    """The file of one pool of connections.

    Args:
        path: of the database.
        new: it may be empty when it is opened first, to have tables made in it.
    """

    def __init__(self, path: Path, new: bool) -> None:
        self.path = path
        self._new = new
        self._lock = threading.Lock()
        self._opened: _Identity | None = None
        self._opened_log: _Identity | None = None
        self._read_only = False

    @property
    def _log_path(self) -> Path:
        """Where SQLite keeps the log: beside the file itself, not beside a link to it."""
        file = self.path.resolve()
        return file.with_name(f"{file.name}-wal")

    def check(self, engine: Engine) -> None:
        """Make sure that the next connection has the file at the path open: give up those to another.

        Raises:
            CatalogueUnavailableError: there is no file, or another one beside the log of the old.
        """
        found = self._find()
        with self._lock:
            if self._opened in (None, found):
                return
            log = _identity(self._log_path)
            if log is not None and log == self._opened_log:  # SQLite would write its pages into the new file
                raise CatalogueUnavailableError(
                    f"the catalogue's file was replaced, and its log {self._log_path.name} is still that of the old "
                    "one: nothing was stored; stop the service, move that log away and start again"
                )
            _log.warning("%s was replaced by another file: all connections are made anew", self.path)
            engine.dispose()
            self._opened = None

    def check_still(self, stored_in: tuple[int, int]) -> None:
        """Make sure, after a commit, that it went to the file at the path.

        Args:
            stored_in: device and inode of the file that the connection had open.

        Raises:
            CatalogueUnavailableError: it did not, so that it counts as not stored.
        """
        if self._find() != stored_in:
            raise CatalogueUnavailableError(
                "the catalogue's file was replaced while this was stored: send the request again"
            )

    def connect(
        self, _dialect: Dialect, record: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
    ) -> DBAPIConnection:
        """Open the file, which must exist, and read in it; only to read where the disk has no room for the log.

        Raises:
            CatalogueUnavailableError: it vanished or was replaced at this moment, or is empty, as a copy is at first.
        """
        before = self._find()
        if not self._new and self.path.stat().st_size == 0:  # what opening wrote would damage the copy that follows
            raise _being_replaced()
        uri = _must_exist(arguments[0])
        options = options | {"uri": True}
        record.info.pop(READ_ONLY_BECAUSE, None)
        try:
            connection = _open(uri, options)
            self._read_only = False
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NO_ROOM or self._log_has_words():
                raise
            connection = _open(f"{uri}&immutable=1", options)
            record.info[READ_ONLY_BECAUSE] = error
            if not self._read_only:
                _log.error("%s can only be read: %s", self.path, error)
            self._read_only = True
        self._note(before, connection)
        record.info[OPEN_FILE] = before
        return cast(DBAPIConnection, connection)

    def note_log(self, connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        """Remember the log of the open file, once the connection uses one; the first read opens it."""
        opened = cast(sqlite3.Connection, connection)
        opened.execute(_FIRST_READ).fetchall()
        with self._lock:
            self._opened_log = _identity(self._log_path)

    def _note(self, before: _Identity, connection: sqlite3.Connection) -> None:
        with self._lock:
            if self._find() == before and self._opened in (None, before):
                self._opened = before
                self._new = False
                return
        connection.close()
        raise _being_replaced()

    def _find(self) -> _Identity:
        found = _identity(self.path)
        if found is None:
            raise CatalogueUnavailableError(
                "the catalogue's file is gone: put it back, or stop and start the service to begin an empty one"
            )
        return found

    def _log_has_words(self) -> bool:
        """Whether the log may hold what the file does not; then the file alone is not the catalogue."""
        try:
            return self._log_path.stat().st_size > 0
        except FileNotFoundError:
            return False


def _open(uri: str, options: dict[str, Any]) -> sqlite3.Connection:
    """Open a database and look into it, since SQLite puts off what can fail."""
    connection: sqlite3.Connection = sqlite3.connect(uri, **options)
    try:
        connection.execute(_FIRST_READ).fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _must_exist(name: str) -> str:
    """Return a URI of the file that SQLAlchemy would open, with which SQLite never makes a new one."""
    if not name.startswith("file:"):
        return f"{Path(name).absolute().as_uri()}?mode=rw"
    query = parse_qs(urlsplit(name).query)
    if "mode" in query:
        return name
    return f"{name}{'&' if '?' in name else '?'}mode=rw"


def _being_replaced() -> CatalogueUnavailableError:
    return CatalogueUnavailableError("the catalogue's file is being replaced: try again")


def _identity(path: Path) -> _Identity | None:
    """Return device and inode; None where there is no file.

    Raises:
        CatalogueUnavailableError: it cannot be looked at.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CatalogueUnavailableError(f"the catalogue's file cannot be looked at: {error.strerror}") from error
    return found.st_dev, found.st_ino

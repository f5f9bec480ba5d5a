"""The database under the catalogue: which kinds there are, its transactions, and its errors in the project's words."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pipeline.catalogue import postgresql, sqlite
from pipeline.catalogue.layout import find_catalogue, no_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from pipeline.rights import DEFAULT_CATALOGUE

_log = logging.getLogger(__name__)


class Backend(Protocol):
    """All that differs from one kind of database to the other; each kind is a module of its own."""

    def make_engine(self, url: URL, make: bool) -> Engine:
        """Make the engine without connecting, and with `make` a file that is missing.

        Raises:
            CatalogueOpenError: the URL cannot serve.
        """
        ...

    def reading(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Hold a transaction that sees one state of the database."""
        ...

    def writing(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Hold a transaction that sees the last commit once it has a lock, and whose own commit reaches the disk."""
        ...

    def before_schema(self, connection: Connection) -> None:
        """Keep other processes from preparing the tables until this writing transaction ends."""
        ...

    def guard_photos(self, connection: Connection, deletes: bool) -> None:
        """Keep those who list photos of the store apart from those who delete some, until a writing transaction ends.

        Args:
            connection: in the transaction.
            deletes: False for those who list; they do not keep one another out.
        """
        ...

    def advice(self, error: SQLAlchemyError) -> str | None:
        """Return what to do about an error, None where that is not known; a client may read it."""
        ...

    def why_read_only(self, engine: Engine) -> str | None:
        """Say why nothing could be stored now, as far as can be seen without writing; None where all seems well."""
        ...

    def back_up(self, engine: Engine, layout: int) -> str | None:
        """Copy the database and return where to; None where that is the operator's part."""
        ...

    def find_damage(self, connection: Connection) -> list[str]:
        """Return what the database itself finds wrong with its storage, one line each."""
        ...

    def size_bytes(self, connection: Connection) -> int:
        """Return how much room the database takes on its disk."""
        ...


_BACKENDS: dict[str, Backend] = {"sqlite": sqlite, "postgresql": postgresql}


@dataclass(frozen=True, slots=True)
class Database:
    """One database, with a pool of connections that threads share. Made by `open_database`."""

    engine: Engine
    backend: Backend

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Hold a transaction to read in.

        Raises:
            CatalogueUnavailableError: the database does not answer.
        """
        with self._translated("read"), self.backend.reading(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold a transaction to write in; it is rolled back where its block raises.

        Raises:
            CatalogueUnavailableError: the database does not answer or cannot store.
        """
        with self._translated("written"), self.backend.writing(self.engine) as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Hold a transaction to see what there is; closes the database where that fails.

        Raises:
            CatalogueOpenError: the database does not answer.
        """
        with self._opening(), self.backend.reading(self.engine) as connection:
            yield connection

    @contextmanager
    def preparing(self) -> Iterator[Connection]:
        """Hold a transaction to make the tables in, one process at a time; closes the database where that fails.

        Raises:
            CatalogueOpenError: the database does not answer or cannot store.
        """
        with self._opening(), self.backend.writing(self.engine) as connection:
            self.backend.before_schema(connection)
            yield connection

    def back_up(self, layout: int) -> str | None:
        """Copy the database where its kind can do that here; see `Backend.back_up`."""
        return self.backend.back_up(self.engine, layout)

    def warn_where_read_only(self) -> None:
        """Log why confirmations will be refused, where that can be seen already."""
        reason = self.backend.why_read_only(self.engine)
        if reason is not None:
            _log.error("the catalogue at %r can only be read; confirmations are refused: %s", self.engine.url, reason)

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self.engine.dispose()

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            self.close()
            said = " ".join(str(getattr(error, "orig", None) or error).split())
            advice = self.backend.advice(error)
            reason = f"{advice} ({said})" if advice else said
            raise CatalogueOpenError(f"the catalogue at {self.engine.url!r} cannot be opened: {reason}") from error
        except (CatalogueOpenError, CatalogueUnavailableError):
            self.close()
            raise

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError as error:
            raise CatalogueUnavailableError(f"the catalogue could not be {action}: too many calls at once") from error
        except DBAPIError as error:
            _log.error("the catalogue could not be %s: %s", action, error)
            reason = self.backend.advice(error) or str(error.orig)
            raise CatalogueUnavailableError(f"the catalogue could not be {action}: {reason}") from error


def open_database(url: str, make: bool = False) -> Database:
    """Find the kind of database that a URL names; the connection is made later.

    Args:
        url: as SQLAlchemy has it.
        make: make the file that it names where that is missing.

    Raises:
        CatalogueOpenError: not a URL, or not one of a database that can hold a catalogue.
    """
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
        backend = _BACKENDS.get(kind)
        if backend is None:
            raise CatalogueOpenError(f"catalogue_url: {kind} is not supported: use {' or '.join(_BACKENDS)}")
        return Database(backend.make_engine(parsed, make), backend)
    except (ArgumentError, ImportError, ValueError) as error:
        raise CatalogueOpenError(f"catalogue_url: {error}") from error


def open_existing(url: str) -> Database:
    """Open a database that holds catalogues of this release's layout; nothing is made.

    Raises:
        CatalogueOpenError: it holds no catalogue, cannot be opened, or has the layout of another release.
        CatalogueUnavailableError: its file was replaced at this moment.
    """
    database = open_database(url)
    with database.looking() as connection:
        found = find_catalogue(connection, DEFAULT_CATALOGUE)
    if found is None:
        database.close()
        raise no_catalogue(database.engine.url)
    return database

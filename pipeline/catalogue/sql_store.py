"""The catalogue in an SQL database: a SQLite file, or a PostgreSQL server where several machines share it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from pipeline.catalogue.change import Change
from pipeline.catalogue.changing import carry_out
from pipeline.catalogue.confirming import import_files, store_boxes, store_confirmations
from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import (
    Header,
    answer_repeat,
    commit,
    lock_catalogue,
    read_head,
    remember_confirmations,
)
from pipeline.catalogue.layout import find_catalogue, no_catalogue, read_layout
from pipeline.catalogue.rows import (
    Confirmation,
    Confirmed,
    Head,
    ImportBatch,
    ImportOutcome,
)
from pipeline.catalogue.schema import catalogues
from pipeline.catalogue.sql_reader import SqlReader
from pipeline.catalogue.verbs import Changed, Verb
from pipeline.catalogue_url import catalogue_file
from pipeline.errors import CatalogueOpenError, NoSuchCatalogueError
from pipeline.records import SERVICE, Actor
from pipeline.rights import DEFAULT_CATALOGUE as DEFAULT_CATALOGUE


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def open_catalogue(url: str, name: str = DEFAULT_CATALOGUE, make: bool = True) -> "SqlCatalogue":
    """Open a catalogue; one that exists is only read, so that a full disk does no harm.

    Replicas never make one: a file that is missing when a replica is started again may be on its way back.

    Args:
        url: SQLAlchemy URL, for example sqlite:////home/me/.local/share/whale-vision/catalogue.sqlite or
            postgresql+psycopg://whales@database.example.org/whales.
        name: which catalogue of that database.
        make: make it where there is none.

    Raises:
        CatalogueOpenError: there is none and none is made, the URL is wrong, the file is damaged or not a catalogue,
            the server is down or refuses the user, or the release that has written it is older (its tables want
            migrating) or newer.
        CatalogueUnavailableError: the file was replaced at this moment.
    """
    database = open_database(url, make)
    with database.looking() as connection:
        catalogue_id = find_catalogue(connection, name)
    if catalogue_id is None and not make:
        database.close()
        raise no_catalogue(database.engine.url)
    if catalogue_id is None:
        with database.preparing() as connection:
            catalogue_id = _make_in(connection, name)
    database.warn_where_read_only()
    return SqlCatalogue(database, catalogue_id, name=name)


def make_catalogue(url: str) -> None:
    """Make the catalogue where there is none; for those who run once before the replicas, never for a replica.

    Raises:
        CatalogueOpenError: the catalogue cannot be opened or made.
        CatalogueUnavailableError: the file was replaced at this moment.
    """
    open_catalogue(url).close()


def found_layout(url: str) -> int | None:
    """Return the layout of a database's tables, None where there are none or not even a file; changes nothing.

    Raises:
        CatalogueOpenError: the database cannot be opened, or a newer release has written it.
        CatalogueUnavailableError: the file was replaced at this moment.
    """
    file = catalogue_file(url)
    try:
        if file is not None and (not file.exists() or file.stat().st_size == 0):
            return None
    except OSError as error:
        raise CatalogueOpenError(f"catalogue_url: {file} cannot be looked at: {error.strerror}") from error
    database = open_database(url)
    try:
        with database.looking() as connection:
            return read_layout(connection)
    finally:
        database.close()


def _make_in(connection: Connection, name: str) -> int:
    """Make what another process has not made meanwhile."""
    from pipeline.catalogue.migrating import create_tables  # here: Alembic is for those who make or change tables

    if read_layout(connection) is None:
        create_tables(connection)
    found = find_catalogue(connection, name)
    if found is not None:
        return found
    inserted = connection.execute(insert(catalogues).values(name=name, head=0).returning(catalogues.c.id))
    return int(inserted.scalar_one())


class SqlCatalogue(SqlReader):
    """One catalogue of a database; implements `pipeline.catalogue.port.EditableCatalogue`. Made by `open_catalogue`.

    Args:
        database: with prepared tables.
        catalogue_id: which catalogue.
        clock: gives the time that new rows carry.
        name: what requests call it.
    """

    def __init__(
        self,
        database: Database,
        catalogue_id: int,
        clock: Callable[[], datetime] = utc_now,
        name: str = DEFAULT_CATALOGUE,
    ) -> None:
        super().__init__(database, catalogue_id)
        self._clock = clock
        self._name = name

    @property
    def name(self) -> str:
        """See the port."""
        return self._name

    @property
    def id(self) -> int:
        """The catalogue's number in its database."""
        return self._catalogue_id

    @property
    def database(self) -> Database:
        """Where it is."""
        return self._database

    def neighbour(self, name: str) -> "SqlCatalogue":
        """Return another catalogue of the same database; the connections are shared.

        Raises:
            CatalogueUnavailableError: the database cannot be read.
            NoSuchCatalogueError: it has none of this name.
        """
        with self._database.reading() as connection:
            found = connection.execute(select(catalogues.c.id).where(catalogues.c.name == name)).scalar()
        if found is None:
            raise NoSuchCatalogueError("catalogue: there is none of this name")
        return SqlCatalogue(self._database, found, self._clock, name)

    def confirm(
        self, confirmations: Sequence[Confirmation], actor: Actor, key: str | None = None, only_changes: bool = False
    ) -> Confirmed:
        """See the port."""
        if not confirmations:
            return Confirmed(self.head(), {})
        with self._writing() as change:
            repeated = None if key is None else answer_repeat(*change.place, actor, key, confirmations)
            if repeated is not None:
                return Confirmed(read_head(*change.place), repeated)
            refused = store_confirmations(change, confirmations)
            store_boxes(change, [said for place, said in enumerate(confirmations) if place not in refused])
            if change.is_empty and (key is None or only_changes):
                return Confirmed(read_head(*change.place), refused)
            head = commit(change, Header("confirm", actor, self._clock(), key))
            if key is not None:
                remember_confirmations(*change.place, head.version, confirmations, refused)
            return Confirmed(head, refused)

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        """See the port."""
        with self._writing() as change:
            outcomes = import_files(change, batches)
            if not change.is_empty:
                commit(change, Header("import", SERVICE, self._clock()))
            return outcomes

    def change(
        self,
        verb: Verb,
        actor: Actor,
        key: str | None = None,
        known: Head | None = None,
        reason: str | None = None,
        only_changes: bool = False,
    ) -> Changed:
        """See the port."""
        with self._writing() as change:
            header = Header("", actor, self._clock(), key, reason=reason)
            return carry_out(change, verb, header, known, only_changes)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[Change]:
        """Hold the catalogue's write lock: that of its own row where the database does not lock as a whole."""
        with self._database.writing() as connection:
            yield lock_catalogue(connection, self._catalogue_id)

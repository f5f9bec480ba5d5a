"""The catalogue in an SQL database: a SQLite file, or a PostgreSQL server where several machines share it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from pipeline.catalogue.change import Change
from pipeline.catalogue.changing import carry_out
from pipeline.catalogue.confirming import import_files, store_confirmations
from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import (
    Header,
    answer_repeat,
    commit,
    lock_catalogue,
    read_head,
    remember_confirmations,
)
from pipeline.catalogue.filtering import read_encounters, read_matching
from pipeline.catalogue.gallery_rows import read_changes_since, read_counts, read_imports, read_rows
from pipeline.catalogue.reading import read_annotations, read_history, read_individual, read_individuals
from pipeline.catalogue.rebuilding import differences
from pipeline.catalogue.rows import (
    CatalogueCounts,
    CatalogueRow,
    Changes,
    Confirmation,
    Confirmed,
    Head,
    ImportBatch,
    ImportFile,
    ImportOutcome,
)
from pipeline.catalogue.schema import catalogues, find_catalogue, no_catalogue, read_layout
from pipeline.catalogue.signing import read_signing_key
from pipeline.catalogue.vectors import Numbers
from pipeline.catalogue.verbs import Changed, Verb
from pipeline.catalogue.views import (
    PAGE,
    AnnotationEntry,
    AnnotationFilter,
    EventEntry,
    HistoryFilter,
    IndividualDetail,
    IndividualEntry,
    IndividualFilter,
    Page,
)
from pipeline.catalogue_url import catalogue_file
from pipeline.errors import CatalogueOpenError
from pipeline.protocol.filters import Filters
from pipeline.records import SERVICE, Actor

DEFAULT_CATALOGUE = "default"


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
    return SqlCatalogue(database, catalogue_id)


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


class SqlCatalogue:
    """One catalogue of a database; implements `pipeline.catalogue.port.EditableCatalogue`. Made by `open_catalogue`.

    Args:
        database: with prepared tables.
        catalogue_id: which catalogue.
        clock: gives the time that new rows carry.
    """

    def __init__(self, database: Database, catalogue_id: int, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._catalogue_id = catalogue_id
        self._clock = clock

    def head(self) -> Head:
        """See the port."""
        with self._database.reading() as connection:
            return read_head(connection, self._catalogue_id)

    def changes_since(self, known: Head) -> Changes:
        """See the port."""
        with self._database.reading() as connection:
            return read_changes_since(connection, self._catalogue_id, known)

    def read_rows(self, take: Callable[[Sequence[CatalogueRow]], None]) -> Head:
        """See the port."""
        with self._database.reading() as connection:
            head = read_head(connection, self._catalogue_id)
            read_rows(connection, self._catalogue_id, take)
            return head

    def find_matching(self, filters: Filters, known: Head) -> tuple[Numbers, Changes]:
        """See the port."""
        with self._database.reading() as connection:
            changes = read_changes_since(connection, self._catalogue_id, known)
            return read_matching(connection, self._catalogue_id, filters), changes

    def encounters_of(self, annotations: Sequence[int]) -> Mapping[int, int]:
        """See the port."""
        with self._database.reading() as connection:
            return read_encounters(connection, self._catalogue_id, annotations)

    def signing_key(self) -> bytes:
        """See the port."""
        with self._database.reading() as connection:
            return read_signing_key(connection)

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
            if change.is_empty and (key is None or only_changes):
                return Confirmed(read_head(*change.place), refused)
            head = commit(change, Header("confirm", actor, self._clock(), key))
            if key is not None:
                remember_confirmations(*change.place, head.version, confirmations, refused)
            return Confirmed(head, refused)

    def imports(self) -> tuple[ImportFile, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return read_imports(connection, self._catalogue_id)

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        """See the port."""
        with self._writing() as change:
            outcomes = import_files(change, batches)
            if not change.is_empty:
                commit(change, Header("import", SERVICE, self._clock()))
            return outcomes

    def counts(self) -> CatalogueCounts:
        """See the port."""
        with self._database.reading() as connection:
            return read_counts(connection, self._catalogue_id)

    def change(
        self, verb: Verb, actor: Actor, key: str | None = None, known: Head | None = None, reason: str | None = None
    ) -> Changed:
        """See the port."""
        with self._writing() as change:
            return carry_out(change, verb, Header("", actor, self._clock(), key, reason=reason), known)

    def individuals(
        self, wanted: IndividualFilter, after: str | None = None, limit: int = PAGE
    ) -> Page[IndividualEntry]:
        """See the port."""
        with self._database.reading() as connection:
            return read_individuals(connection, self._catalogue_id, wanted, after, limit)

    def individual(self, individual: int) -> IndividualDetail:
        """See the port."""
        with self._database.reading() as connection:
            return read_individual(connection, self._catalogue_id, individual)

    def annotations(
        self, wanted: AnnotationFilter, after: str | None = None, limit: int = PAGE
    ) -> Page[AnnotationEntry]:
        """See the port."""
        with self._database.reading() as connection:
            return read_annotations(connection, self._catalogue_id, wanted, after, limit)

    def history(self, wanted: HistoryFilter, after: str | None = None, limit: int = PAGE) -> Page[EventEntry]:
        """See the port."""
        with self._database.reading() as connection:
            return read_history(connection, self._catalogue_id, wanted, after, limit)

    def differences_from_log(self) -> list[str]:
        """Return where the tables say something else than the log of events, one line a row; empty if nowhere."""
        with self._database.reading() as connection:
            return differences(connection, self._catalogue_id)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[Change]:
        """Hold the catalogue's write lock: that of its own row where the database does not lock as a whole."""
        with self._database.writing() as connection:
            yield lock_catalogue(connection, self._catalogue_id)

"""The catalogue in an SQL database: a SQLite file, or a PostgreSQL server where several machines share it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, update

from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import (
    EventKind,
    answer_repeat,
    is_history,
    lock_head,
    read_head,
    remember_confirmations,
    write_event,
)
from pipeline.catalogue.rows import (
    EMPTY,
    CatalogueCounts,
    Changes,
    Confirmation,
    Confirmed,
    Head,
    ImportBatch,
    ImportFile,
    ImportOutcome,
    classify_import,
)
from pipeline.catalogue.schema import catalogues, find_catalogue, no_catalogue, read_layout
from pipeline.catalogue.sql_rows import (
    RowWriter,
    StandingRow,
    name_key,
    read_changes,
    read_counts,
    read_imports,
    read_spellings,
    read_standing,
    subject_of,
)
from pipeline.catalogue.vectors import pack_vector
from pipeline.catalogue_url import catalogue_file
from pipeline.errors import BadIdentityError, CatalogueOpenError
from pipeline.names import known_spelling
from pipeline.records import SERVICE, Actor

DEFAULT_CATALOGUE = "default"
IDENTIFY_ORIGIN = "identify"


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
    """One catalogue of a database; implements `pipeline.catalogue.port.Catalogue`. Made by `open_catalogue`.

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
            head = read_head(connection, self._catalogue_id)
            if is_history(connection, self._catalogue_id, known):
                return read_changes(connection, self._catalogue_id, known.version, head)
            return replace(read_changes(connection, self._catalogue_id, EMPTY.version, head), anew=True)

    def confirm(
        self, confirmations: Sequence[Confirmation], actor: Actor, key: str | None = None, only_changes: bool = False
    ) -> Confirmed:
        """See the port."""
        if not confirmations:
            return Confirmed(self.head(), {})
        with self._writing() as writer:
            repeated = None if key is None else answer_repeat(*writer.place, actor, key, confirmations)
            if repeated is not None:
                return Confirmed(read_head(*writer.place), repeated)
            words, refused = _spelled_as_known(writer, confirmations)
            changed = self._store(writer, words)
            if not changed and (key is None or only_changes):
                return Confirmed(read_head(*writer.place), refused)
            head = self._advance(writer, "confirm", actor, key)
            if key is not None:
                remember_confirmations(*writer.place, head.version, confirmations, refused)
            return Confirmed(head, refused)

    def imports(self) -> tuple[ImportFile, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return read_imports(connection, self._catalogue_id)

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        """See the port."""
        with self._writing() as writer:
            outcomes = tuple(self._import_batch(writer, batch) for batch in batches)
            if any(outcome.rows for outcome in outcomes):
                self._advance(writer, "import", SERVICE)
            return outcomes

    def counts(self) -> CatalogueCounts:
        """See the port."""
        with self._database.reading() as connection:
            return read_counts(connection, self._catalogue_id)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._database.close()

    def _import_batch(self, writer: RowWriter, batch: ImportBatch) -> ImportOutcome:
        status = classify_import(batch.file, read_imports(writer.connection, self._catalogue_id))
        if status != "new" or not batch.rows:
            return ImportOutcome(batch.file, status, rows=0)
        writer.insert(batch.rows, f"csv:{batch.file.digest}")
        writer.record_import(batch.file)
        return ImportOutcome(batch.file, status, rows=len(batch.rows))

    def _store(self, writer: RowWriter, words: Sequence[Confirmation]) -> bool:
        """Write what is not said yet; returns whether there was anything."""
        last_words = {subject_of(word): word for word in words}
        standing = read_standing(*writer.place, last_words)
        news = [word for subject, word in last_words.items() if not _is_said(word, standing[subject])]
        writer.supersede(row.row_id for word in news for row in _contradicted(word, standing[subject_of(word)]))
        writer.insert(news, IDENTIFY_ORIGIN)
        return bool(news)

    def _advance(self, writer: RowWriter, kind: EventKind, actor: Actor, key: str | None = None) -> Head:
        query = update(catalogues).where(catalogues.c.id == self._catalogue_id).values(head=writer.version)
        writer.connection.execute(query)
        return write_event(*writer.place, writer.version, kind, actor, writer.created_at, key)

    @contextmanager
    def _writing(self) -> Iterator[RowWriter]:
        """Hold the catalogue's write lock: that of its own row where the database does not lock as a whole."""
        with self._database.writing() as connection:
            version = lock_head(connection, self._catalogue_id) + 1
            yield RowWriter(connection, self._catalogue_id, version, self._clock())


def _spelled_as_known(
    writer: RowWriter, confirmations: Sequence[Confirmation]
) -> tuple[list[Confirmation], dict[int, BadIdentityError]]:
    """Give each the spelling of the individual that it means; the first spelling of a new one holds for all of them."""
    known = read_spellings(*writer.place, [confirmation.individual for confirmation in confirmations])
    words: list[Confirmation] = []
    refused: dict[int, BadIdentityError] = {}
    for place, confirmation in enumerate(confirmations):
        alike = known[name_key(confirmation.individual)]
        try:
            individual = known_spelling(confirmation.individual, alike)
        except BadIdentityError as error:
            refused[place] = error
            continue
        if not alike:
            alike.append(individual)
        words.append(replace(confirmation, individual=individual))
    return words, refused


def _is_said(word: Confirmation, standing: Sequence[StandingRow]) -> bool:
    said = (word.individual, word.model, pack_vector(word.values))
    return any((row.individual, row.model, row.embedding) == said for row in standing)


def _contradicted(word: Confirmation, standing: Sequence[StandingRow]) -> list[StandingRow]:
    """The same label by another model may stand: it serves again when the operator goes back to that model."""
    return [row for row in standing if row.model == word.model or row.individual != word.individual]

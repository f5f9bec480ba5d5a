"""The catalogue in an SQL database: a SQLite file, or a PostgreSQL server where several machines share it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, select, update

from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.rows import (
    CatalogueCounts,
    Changes,
    Confirmation,
    ImportBatch,
    ImportFile,
    ImportOutcome,
    classify_import,
)
from pipeline.catalogue.schema import catalogues, prepare_catalogue, prepare_schema
from pipeline.catalogue.sql_rows import (
    RowWriter,
    StandingRow,
    read_changes,
    read_counts,
    read_imports,
    read_standing,
    subject_of,
)
from pipeline.catalogue.vectors import pack_vector

DEFAULT_CATALOGUE = "default"
IDENTIFY_ORIGIN = "identify"


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def open_catalogue(url: str, name: str = DEFAULT_CATALOGUE) -> "SqlCatalogue":
    """Open a catalogue, made where there is none.

    Args:
        url: SQLAlchemy URL, for example sqlite:////home/me/.local/share/whale-vision/catalogue.sqlite or
            postgresql+psycopg://whales@database.example.org/whales.
        name: which catalogue of that database.

    Raises:
        CatalogueOpenError: the URL is wrong, the file is damaged, not a catalogue or not writable, the server is
            down or refuses the user, or a newer release has written it.
    """
    database = open_database(url)
    with database.preparing() as connection:
        prepare_schema(connection)
        catalogue_id = prepare_catalogue(connection, name)
    return SqlCatalogue(database, catalogue_id)


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

    def head(self) -> int:
        """See the port."""
        with self._database.reading() as connection:
            return self._read_head(connection)

    def changes_since(self, version: int) -> Changes:
        """See the port."""
        with self._database.reading() as connection:
            return read_changes(connection, self._catalogue_id, version, self._read_head(connection))

    def confirm(self, confirmations: Sequence[Confirmation]) -> int:
        """See the port."""
        last_words = {subject_of(confirmation): confirmation for confirmation in confirmations}
        if not last_words:
            return self.head()
        with self._writing() as writer:
            standing = read_standing(writer.connection, self._catalogue_id, last_words)
            news = [word for subject, word in last_words.items() if not _is_said(word, standing[subject])]
            writer.supersede(row.row_id for word in news for row in _contradicted(word, standing[subject_of(word)]))
            writer.insert(news, IDENTIFY_ORIGIN)
            return self._advance(writer) if news else writer.version - 1

    def imports(self) -> tuple[ImportFile, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return read_imports(connection, self._catalogue_id)

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        """See the port."""
        with self._writing() as writer:
            outcomes = tuple(self._import_batch(writer, batch) for batch in batches)
            if any(outcome.rows for outcome in outcomes):
                self._advance(writer)
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

    def _read_head(self, connection: Connection, lock: bool = False) -> int:
        query = select(catalogues.c.head).where(catalogues.c.id == self._catalogue_id)
        return int(connection.execute(query.with_for_update() if lock else query).scalar_one())

    def _advance(self, writer: RowWriter) -> int:
        query = update(catalogues).where(catalogues.c.id == self._catalogue_id).values(head=writer.version)
        writer.connection.execute(query)
        return writer.version

    @contextmanager
    def _writing(self) -> Iterator[RowWriter]:
        """Hold the catalogue's write lock: that of its own row where the database does not lock as a whole."""
        with self._database.writing() as connection:
            version = self._read_head(connection, lock=True) + 1
            yield RowWriter(connection, self._catalogue_id, version, self._clock())


def _is_said(word: Confirmation, standing: Sequence[StandingRow]) -> bool:
    said = (word.individual, word.model, pack_vector(word.values))
    return any((row.individual, row.model, row.embedding) == said for row in standing)


def _contradicted(word: Confirmation, standing: Sequence[StandingRow]) -> list[StandingRow]:
    """The same label by another model may stand: it serves again when the operator goes back to that model."""
    return [row for row in standing if row.model == word.model or row.individual != word.individual]

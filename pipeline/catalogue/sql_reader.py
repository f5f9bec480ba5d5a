"""What is read of one catalogue in an SQL database, each answer in one transaction."""

from collections.abc import Callable, Mapping, Sequence, Set

from pipeline.catalogue.database import Database
from pipeline.catalogue.events import read_head, read_heads
from pipeline.catalogue.filtering import read_encounters, read_matching
from pipeline.catalogue.gallery_rows import read_changes_since, read_counts, read_imports, read_rows
from pipeline.catalogue.proposals import ProposalFilter, Proposals
from pipeline.catalogue.reading import read_annotations, read_history, read_individual, read_individuals
from pipeline.catalogue.reading_proposals import read_proposals
from pipeline.catalogue.rebuilding import differences
from pipeline.catalogue.rows import CatalogueCounts, CatalogueRow, Changes, Head, ImportFile
from pipeline.catalogue.signing import read_signing_key
from pipeline.catalogue.telling_apart import read_told_apart
from pipeline.catalogue.vectors import Numbers
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
from pipeline.protocol.filters import Filters


class SqlReader:
    """The reading part of `pipeline.catalogue.port.EditableCatalogue`.

    Args:
        database: with prepared tables.
        catalogue_id: which catalogue.
    """

    def __init__(self, database: Database, catalogue_id: int) -> None:
        self._database = database
        self._catalogue_id = catalogue_id

    def head(self) -> Head:
        """See the port."""
        with self._database.reading() as connection:
            return read_head(connection, self._catalogue_id)

    def heads(self) -> Mapping[str, Head]:
        """See the port."""
        with self._database.reading() as connection:
            return read_heads(connection)

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

    def find_matching(self, filters: Filters, known: Head, hold: Callable[[Head, Changes], bool]) -> Numbers | None:
        """See the port."""
        with self._database.reading() as connection:
            changes = read_changes_since(connection, self._catalogue_id, known)
            return read_matching(connection, self._catalogue_id, filters) if hold(known, changes) else None

    def encounters_of(self, annotations: Sequence[int]) -> Mapping[int, int]:
        """See the port."""
        with self._database.reading() as connection:
            return read_encounters(connection, self._catalogue_id, annotations)

    def told_apart(self, pairs: Sequence[tuple[int, int]]) -> Set[tuple[int, int]]:
        """See the port."""
        with self._database.reading() as connection:
            return read_told_apart(connection, self._catalogue_id, pairs)

    def signing_key(self) -> bytes:
        """See the port."""
        with self._database.reading() as connection:
            return read_signing_key(connection)

    def imports(self) -> tuple[ImportFile, ...]:
        """See the port."""
        with self._database.reading() as connection:
            return read_imports(connection, self._catalogue_id)

    def counts(self) -> CatalogueCounts:
        """See the port."""
        with self._database.reading() as connection:
            return read_counts(connection, self._catalogue_id)

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

    def propose_sightings(self, wanted: ProposalFilter, after: str | None = None, limit: int = PAGE) -> Proposals:
        """See the port."""
        with self._database.reading() as connection:
            return read_proposals(connection, self._catalogue_id, wanted, after, limit)

    def differences_from_log(self) -> list[str]:
        """Return where the tables say something else than the log of events, one line a row; empty if nowhere."""
        with self._database.reading() as connection:
            return differences(connection, self._catalogue_id)

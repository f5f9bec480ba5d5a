"""Reading and writing the catalogue's rows on a connection whose transaction somebody else holds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, FromClause, Row, Select, and_, func, insert, or_, select, update

from pipeline.catalogue.rows import CatalogueCounts, CatalogueRow, Changes, Confirmation, Head, ImportFile
from pipeline.catalogue.schema import annotations, imports, individuals
from pipeline.catalogue.vectors import pack_vector, storable_key, unpack_vector
from pipeline.names import fold_name
from pipeline.records import PhotoKey

_KEYS_A_STATEMENT = 500  # bound parameters: SQLite took 999 at most for long, and a plan for more gains nothing

_T = TypeVar("_T")

_rows = annotations.c
_stands = _rows.superseded_version.is_(None)

Subject = tuple[str, int, str]
"""(photo, animal, body part): what a statement is about."""


@dataclass(frozen=True, slots=True)
class StandingRow:
    """A current row as far as a new statement about the same subject needs it."""

    row_id: int
    individual: str
    model: str
    embedding: bytes


def subject_of(confirmation: Confirmation) -> Subject:
    """Return what a confirmation is about."""
    return (confirmation.key.photo, confirmation.key.animal, confirmation.body_part)


def read_changes(connection: Connection, catalogue_id: int, since: int, head: Head) -> Changes:
    """Return the changes of versions since + 1 ... head."""
    came = and_(_rows.version > since, _rows.version <= head.version)
    stood_at_head = or_(_stands, _rows.superseded_version > head.version)
    added = _select_rows(catalogue_id).where(came, stood_at_head).order_by(_rows.id)
    superseded = (
        select(_rows.id)
        .where(_rows.catalogue_id == catalogue_id, _rows.version <= since)
        .where(_rows.superseded_version > since, _rows.superseded_version <= head.version)
        .order_by(_rows.id)
    )
    return Changes(
        head=head,
        added=tuple(_read_row(row) for row in connection.execute(added)),
        superseded=tuple(connection.execute(superseded).scalars()),
    )


def read_standing(
    connection: Connection, catalogue_id: int, subjects: Iterable[Subject]
) -> defaultdict[Subject, list[StandingRow]]:
    """Return the current rows about these subjects; an empty list where there are none."""
    wanted = set(subjects)
    standing: defaultdict[Subject, list[StandingRow]] = defaultdict(list)
    for photos in _chunks(sorted({photo for photo, _, _ in wanted})):
        query = _select_rows(catalogue_id).where(_stands, _rows.photo.in_(photos)).order_by(_rows.id)
        for row_id, photo, animal, body_part, individual, embedding, model in connection.execute(query):
            if (photo, animal, body_part) in wanted:
                standing[photo, animal, body_part].append(StandingRow(row_id, individual, model, embedding))
    return standing


def read_spellings(connection: Connection, catalogue_id: int, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the individuals with a current row that have the fold of one of these names, by fold, oldest first."""
    folds = sorted({name_key(name) for name in names})
    has_row = select(_rows.id).where(_rows.catalogue_id == catalogue_id, _stands)
    known = (
        select(individuals.c.name_key, individuals.c.name)
        .where(individuals.c.catalogue_id == catalogue_id)
        .where(has_row.where(_rows.individual_id == individuals.c.id).exists())
        .order_by(individuals.c.id)
    )
    spellings: dict[str, list[str]] = {fold: [] for fold in folds}
    for some in _chunks(folds):
        for fold, name in connection.execute(known.where(individuals.c.name_key.in_(some))):
            spellings[fold].append(name)
    return spellings


def name_key(name: str) -> str:
    """Return what the catalogue finds a name by: its fold, and a hash where that is too long for an index."""
    return storable_key(fold_name(name))


def read_imports(connection: Connection, catalogue_id: int) -> tuple[ImportFile, ...]:
    """Return the CSV files that came in, in their order."""
    columns = (imports.c.file_name, imports.c.body_part, imports.c.digest, imports.c.model)
    query = select(*columns).where(imports.c.catalogue_id == catalogue_id).order_by(imports.c.id)
    return tuple(ImportFile(*row) for row in connection.execute(query))


def read_counts(connection: Connection, catalogue_id: int) -> CatalogueCounts:
    """Count the current rows; each of the three queries walks one index."""
    current = and_(_rows.catalogue_id == catalogue_id, _stands)
    # Grouped, since SQLite walks an index for that where it would sort all rows for count(distinct ...).
    all_individuals = select(_rows.individual_id).where(current).group_by(_rows.individual_id).subquery()
    all_photos = select(_rows.photo).where(current).group_by(_rows.photo).subquery()
    by_model = select(_rows.body_part, _rows.model, func.count()).where(current).group_by(_rows.body_part, _rows.model)
    return CatalogueCounts(
        individuals=_count(connection, all_individuals),
        photos=_count(connection, all_photos),
        rows={(part, model): count for part, model, count in connection.execute(by_model)},
    )


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the rows of one transaction.

    Attributes:
        connection: in the transaction.
        catalogue_id: whose rows.
        version: the head that the transaction makes.
        created_at: aware UTC time of the transaction.
    """

    connection: Connection
    catalogue_id: int
    version: int
    created_at: datetime

    @property
    def place(self) -> tuple[Connection, int]:
        """The connection and the catalogue, which every query begins with."""
        return self.connection, self.catalogue_id

    def supersede(self, row_ids: Iterable[int]) -> None:
        """Mark current rows as replaced by this transaction."""
        for ids in _chunks(list(row_ids)):
            query = update(annotations).where(_rows.id.in_(ids)).values(superseded_version=self.version)
            self.connection.execute(query)

    def insert(self, confirmations: Sequence[Confirmation], origin: str) -> None:
        """Add rows, with individuals that are new in the order of their first row."""
        ids = self._individual_ids([confirmation.individual for confirmation in confirmations])
        values = [self._columns(confirmation, ids[confirmation.individual], origin) for confirmation in confirmations]
        if values:
            self.connection.execute(insert(annotations), values)

    def record_import(self, file: ImportFile) -> None:
        """Remember that a CSV file came in."""
        self.connection.execute(
            insert(imports).values(
                catalogue_id=self.catalogue_id,
                file_name=file.name,
                body_part=file.body_part,
                digest=file.digest,
                model=file.model,
                version=self.version,
                created_at=self.created_at,
            )
        )

    def _columns(self, confirmation: Confirmation, individual_id: int, origin: str) -> dict[str, object]:
        return {
            "catalogue_id": self.catalogue_id,
            "individual_id": individual_id,
            "photo": confirmation.key.photo,
            "animal": confirmation.key.animal,
            "body_part": confirmation.body_part,
            "embedding": pack_vector(confirmation.values),
            "dimension": len(confirmation.values),
            "model": confirmation.model,
            "path": confirmation.path,
            "origin": origin,
            "created_at": self.created_at,
            "version": self.version,
        }

    def _individual_ids(self, names: Sequence[str]) -> dict[str, int]:
        in_order = list(dict.fromkeys(names))
        known = self._known_individuals(in_order)
        missing = [
            {"catalogue_id": self.catalogue_id, "name": name, "name_key": name_key(name)}
            for name in in_order
            if name not in known
        ]
        if missing:
            self.connection.execute(insert(individuals), missing)
            known = self._known_individuals(in_order)
        return known

    def _known_individuals(self, names: Sequence[str]) -> dict[str, int]:
        of_catalogue = select(individuals.c.name, individuals.c.id).where(
            individuals.c.catalogue_id == self.catalogue_id
        )
        known: dict[str, int] = {}
        for some in _chunks(names):
            found = self.connection.execute(of_catalogue.where(individuals.c.name.in_(some)))
            known.update({row.name: row.id for row in found})
        return known


def _select_rows(catalogue_id: int) -> Select[int, str, int, str, str, bytes, str]:
    columns = (_rows.id, _rows.photo, _rows.animal, _rows.body_part, individuals.c.name, _rows.embedding, _rows.model)
    joined = annotations.join(individuals, individuals.c.id == _rows.individual_id)
    return select(*columns).select_from(joined).where(_rows.catalogue_id == catalogue_id)


def _count(connection: Connection, rows: FromClause) -> int:
    return int(connection.execute(select(func.count()).select_from(rows)).scalar_one())


def _read_row(row: Row[int, str, int, str, str, bytes, str]) -> CatalogueRow:
    row_id, photo, animal, body_part, individual, embedding, model = row
    return CatalogueRow(row_id, PhotoKey(photo, animal), body_part, individual, unpack_vector(embedding), model)


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _KEYS_A_STATEMENT):
        yield items[start : start + _KEYS_A_STATEMENT]

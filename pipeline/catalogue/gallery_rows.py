"""What matchers and imports read of the catalogue: the rows of galleries by version, counts, files that came in."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Integer, Select, and_, bindparam, func, or_, select

from pipeline.catalogue.events import read_head_since
from pipeline.catalogue.rows import CatalogueCounts, CatalogueRow, Changes, Head, ImportFile
from pipeline.catalogue.schema import annotations, assignments, embeddings, imports, names
from pipeline.catalogue.vectors import unpack_vector
from pipeline.records import PhotoKey

_said = assignments.c
_ranked = and_(_said.gone.is_(None), _said.reviewed)
_OF, _SINCE = bindparam("of", type_=Integer), bindparam("since", type_=Integer)
_gone = _said.gone > _SINCE
_PORTION_ROWS = 5_000


def read_changes_since(connection: Connection, catalogue_id: int, known: Head) -> Changes:
    """Return what a reader in a known state needs to have the head; see the port."""
    head, is_history = read_head_since(connection, catalogue_id, known)
    if not is_history:
        return Changes(head, (), (), anew=True)
    return _read_changes(connection, catalogue_id, known.version, head)


def _read_changes(connection: Connection, catalogue_id: int, since: int, head: Head) -> Changes:
    """Return the changes of versions since + 1 ... head, which is the last event that this transaction sees.

    Where an individual has another name now, its rows are given anew.
    """
    parameters = {"of": catalogue_id, "since": since}
    rows, ended = _CAME, _ENDED
    renamed = list(connection.execute(_RENAMED, parameters).scalars()) if since else []
    if renamed:
        rows = _rows_where(or_(_said.version > since, _said.individual.in_(renamed)))
        ended = _ended_where(or_(_gone, and_(_said.individual.in_(renamed), _said.gone.is_(None))))
    added = [_read_row(row) for row in connection.execute(rows, parameters)]
    return Changes(
        head=head,
        added=tuple(sorted(added, key=attrgetter("row_id"))),  # a database would sort the embeddings with them
        superseded=tuple(sorted(connection.execute(ended, parameters).scalars())) if since else (),
    )


def read_rows(connection: Connection, catalogue_id: int, take: Callable[[Sequence[CatalogueRow]], None]) -> None:
    """Hand over every current row in portions."""
    found = connection.execute(_CAME.execution_options(yield_per=_PORTION_ROWS), {"of": catalogue_id, "since": 0})
    for some in found.partitions():
        take([_read_row(row) for row in some])


def read_imports(connection: Connection, catalogue_id: int) -> tuple[ImportFile, ...]:
    """Return the CSV files that came in, in their order."""
    columns = (imports.c.file_name, imports.c.body_part, imports.c.digest, imports.c.model)
    query = select(*columns).where(imports.c.catalogue_id == catalogue_id, imports.c.gone.is_(None))
    return tuple(ImportFile(*row) for row in connection.execute(query.order_by(imports.c.row)))


def read_counts(connection: Connection, catalogue_id: int) -> CatalogueCounts:
    """Count what is ranked: provisional guesses do not count."""
    of_catalogue = and_(_said.catalogue_id == catalogue_id, _ranked)
    # Grouped, since SQLite walks an index for that where it would sort all rows for count(distinct ...).
    all_individuals = select(_said.individual).where(of_catalogue).group_by(_said.individual).subquery()
    shown = assignments.join(annotations, _is_annotation())
    all_photos = select(annotations.c.source_key).select_from(shown).where(of_catalogue)
    all_photos = all_photos.group_by(annotations.c.source_key)
    made_by = (annotations.c.body_part, embeddings.c.model)
    embedded = shown.join(embeddings, _is_embedding())
    by_model = select(*made_by, func.count()).select_from(embedded).where(of_catalogue).group_by(*made_by)
    return CatalogueCounts(
        individuals=_count(connection, all_individuals),
        photos=_count(connection, all_photos.subquery()),
        rows={(part, model): count for part, model, count in connection.execute(by_model)},
    )


def _rows_where(condition: ColumnElement[bool]) -> Select[Any]:
    """Select ranked rows of galleries."""
    is_name = and_(
        names.c.catalogue_id == _said.catalogue_id,
        names.c.individual == _said.individual,
        names.c.gone.is_(None),
        ~names.c.is_alias,
    )
    joined = assignments.join(annotations, _is_annotation()).join(embeddings, _is_embedding()).join(names, is_name)
    return (
        select(
            *(_said.row, annotations.c.source_key, annotations.c.animal, annotations.c.body_part),
            *(names.c.name, embeddings.c.vector, embeddings.c.model, _said.annotation, _said.individual),
        )
        .select_from(joined)
        .where(_said.catalogue_id == _OF, _ranked, condition)
    )


def _ended_where(condition: ColumnElement[bool]) -> Select[Any]:
    """Select the rows of galleries that a reader of version `since` has and that are gone or given anew."""
    return select(_said.row).where(_said.catalogue_id == _OF, _said.version <= _SINCE, _said.reviewed, condition)


def _is_annotation() -> ColumnElement[bool]:
    return and_(
        annotations.c.catalogue_id == _said.catalogue_id,
        annotations.c.id == _said.annotation,
        annotations.c.gone.is_(None),
    )


def _is_embedding() -> ColumnElement[bool]:
    return and_(
        embeddings.c.catalogue_id == _said.catalogue_id,
        embeddings.c.annotation == _said.annotation,
        embeddings.c.gone.is_(None),
    )


def _count(connection: Connection, rows: FromClause) -> int:
    return int(connection.execute(select(func.count()).select_from(rows)).scalar_one())


def _read_row(row: Any) -> CatalogueRow:
    row_id, photo, animal, body_part, name, vector, *made_by_and_numbers = row
    return CatalogueRow(row_id, PhotoKey(photo, animal), body_part, name, unpack_vector(vector), *made_by_and_numbers)


# Asked whenever a matcher catches up, so they are put together once.
_CAME = _rows_where(_said.version > _SINCE)
_ENDED = _ended_where(_gone)
_RENAMED = select(names.c.individual).where(  # whose name a reader has that is another's, or nobody's, now
    *(names.c.catalogue_id == _OF, names.c.gone > _SINCE, names.c.version <= _SINCE, ~names.c.is_alias)
)

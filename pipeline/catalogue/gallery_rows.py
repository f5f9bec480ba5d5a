"""What matchers and imports read of the catalogue: the rows of galleries by version, counts, files that came in."""

from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, or_, select

from pipeline.catalogue.rows import CatalogueCounts, CatalogueRow, Changes, Head, ImportFile
from pipeline.catalogue.schema import annotations, assignments, embeddings, imports, names
from pipeline.catalogue.vectors import unpack_vector
from pipeline.records import PhotoKey

_said = assignments.c
_ranked = and_(_said.gone.is_(None), _said.reviewed)


def read_changes(connection: Connection, catalogue_id: int, since: int, head: Head) -> Changes:
    """Return the changes of versions since + 1 ... head, which is the last event that this transaction sees.

    Where an individual has another name now, its rows are given anew.
    """
    of_catalogue = _said.catalogue_id == catalogue_id
    came: ColumnElement[bool] = _said.version > since
    ended = and_(_said.gone > since, _said.reviewed)
    renamed = _renamed(connection, catalogue_id, since)
    if renamed:
        came = or_(came, _said.individual.in_(renamed))
        ended = or_(ended, and_(_said.individual.in_(renamed), _ranked))
    superseded = select(_said.row).where(of_catalogue, ended, _said.version <= since)
    added = [_read_row(row) for row in connection.execute(_gallery_rows(catalogue_id).where(came))]
    return Changes(
        head=head,
        added=tuple(sorted(added, key=attrgetter("row_id"))),  # a database would sort the embeddings with them
        superseded=tuple(sorted(connection.execute(superseded).scalars())) if since else (),
    )


def _renamed(connection: Connection, catalogue_id: int, since: int) -> list[int]:
    """Return the individuals whose name a reader of version `since` has, and that have another now."""
    gone = select(names.c.individual).where(names.c.catalogue_id == catalogue_id, names.c.gone > since)
    return list(connection.execute(gone.where(names.c.version <= since, ~names.c.is_alias)).scalars())


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


def _gallery_rows(catalogue_id: int) -> Select[Any]:
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
            *(names.c.name, embeddings.c.vector, embeddings.c.model),
        )
        .select_from(joined)
        .where(_said.catalogue_id == catalogue_id, _ranked)
    )


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
    row_id, photo, animal, body_part, individual, vector, model = row
    return CatalogueRow(row_id, PhotoKey(photo, animal), body_part, individual, unpack_vector(vector), model)

"""What a database of catalogues holds and how much room it takes, and who spoke how often."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, extract, func, select

from pipeline.catalogue.database import Database
from pipeline.catalogue.photo_tables import photos
from pipeline.catalogue.schema import VERSIONED, actors, annotations, assignments, catalogues, embeddings, events
from pipeline.records import Actor


@dataclass(frozen=True, slots=True)
class CatalogueUsage:
    """What one catalogue holds.

    Attributes:
        name: of the catalogue.
        institution: whose it is.
        individuals: that somebody was said to be shown by an annotation.
        annotations: that stand.
        embeddings: that stand, by any model.
        provisional: assignments that nobody has reviewed.
        embedding_bytes: of all vectors, also of those that stand no longer.
        event_bytes: of the log's payloads, each character counted as one.
        photos: of the photo store that it has.
        photo_bytes: of their files.
    """

    name: str
    institution: str
    individuals: int
    annotations: int
    embeddings: int
    provisional: int
    embedding_bytes: int
    event_bytes: int
    photos: int
    photo_bytes: int


@dataclass(frozen=True, slots=True)
class PhotoUsage:
    """The photos of the store that the catalogues of an institution have; each counts once, whoever else has it.

    Attributes:
        institution: None: all of them together.
        photos: how many.
        photo_bytes: of their files, without the pictures that were made of them.
    """

    institution: str | None
    photos: int
    photo_bytes: int


@dataclass(frozen=True, slots=True)
class Activity:
    """How many events somebody made in a catalogue in one month (of UTC), such as "2026-07"."""

    catalogue: str
    month: str
    actor: Actor
    events: int


@dataclass(frozen=True, slots=True)
class Usage:
    """All of a database; `size_bytes` is what its file or its database takes, with indexes.

    `photos` is by institution, and all together in the last.
    """

    size_bytes: int
    catalogues: tuple[CatalogueUsage, ...]
    photos: tuple[PhotoUsage, ...]
    activity: tuple[Activity, ...]


def read_usage(database: Database) -> Usage:
    """Count what the database holds, at one moment.

    Raises:
        CatalogueUnavailableError: it cannot be read.
    """
    with database.reading() as connection:
        listed = select(catalogues.c.id, catalogues.c.name, catalogues.c.institution).order_by(catalogues.c.name)
        return Usage(
            size_bytes=database.backend.size_bytes(connection),
            catalogues=tuple(_usage(connection, *row) for row in connection.execute(listed).all()),
            photos=tuple(_photo_usage(connection)),
            activity=tuple(_activity(connection)),
        )


def count_rows(connection: Connection, catalogue: int) -> dict[str, int]:
    """Return how many rows each table of a catalogue has, events among them; those that stand no longer count, too."""
    return {table.name: _count(connection, table, catalogue) for table in (*VERSIONED, events)}


def _usage(connection: Connection, catalogue: int, name: str, institution: str) -> CatalogueUsage:
    shown = select(assignments.c.individual).where(
        assignments.c.catalogue_id == catalogue, assignments.c.gone.is_(None)
    )
    vectors = select(func.coalesce(func.sum(func.length(embeddings.c.vector)), 0))
    stored = select(func.coalesce(func.sum(photos.c.size_bytes), 0))
    payloads = select(func.coalesce(func.sum(func.length(events.c.payload)), 0))
    return CatalogueUsage(
        name=name,
        institution=institution,
        individuals=int(connection.execute(select(func.count()).select_from(shown.distinct().subquery())).scalar_one()),
        annotations=_count(connection, annotations, catalogue, annotations.c.gone.is_(None)),
        embeddings=_count(connection, embeddings, catalogue, embeddings.c.gone.is_(None)),
        provisional=_count(connection, assignments, catalogue, assignments.c.gone.is_(None) & ~assignments.c.reviewed),
        embedding_bytes=int(connection.execute(vectors.where(embeddings.c.catalogue_id == catalogue)).scalar_one()),
        event_bytes=int(connection.execute(payloads.where(events.c.catalogue_id == catalogue)).scalar_one()),
        photos=_count(connection, photos, catalogue),
        photo_bytes=int(connection.execute(stored.where(photos.c.catalogue_id == catalogue)).scalar_one()),
    )


def _photo_usage(connection: Connection) -> Iterator[PhotoUsage]:
    owned = select(catalogues.c.institution, photos.c.sha256, photos.c.size_bytes).join_from(photos, catalogues)
    each = owned.distinct().subquery()
    by_institution = select(each.c.institution, func.count(), func.sum(each.c.size_bytes)).group_by(each.c.institution)
    for institution, count, size_bytes in connection.execute(by_institution.order_by(each.c.institution)):
        yield PhotoUsage(institution, count, int(size_bytes))
    once = select(photos.c.sha256, photos.c.size_bytes).distinct().subquery()
    count, size_bytes = connection.execute(
        select(func.count(), func.coalesce(func.sum(once.c.size_bytes), 0)).select_from(once)
    ).one()
    yield PhotoUsage(None, count, int(size_bytes))


def _count(connection: Connection, table: Table, catalogue: int, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(table).where(table.c.catalogue_id == catalogue, *conditions)
    return int(connection.execute(query).scalar_one())


def _activity(connection: Connection) -> list[Activity]:
    year, month = extract("year", events.c.at), extract("month", events.c.at)
    who = (actors.c.institution, actors.c.name, actors.c.kind)
    by = (catalogues.c.name, year, month, *who)
    joined = events.join(actors, actors.c.id == events.c.actor_id)
    joined = joined.join(catalogues, catalogues.c.id == events.c.catalogue_id)
    query = select(*by, func.count()).select_from(joined).group_by(*by).order_by(*by)
    return [
        Activity(name, f"{int(in_year):04}-{int(in_month):02}", Actor(*spoke), count)
        for name, in_year, in_month, *spoke, count in connection.execute(query)
    ]

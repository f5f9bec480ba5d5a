"""What is wrong with a database of catalogues, and what its operator should know of: found by reading all of it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from pipeline.catalogue.database import Database
from pipeline.catalogue.rebuilding import differences
from pipeline.catalogue.schema import VERSIONED, catalogues, embeddings, events, individuals, names
from pipeline.catalogue.undoing import REFERENCES

_VECTOR_BYTES = 8  # of each number: little-endian float64


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check has found.

    Attributes:
        catalogue: where; None: in the database as a whole.
        kind: "damage", "log", "head", "dangling", "merged", "nameless", "vector", "twins" or "unknown_model".
        text: what, for a person.
        is_error: False where nothing is wrong: somebody may want to look at it.
    """

    catalogue: str | None
    kind: str
    text: str
    is_error: bool = True


Inspection = Callable[[Connection, int], Iterator[tuple[str, str]]]
"""Looks at one catalogue, by its number, and yields the kind and the text of each error."""


def check_database(database: Database, models: Collection[str] | None) -> list[Finding]:
    """Check a database and every catalogue in it; errors first within each.

    Args:
        database: with tables of this release's layout.
        models: short hashes of the weights that there are; None: nobody knows, so none are missed.

    Raises:
        CatalogueUnavailableError: it cannot be read.
    """
    with database.reading() as connection:
        damage = [Finding(None, "damage", said) for said in database.backend.find_damage(connection)]
        if damage:  # what else there is to say about it cannot be trusted
            return damage
        found = []
        for name, number in connection.execute(select(catalogues.c.name, catalogues.c.id).order_by(catalogues.c.name)):
            found += [Finding(name, *said) for inspect in _INSPECTIONS for said in inspect(connection, number)]
            found += [Finding(name, "twins", said, is_error=False) for said in _twins(connection, number)]
            if models is not None:
                unknown = _unknown_models(connection, number, models)
                found += [Finding(name, "unknown_model", said, is_error=False) for said in unknown]
    return found


def _log(connection: Connection, catalogue: int) -> Iterator[tuple[str, str]]:
    """The tables say what the events say."""
    try:
        said = differences(connection, catalogue)
    except (ValueError, KeyError, TypeError) as error:  # whatever is not the JSON of a payload
        said = [f"an event's payload cannot be read: {error!r}"]
    for each in said:
        yield "log", each


def _head(connection: Connection, catalogue: int) -> Iterator[tuple[str, str]]:
    """There is an event of every version up to the head, and the next row's number is free."""
    head, next_row = connection.execute(
        select(catalogues.c.head, catalogues.c.next_row).where(catalogues.c.id == catalogue)
    ).one()
    counted = select(func.count(), func.coalesce(func.max(events.c.version), 0))
    count, last = connection.execute(counted.where(events.c.catalogue_id == catalogue)).one()
    if not count == last == head:
        yield "head", f"the head is version {head}, but there are {count} events, the last of version {last}"
    for table in VERSIONED:
        largest = connection.execute(select(func.max(table.c.row)).where(table.c.catalogue_id == catalogue)).scalar()
        if largest is not None and largest >= next_row:
            yield "head", f"{table.name} has a row {largest}, and the next would get the number {next_row}"


def _references(connection: Connection, catalogue: int) -> Iterator[tuple[str, str]]:
    """What a row names stands, and was not merged into another individual."""
    for column, thing in REFERENCES:
        table = column.table
        named = and_(thing.c.catalogue_id == table.c.catalogue_id, thing.c.id == column, thing.c.gone.is_(None))
        merged = individuals.c.merged_into if thing is individuals else None
        query = select(table.c.row, column, thing.c.row, *(() if merged is None else (merged,)))
        query = query.select_from(table.outerjoin(thing, named)).order_by(table.c.row)
        query = query.where(table.c.catalogue_id == catalogue, table.c.gone.is_(None), column.is_not(None))
        missing = thing.c.row.is_(None)
        wrong = missing if merged is None else missing | merged.is_not(None)
        for row, of, found, *into in connection.execute(query.where(wrong)):
            if found is None:
                yield "dangling", f"{table.name} {row} names {thing.name} {of}, which does not stand"
            else:
                yield "merged", f"{table.name} {row} names individual {of}, which was merged into {into[0]}"


def _nameless(connection: Connection, catalogue: int) -> Iterator[tuple[str, str]]:
    """Every individual has one name; one that has none would be missing in rankings."""
    is_name = and_(
        names.c.catalogue_id == individuals.c.catalogue_id,
        names.c.individual == individuals.c.id,
        names.c.gone.is_(None),
        ~names.c.is_alias,
    )
    stands = (individuals.c.gone.is_(None), individuals.c.merged_into.is_(None))
    query = select(individuals.c.id, func.count(names.c.row)).select_from(individuals.outerjoin(names, is_name))
    query = query.where(individuals.c.catalogue_id == catalogue, *stands).group_by(individuals.c.id)
    for individual, count in connection.execute(query.having(func.count(names.c.row) != 1)):
        yield "nameless", f"individual {individual} has {count} names beside its aliases; it needs one"


def _vectors(connection: Connection, catalogue: int) -> Iterator[tuple[str, str]]:
    """Every embedding has as many numbers as it says."""
    size = func.length(embeddings.c.vector)
    query = select(embeddings.c.row, embeddings.c.dimension, size).where(embeddings.c.catalogue_id == catalogue)
    for row, dimension, found in connection.execute(query.where(size != embeddings.c.dimension * _VECTOR_BYTES)):
        yield "vector", f"embeddings {row} has {found} bytes; {dimension} numbers take {dimension * _VECTOR_BYTES}"


def _twins(connection: Connection, catalogue: int) -> Iterator[str]:
    """Names that differ so little that no confirmation could tell them apart, but for their exact spelling."""
    stands = (names.c.catalogue_id == catalogue, names.c.gone.is_(None))
    shared = select(names.c.key).where(*stands).group_by(names.c.key)
    shared = shared.having(func.count(names.c.individual.distinct()) > 1)
    query = select(names.c.key, names.c.name, names.c.individual).where(*stands, names.c.key.in_(shared))
    twins: defaultdict[str, list[str]] = defaultdict(list)
    for key, name, individual in connection.execute(query.order_by(names.c.key, names.c.twin)):
        twins[key].append(f'"{name}" (individual {individual})')
    for alike in twins.values():
        yield f"{' and '.join(alike)} differ little: merge them if they are one"


def _unknown_models(connection: Connection, catalogue: int, models: Collection[str]) -> Iterator[str]:
    query = select(embeddings.c.model, func.count()).group_by(embeddings.c.model).order_by(embeddings.c.model)
    stands = (embeddings.c.catalogue_id == catalogue, embeddings.c.gone.is_(None))
    for model, count in connection.execute(query.where(*stands)):
        if model not in models:
            yield f"{count} embeddings are by weights {model}, which models_dir does not have: they are not ranked"


_INSPECTIONS: tuple[Inspection, ...] = (_head, _log, _references, _nameless, _vectors)

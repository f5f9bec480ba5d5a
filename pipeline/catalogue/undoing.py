"""Undo: a new event that ends the rows which an older one opened, and opens copies of those which it ended.

Nothing stands again by itself, since readers follow versions. An event is undone only as a whole and only where no
later one that stands has touched the same things; an undone event and its undo cancel each other out.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, or_, select

from pipeline.catalogue.change import Change, Row, chunks, numbered, read_payload, said, standing
from pipeline.catalogue.events import undone_by
from pipeline.catalogue.schema import (
    VERSIONED,
    annotations,
    assignments,
    decisions,
    embeddings,
    encounters,
    events,
    individuals,
    names,
    settings,
    sightings,
)
from pipeline.catalogue.things import Subject, tell, touched, two_animals
from pipeline.catalogue.verbs import Undo
from pipeline.errors import ChangeRefusedError, NotInCatalogueError, UndoBlockedError

_IDENTITY: Mapping[Table, tuple[str, ...]] = {
    individuals: ("id",),
    names: ("key", "twin"),
    sightings: ("id",),
    encounters: ("id",),
    annotations: ("id",),
    embeddings: ("annotation", "model"),
    assignments: ("annotation",),
    decisions: ("annotation",),
    settings: ("camera",),
}
"""What a row is about, by its table. A CSV file that came in is not forgotten by an undo: it would come in again."""

REFERENCES: tuple[tuple[Column[Any], Table], ...] = (
    (names.c.individual, individuals),
    (assignments.c.individual, individuals),
    (assignments.c.annotation, annotations),
    (embeddings.c.annotation, annotations),
    (decisions.c.annotation, annotations),
    (encounters.c.sighting, sightings),
    (annotations.c.encounter, encounters),
)
"""Columns that name a thing which must stand."""

PURGE = "purge"
"""Kind of the events by which something was forgotten for good."""

_UNDOABLE_NEVER = frozenset({"migrate", PURGE})


def undo(change: Change, verb: Undo) -> None:
    """See `pipeline.catalogue.verbs.Undo`.

    Raises:
        ChangeRefusedError: an event of this kind is never undone.
        NotInCatalogueError: there is no such event.
        UndoBlockedError: it is undone already, or later events are in the way; they are named.
    """
    opened, closed = _rows_of(change, verb.version)
    _refuse_purged(change, verb, {row["row"] for rows in (*opened.values(), *closed.values()) for row in rows})
    later = touched(*change.place, verb.version, _subjects(opened, closed))
    _refuse(change, verb, later - _cancelled_out(change, verb.version))
    for table, identity in _IDENTITY.items():
        ended = {tuple(row.get(column) for column in identity) for row in opened[table]}
        for row in standing(*change.place, table, identity[0], (about[0] for about in ended)):
            if tuple(row[column] for column in identity) in ended:
                change.close(table, [row["row"]])
        for row in closed[table]:
            change.open(table, said(row))
    lost = _lost(change, annotations)
    change.close(embeddings, [row["row"] for row in _left(change, embeddings, "annotation", lost)])  # of other models
    _refuse(change, verb, _in_the_way(change))


def _refuse_purged(change: Change, verb: Undo, rows: set[int]) -> None:
    """Refuse to open copies of rows that a purge has left blank.

    Raises:
        UndoBlockedError: one is.
    """
    purges = select(events.c.version, events.c.payload).where(events.c.catalogue_id == change.catalogue_id)
    purges = purges.where(events.c.kind == PURGE, events.c.version > verb.version)
    for version, payload in change.connection.execute(purges):
        if not rows.isdisjoint(json.loads(payload).get("purged", ())):
            raise UndoBlockedError(
                f"version {verb.version} cannot be undone: some of what it was about was purged for good by "
                f"{tell(*change.place, [version])}; say by another verb how the rest should be"
            )


def _rows_of(change: Change, version: int) -> tuple[dict[Table, list[Row]], dict[Table, list[Row]]]:
    """Return the rows that an event opened and closed."""
    of_event = (events.c.catalogue_id == change.catalogue_id, events.c.version == version)
    event = change.connection.execute(select(events.c.kind, events.c.payload).where(*of_event)).one_or_none()
    if event is None:
        raise NotInCatalogueError(f"the catalogue has no event of version {version}")
    if event.kind in _UNDOABLE_NEVER:
        raise ChangeRefusedError(f"version {version} is of kind {event.kind}, which is never undone")
    opened, closed = read_payload(event.payload)
    return (
        {table: opened.get(table.name, []) for table in VERSIONED},
        {table: list(numbered(*change.place, table, closed.get(table.name, ()))) for table in VERSIONED},
    )


def _subjects(opened: Mapping[Table, list[Row]], closed: Mapping[Table, list[Row]]) -> list[Subject]:
    """What the event was about; embeddings change only together with their assignment or annotation."""
    about = [(table, identity[0]) for table, identity in _IDENTITY.items() if table is not embeddings]
    return [(table.c[column], {row[column] for row in (*opened[table], *closed[table])}) for table, column in about]


def _cancelled_out(change: Change, version: int) -> set[int]:
    """Return the later events that are undone, and their undos.

    Raises:
        UndoBlockedError: the event of this version is undone itself.
    """
    undone = undone_by(*change.place, version)
    if version in undone:
        raise UndoBlockedError(f"version {version} is undone already, by {tell(*change.place, [undone[version]])}")
    return {*undone, *undone.values()}


def _refuse(change: Change, verb: Undo, versions: Iterable[int]) -> None:
    standing_versions = set(versions)
    if standing_versions:
        raise UndoBlockedError(
            f"version {verb.version} cannot be undone while what came later stands: "
            f"{tell(*change.place, standing_versions)}; undo that first"
        )


def _in_the_way(change: Change) -> set[int]:
    """Return the events by which a row that this change leaves would name a thing that does not stand, or be twice.

    Nor may an encounter get two animals of one photo.
    """
    versions: set[int] = set()
    lost = {thing: _lost(change, thing) for thing in {thing for _, thing in REFERENCES}}
    for column, thing in REFERENCES:
        versions |= {row["version"] for row in _left(change, column.table, column.name, lost[thing])}
        named = {row[column.name] for row in change.opened[column.table] if row.get(column.name) is not None}
        versions |= _why_missing(change, thing, named)
    opened = {_subject_of(row) for row in change.opened[annotations]}
    left = _left(change, annotations, "source_key", (source_key for source_key, *_ in opened))
    versions |= {row["version"] for row in left if _subject_of(row) in opened}
    return versions | {other["version"] for _, other in two_animals(change) if other["version"] != change.version}


def _subject_of(annotation: Row) -> tuple[str, int, str]:
    return annotation["source_key"], annotation["animal"], annotation["body_part"]


def _lost(change: Change, thing: Table) -> set[int]:
    """Return the things that stand no longer after this change, or are merged into others."""
    ended = {row["id"] for row in numbered(*change.place, thing, change.closed[thing])}
    merged = {row["id"] for row in change.opened[thing] if row.get("merged_into") is not None}
    return (ended - {row["id"] for row in change.opened[thing]}) | merged


def _left(change: Change, table: Table, column: str, values: Iterable[Any]) -> list[Row]:
    ended = set(change.closed[table])
    return [row for row in standing(*change.place, table, column, values) if row["row"] not in ended]


def _why_missing(change: Change, thing: Table, ids: set[int]) -> set[int]:
    """Return by which events things that an opened row names do not stand."""
    there = {row["id"] for row in change.opened[thing] if row.get("merged_into") is None}
    there |= {row["id"] for row in _left(change, thing, "id", ids - there) if row.get("merged_into") is None}
    versions: set[int] = set()
    query = select(thing.c.version, thing.c.gone).where(thing.c.catalogue_id == change.catalogue_id)
    ended: ColumnElement[bool] = thing.c.gone.is_not(None)
    if thing is individuals:
        ended = or_(ended, individuals.c.merged_into.is_not(None))
    for some in chunks(sorted(ids - there)):
        for row in change.connection.execute(query.where(thing.c.id.in_(some), ended)):
            versions.add(row.version if row.gone is None else row.gone)
    return versions

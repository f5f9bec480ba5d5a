"""The individuals, annotations, encounters and sightings that a verb names, and whether they changed meanwhile."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, or_, select

from pipeline.catalogue.change import Change, Row, chunks, standing
from pipeline.catalogue.events import is_history
from pipeline.catalogue.rows import Head
from pipeline.catalogue.schema import actors, annotations, assignments, decisions, events, individuals, names
from pipeline.errors import ChangedSinceError, ChangeRefusedError, NotInCatalogueError
from pipeline.names import shown_name

Subject = tuple[Column[Any], Iterable[Any]]
"""A column of a versioned table, and the values whose rows a change has to do with."""

REEMBED = "reembed"
"""Kind of the events that add embeddings by another model: nobody has said anything by them."""

_SHOWN = 5  # events or things that an error names


def require(change: Change, table: Table, ids: Iterable[int]) -> dict[int, Row]:
    """Return the standing rows of things, by their ids.

    Raises:
        NotInCatalogueError: one does not stand.
    """
    wanted = set(ids)
    found = {row["id"]: row for row in standing(*change.place, table, "id", wanted)}
    refuse_missing(table, wanted, found)
    return found


def refuse_missing(table: Table, wanted: Iterable[int], found: Iterable[int]) -> None:
    """Refuse numbers of things that were not found.

    Raises:
        NotInCatalogueError: names the first few.
    """
    missing = sorted(set(wanted) - set(found))
    if missing:
        shown = ", ".join(map(str, missing[:_SHOWN]))
        raise NotInCatalogueError(f"the catalogue has no {table.name} {shown}, or has them no longer: look again")


def two_animals(change: Change) -> list[tuple[Row, Row]]:
    """Return pairs of annotations that show two animals of one photo, and are in one encounter after this change.

    The first of each pair is one that the change opens.
    """
    opened = [row for row in change.opened[annotations] if row.get("encounter") is not None]
    ended = set(change.closed[annotations])
    there = standing(*change.place, annotations, "encounter", (row["encounter"] for row in opened))
    of_photo: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in (*opened, *(row for row in there if row["row"] not in ended)):
        of_photo[row["encounter"], row["source_key"]].append(row)
    return [
        (row, other)
        for row in opened
        for other in of_photo[row["encounter"], row["source_key"]]
        if other["animal"] != row["animal"]
    ]


def refuse_two_animals(change: Change) -> None:
    """Refuse an encounter with two animals of one photo.

    Raises:
        ChangeRefusedError: names the photo.
    """
    for row, other in two_animals(change):
        raise ChangeRefusedError(
            f"{shown_name(row['path'])}: annotations {row['id']} and {other['id']} show two animals of this photo: an "
            "encounter is one animal at one time and place"
        )


def require_individuals(change: Change, ids: Iterable[int]) -> dict[int, Row]:
    """Return the standing row of each individual, or of the one that it was merged into, by the number asked for.

    Raises:
        NotInCatalogueError: one does not stand.
    """
    wanted = set(ids)
    found = require(change, individuals, wanted)
    meant = dict(found)
    while True:
        merged = {asked: row["merged_into"] for asked, row in meant.items() if row["merged_into"] is not None}
        if not merged:
            return meant
        found = require(change, individuals, merged.values())
        meant |= {asked: found[into] for asked, into in merged.items()}


def by_annotation(change: Change, table: Table, ids: Iterable[int]) -> dict[int, Row]:
    """Return the standing rows about annotations of a table that has one for each."""
    return {row["annotation"]: row for row in standing(*change.place, table, "annotation", ids)}


def words_about(ids: Sequence[int]) -> list[Subject]:
    """Return all that is said about annotations."""
    return [(annotations.c.id, ids), (assignments.c.annotation, ids), (decisions.c.annotation, ids)]


def refuse_changed(change: Change, known: Head | None, subjects: Iterable[Subject], merged: Iterable[int]) -> None:
    """Refuse a decision on what has changed since.

    Args:
        change: in progress.
        known: the state that was decided on; None where the client does not say.
        subjects: what the decision has to do with.
        merged: individuals that must not have been merged into another since.

    Raises:
        ChangedSinceError: names the events.
    """
    if known is None:
        return
    if not is_history(*change.place, known):
        raise ChangedSinceError(
            f"version {known.version}, which this was decided on, is not in this catalogue's history: look again"
        )
    if known.version == change.version - 1:
        return
    versions = touched(*change.place, known.version, subjects)
    into = individuals.c.merged_into.is_not(None)
    versions |= touched(*change.place, known.version, [(individuals.c.id, merged)], into)
    if versions:
        raise ChangedSinceError(
            f"what was decided on in version {known.version} has changed since: {tell(*change.place, versions)}; "
            "look again"
        )


def touched(
    connection: Connection,
    catalogue_id: int,
    since: int,
    subjects: Iterable[Subject],
    only: ColumnElement[bool] | None = None,
) -> set[int]:
    """Return the versions after `since` in which a row with one of these values came or ended.

    Events by which programs have only added embeddings are left out.
    """
    versions: set[int] = set()
    for column, values in subjects:
        table = column.table
        query = select(table.c.version, table.c.gone).where(table.c.catalogue_id == catalogue_id)
        query = query.where(or_(table.c.version > since, table.c.gone > since))
        if only is not None:
            query = query.where(only)
        for some in chunks(sorted(set(values))):
            for row in connection.execute(query.where(column.in_(some))):
                versions.update(version for version in row if version is not None and version > since)
    for some in chunks(sorted(versions)):
        of_programs = select(events.c.version).where(events.c.catalogue_id == catalogue_id, events.c.kind == REEMBED)
        versions.difference_update(connection.execute(of_programs.where(events.c.version.in_(some))).scalars())
    return versions


def tell(connection: Connection, catalogue_id: int, versions: Iterable[int]) -> str:
    """Return a list of events for a message: the newest, with kind and who spoke."""
    newest = sorted(versions)[-_SHOWN:]
    query = (
        select(events.c.version, events.c.kind, actors.c.name)
        .join_from(events, actors, actors.c.id == events.c.actor_id)
        .where(events.c.catalogue_id == catalogue_id, events.c.version.in_(newest))
        .order_by(events.c.version)
    )
    return ", ".join(f"version {version} ({kind} by {name})" for version, kind, name in connection.execute(query))


def names_of(change: Change, individual: int) -> list[Row]:
    """Return an individual's standing names, in the order in which it got them."""
    return list(standing(*change.place, names, "individual", [individual]))

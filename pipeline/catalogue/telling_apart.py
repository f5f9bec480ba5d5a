"""Which individuals a person has said are not one, as far as the catalogue keeps that."""

from collections import defaultdict
from collections.abc import Sequence, Set
from itertools import chain

from sqlalchemy import Connection, and_, or_, select

from pipeline.catalogue.change import chunks
from pipeline.catalogue.events import undone_by
from pipeline.catalogue.schema import annotations, assignments, events

Numbers = tuple[int, int]
"""Of two individuals."""


def read_told_apart(connection: Connection, catalogue_id: int, pairs: Sequence[Numbers]) -> Set[Numbers]:
    """Return the pairs that were told apart; see the port."""
    numbers = sorted(set(chain.from_iterable(pairs)))
    photos = _photos(connection, catalogue_id, numbers)
    parted = _parted(connection, catalogue_id, numbers)
    return {
        (one, other) for one, other in pairs if {(one, other), (other, one)} & parted or photos[one] & photos[other]
    }


def _photos(
    connection: Connection, catalogue_id: int, numbers: Sequence[int]
) -> defaultdict[int, set[tuple[str, str]]]:
    """Return the photos and body parts that show each individual, by a person's word: no two are one animal there."""
    is_of = and_(assignments.c.catalogue_id == annotations.c.catalogue_id, assignments.c.annotation == annotations.c.id)
    shown = (annotations.c.source_key, annotations.c.body_part)
    query = select(assignments.c.individual, *shown).join_from(assignments, annotations, is_of)
    query = query.where(assignments.c.catalogue_id == catalogue_id, assignments.c.reviewed)
    query = query.where(assignments.c.gone.is_(None), annotations.c.gone.is_(None))
    found: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    for some in chunks(numbers):
        for individual, photo, part in connection.execute(query.where(assignments.c.individual.in_(some))):
            found[individual].add((photo, part))
    return found


def _parted(connection: Connection, catalogue_id: int, numbers: Sequence[int]) -> set[Numbers]:
    """Return whose annotations became whose by a split, or by the undo of a merge, that stands."""
    before, after, undone = assignments.alias(), assignments.alias(), events.alias()
    same = and_(
        before.c.catalogue_id == after.c.catalogue_id,
        before.c.annotation == after.c.annotation,
        before.c.gone == after.c.version,
        before.c.individual != after.c.individual,
    )
    is_event = and_(events.c.catalogue_id == after.c.catalogue_id, events.c.version == after.c.version)
    is_undone = and_(undone.c.catalogue_id == events.c.catalogue_id, undone.c.version == events.c.undoes)
    joined = before.join(after, same).join(events, is_event).outerjoin(undone, is_undone)
    query = select(before.c.individual, after.c.individual, events.c.version).select_from(joined).distinct()
    query = query.where(before.c.catalogue_id == catalogue_id, before.c.gone.is_not(None))
    query = query.where(or_(events.c.kind == "split", and_(events.c.kind == "undo", undone.c.kind == "merge")))
    taken_back = undone_by(connection, catalogue_id, 0)
    return {
        (one, other)
        for some in chunks(numbers)
        for one, other, version in connection.execute(query.where(before.c.individual.in_(some)))
        if version not in taken_back
    }

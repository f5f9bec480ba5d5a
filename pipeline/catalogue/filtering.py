"""Which annotations a ranking's filters let through, and the encounters that references are told apart by."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from pipeline.catalogue.change import standing
from pipeline.catalogue.places import distance_m
from pipeline.catalogue.schema import annotations, assignments, encounters, sightings
from pipeline.catalogue.vectors import Numbers
from pipeline.protocol.filters import Around, Box, Filters


def read_matching(connection: Connection, catalogue_id: int, filters: Filters) -> Numbers:
    """Return the numbers of the annotations that show somebody and pass the filters, ascending."""
    of_annotation = and_(
        assignments.c.catalogue_id == annotations.c.catalogue_id, assignments.c.annotation == annotations.c.id
    )
    query = select(annotations.c.id).join_from(annotations, assignments, of_annotation)
    conditions = [assignments.c.gone.is_(None), assignments.c.reviewed, annotations.c.gone.is_(None)]
    conditions += [annotations.c.catalogue_id == catalogue_id]
    for column, value in ((annotations.c.body_part, filters.body_part), (annotations.c.side, filters.side)):
        if value is not None:
            conditions.append(column == value)
    of_sighting = _sighting_conditions(filters)
    if of_sighting:
        query = query.add_columns(sightings.c.latitude, sightings.c.longitude).join(encounters, _is_encounter())
        query = query.join(sightings, _is_sighting())
    found = connection.execute(query.where(*conditions, *of_sighting))
    around = filters.around
    rows = found if around is None else (row for row in found if _is_around(around, row[1], row[2]))
    return np.sort(np.fromiter((row[0] for row in rows), dtype=np.int64))


def read_encounters(connection: Connection, catalogue_id: int, numbers: Sequence[int]) -> Mapping[int, int]:
    """Return the encounters of annotations, by their numbers; one that is in none is left out."""
    found: dict[int, int] = {}
    for row in standing(connection, catalogue_id, annotations, "id", numbers):
        if row["encounter"] is not None:
            found[row["id"]] = row["encounter"]
    return found


def _is_encounter() -> ColumnElement[bool]:
    of = encounters.c
    return and_(of.catalogue_id == annotations.c.catalogue_id, of.id == annotations.c.encounter, of.gone.is_(None))


def _is_sighting() -> ColumnElement[bool]:
    of = sightings.c
    return and_(of.catalogue_id == encounters.c.catalogue_id, of.id == encounters.c.sighting, of.gone.is_(None))


def _sighting_conditions(filters: Filters) -> list[ColumnElement[bool]]:
    of = sightings.c
    conditions: list[ColumnElement[bool]] = []
    if filters.since is not None:
        conditions.append(func.coalesce(of.ends_at, of.begins_at) >= datetime.combine(filters.since, time()))
    if filters.until is not None:
        conditions.append(func.coalesce(of.begins_at, of.ends_at) <= datetime.combine(filters.until, time.max))
    if filters.box is not None:
        conditions += _in_box(filters.box)
    if filters.around is not None:
        conditions += [of.latitude.is_not(None), of.longitude.is_not(None)]
    return conditions


def _in_box(box: Box) -> list[ColumnElement[bool]]:
    east_of, west_of = sightings.c.longitude >= box.west, sightings.c.longitude <= box.east
    between = and_(east_of, west_of) if box.west <= box.east else or_(east_of, west_of)
    return [sightings.c.latitude.between(box.south, box.north), between]


def _is_around(around: Around, latitude: float, longitude: float) -> bool:
    return distance_m((around.latitude, around.longitude), (latitude, longitude)) <= around.radius_m

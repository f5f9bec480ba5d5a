"""Proposes sightings and encounters: reads when, where and by what photos were taken, and writes nothing."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from pipeline.catalogue.animals import SeenAnimal, propose_animals
from pipeline.catalogue.change import chunks, standing
from pipeline.catalogue.clocks import Clocks, Moment, read_clocks
from pipeline.catalogue.events import read_head
from pipeline.catalogue.paging import read_cursor, write_cursor
from pipeline.catalogue.photo_tables import photos
from pipeline.catalogue.places import COARSE_M, seen_position
from pipeline.catalogue.proposals import (
    Camera,
    ProposalFilter,
    Proposals,
    ProposedEncounter,
    ProposedSighting,
    Undated,
)
from pipeline.catalogue.proposing import Group, Shot, group_shots, members
from pipeline.catalogue.schema import annotations, assignments, embeddings, sightings
from pipeline.catalogue.things import refuse_missing
from pipeline.catalogue.vectors import Vector, unpack_vector
from pipeline.catalogue.views import MAX_PAGE
from pipeline.rights import Place

_HASHED = "sha256:"

_Key = tuple[int, str, int]
"""Orders the list: times in UTC, local times, no time; the time; the first annotation."""

_UNDATED = 2


def read_proposals(
    connection: Connection, catalogue_id: int, wanted: ProposalFilter, after: str | None, limit: int
) -> Proposals:
    """Return a page of proposed sightings, and then of annotations that have no date.

    All photos with a date that are in question are read at every page, by a few columns each.

    Raises:
        MalformedMessageError: `after` is none that a page gave.
        NotInCatalogueError: an annotation that is wanted does not stand.
    """
    limit = max(1, min(limit, MAX_PAGE))
    beyond: _Key | None = None if after is None else _key(read_cursor(after, [int, str, int]))
    clocks = read_clocks(connection, catalogue_id)
    gap_min = clocks.gap_min if wanted.gap_min is None else wanted.gap_min
    shots = _shots(connection, catalogue_id, wanted, clocks)
    groups = group_shots(shots, timedelta(minutes=gap_min), jumps=wanted.place == "exact")
    page = [group for group in groups if beyond is None or _key_of(group) > beyond][: limit + 1]
    rest = _undated(connection, catalogue_id, wanted, beyond, limit + 1 - len(page))
    keys = [*map(_key_of, page), *((_UNDATED, "", each.annotation) for each in rest)]
    page, rest = page[:limit], rest[: limit - min(limit, len(page))]
    cameras = sorted({shot.camera for shot in shots if shot.camera is not None})
    return Proposals(
        head=read_head(connection, catalogue_id),
        timezone=clocks.timezone,
        gap_min=gap_min,
        cameras=tuple(Camera(camera, clocks.corrections.get(camera)) for camera in cameras),
        sightings=_sightings(connection, catalogue_id, page, timedelta(minutes=gap_min), wanted.place),
        undated=tuple(rest),
        next=write_cursor(keys[limit - 1]) if len(keys) > limit else None,
        total=len(groups) + _count_undated(connection, catalogue_id, wanted) if after is None else None,
    )


def _key(values: Sequence[Any]) -> _Key:
    kind, time, annotation = values
    return kind, time, annotation


def _key_of(group: Group) -> _Key:
    first = group.shots[0]
    return int(first.moment.is_local), first.moment.at.isoformat(), first.first


def _shots(connection: Connection, catalogue_id: int, wanted: ProposalFilter, clocks: Clocks) -> list[Shot]:
    """Return the photos that have a date, in the order of `group_shots`."""
    of_photo: defaultdict[str, list[int]] = defaultdict(list)
    taken: dict[str, tuple[Moment, Any]] = {}
    known = (photos.c.taken_at, photos.c.utc_offset_min, photos.c.latitude, photos.c.longitude, photos.c.camera)
    query = select(annotations.c.id, annotations.c.source_key, *known).join_from(annotations, photos, _is_of_photo())
    query = query.where(photos.c.taken_at.is_not(None)).order_by(annotations.c.id)
    for condition in _conditions(connection, catalogue_id, wanted):
        for row in connection.execute(query.where(condition)):
            of_photo[row.source_key].append(row.id)
            if row.source_key not in taken:
                taken[row.source_key] = (clocks.moment(row.taken_at, row.utc_offset_min, row.camera), row)
    shots = (
        Shot(
            *(moment, of_photo[photo][0], tuple(of_photo[photo]), row.camera),
            seen_position(row.latitude, row.longitude, wanted.place),
        )
        for photo, (moment, row) in taken.items()
    )
    return sorted(shots, key=lambda shot: (shot.moment.is_local, shot.moment.at, shot.first))


def _conditions(connection: Connection, catalogue_id: int, wanted: ProposalFilter) -> Iterator[ColumnElement[bool]]:
    """Yield conditions over annotations, of which each one that is wanted meets one.

    Raises:
        NotInCatalogueError: one does not stand.
    """
    stands = and_(annotations.c.catalogue_id == catalogue_id, annotations.c.gone.is_(None))
    if wanted.annotations is None:
        yield and_(stands, annotations.c.encounter.is_(None))
        return
    numbers = sorted(set(wanted.annotations))
    found = {row["id"] for row in standing(connection, catalogue_id, annotations, "id", numbers)}
    refuse_missing(annotations, numbers, found)
    for some in chunks(numbers):
        yield and_(stands, annotations.c.id.in_(some))


def _is_of_photo() -> ColumnElement[bool]:
    of_hash = photos.c.sha256 == func.substr(annotations.c.source_key, len(_HASHED) + 1)
    return and_(
        photos.c.catalogue_id == annotations.c.catalogue_id, of_hash, annotations.c.source_key.startswith(_HASHED)
    )


def _undated_conditions(connection: Connection, catalogue_id: int, wanted: ProposalFilter) -> list[Any]:
    dated = select(photos.c.sha256).where(_is_of_photo(), photos.c.taken_at.is_not(None)).exists()
    return [and_(condition, ~dated) for condition in _conditions(connection, catalogue_id, wanted)]


def _undated(
    connection: Connection, catalogue_id: int, wanted: ProposalFilter, beyond: _Key | None, limit: int
) -> list[Undated]:
    """Return the first annotations beyond a key whose photos have no date."""
    if limit <= 0:
        return []
    query = select(annotations.c.id, annotations.c.path).order_by(annotations.c.id).limit(limit)
    if beyond is not None and beyond[0] == _UNDATED:
        query = query.where(annotations.c.id > beyond[2])
    found: list[Undated] = []
    for condition in _undated_conditions(connection, catalogue_id, wanted):
        if len(found) < limit:
            found += [Undated(*row) for row in connection.execute(query.where(condition))]
    return found[:limit]


def _count_undated(connection: Connection, catalogue_id: int, wanted: ProposalFilter) -> int:
    count = select(func.count()).select_from(annotations)
    conditions = _undated_conditions(connection, catalogue_id, wanted)
    return sum(int(connection.execute(count.where(condition)).scalar_one()) for condition in conditions)


def _sightings(
    connection: Connection, catalogue_id: int, groups: Sequence[Group], gap: timedelta, place: Place
) -> tuple[ProposedSighting, ...]:
    seen = _seen_animals(connection, catalogue_id, [number for group in groups for number in members(group)])
    known = _known_sightings(connection, catalogue_id)
    found = []
    for group in groups:
        ahead = group.shots[0].moment.ahead
        begins_at, ends_at = (shot.moment.local(ahead) for shot in (group.shots[0], group.shots[-1]))
        animals = propose_animals([seen[number] for number in members(group)])
        encounters = (ProposedEncounter(tuple(one.id for one in a.members), a.individual) for a in animals)
        near = (number for number, since, until in known if since - ends_at <= gap and begins_at - until <= gap)
        offset_min = None if ahead is None else round(ahead.total_seconds() / 60)
        where = _where(group, place)
        found.append(ProposedSighting(begins_at, ends_at, offset_min, *where, tuple(encounters), tuple(near)))
    return tuple(found)


def _where(group: Group, place: Place) -> tuple[float | None, float | None, float | None]:
    known = group.place()
    if known is None:
        return None, None, None
    (latitude, longitude), within_m = known
    return latitude, longitude, round(within_m if place == "exact" else within_m + COARSE_M, 1)


def _known_sightings(connection: Connection, catalogue_id: int) -> list[tuple[int, datetime, datetime]]:
    """Return the catalogue's sightings of which a time is known, with begin and end."""
    of = sightings.c
    begins_at, ends_at = func.coalesce(of.begins_at, of.ends_at), func.coalesce(of.ends_at, of.begins_at)
    query = select(of.id, begins_at, ends_at).where(of.catalogue_id == catalogue_id, of.gone.is_(None))
    query = query.where(begins_at.is_not(None)).order_by(of.id)
    return [(number, since, until) for number, since, until in connection.execute(query)]


def _seen_animals(connection: Connection, catalogue_id: int, numbers: Iterable[int]) -> dict[int, SeenAnimal]:
    wanted = list(numbers)
    place = (connection, catalogue_id)
    said = {row["annotation"]: row for row in standing(*place, assignments, "annotation", wanted)}
    vectors: defaultdict[int, dict[str, Vector]] = defaultdict(dict)
    for row in standing(*place, embeddings, "annotation", wanted):
        vectors[row["annotation"]][row["model"]] = unpack_vector(row["vector"])
    return {
        row["id"]: SeenAnimal(
            *(row["id"], row["source_key"], row["animal"], row["body_part"], row["side"]),
            individual=said[row["id"]]["individual"] if row["id"] in said and said[row["id"]]["reviewed"] else None,
            vectors=vectors[row["id"]],
        )
        for row in standing(*place, annotations, "id", wanted)
    }

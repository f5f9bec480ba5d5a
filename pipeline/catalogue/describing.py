"""The verbs about individuals and what is known of things: rename, alias, merge, describe."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Float, Integer, Table, select

from pipeline.catalogue.change import Change, Row, standing
from pipeline.catalogue.clocks import is_zone, no_zone
from pipeline.catalogue.known_names import KnownNames, name_key
from pipeline.catalogue.photo_tables import photos
from pipeline.catalogue.schema import annotations, assignments, individuals, names, settings, sightings
from pipeline.catalogue.things import names_of, require, require_individuals
from pipeline.catalogue.vectors import storable_text
from pipeline.catalogue.verbs import Alias, Describe, Description, Merge, Rename, Thing
from pipeline.errors import ChangeRefusedError, NotInCatalogueError
from pipeline.names import normalise_new_identity, shown_name
from pipeline.protocol.catalogue_requests import MAX_GAP_MIN

DESCRIBED: Mapping[Thing, tuple[Table, str, tuple[str, ...]]] = {
    "individual": (individuals, "id", ("species", "sex", "note")),
    "annotation": (annotations, "id", ("side", "quality")),
    "sighting": (
        sightings,
        "id",
        ("begins_at", "ends_at", "latitude", "longitude", "uncertainty_m", "locality", "observer"),
    ),
    "camera": (settings, "camera", ("clock_s",)),
    "catalogue": (settings, "camera", ("timezone", "gap_min")),
}
"""The table of each thing, the column that names it, and what `describe` may set."""

_LARGEST = {"latitude": 90.0, "longitude": 180.0}
_WHOLE = {"gap_min": range(1, MAX_GAP_MIN + 1), "clock_s": range(-(2**31) + 1, 2**31)}


def rename(change: Change, verb: Rename) -> None:
    """See `pipeline.catalogue.verbs.Rename`.

    Raises:
        BadIdentityError: the name cannot be that of an individual.
        NameInUseError: another individual has it.
        NotInCatalogueError: the individual does not stand.
    """
    individual = require_individuals(change, [verb.individual])[verb.individual]["id"]
    name = normalise_new_identity(verb.name)
    known = KnownNames(change, [name])
    known.refuse_used(name, unless_of=individual)
    own = names_of(change, individual)
    current = next(row for row in own if not row["is_alias"])
    if current["name"] == name:
        return
    same_key = [row for row in own if row["key"] == name_key(name)]
    if verb.keep and current not in same_key:
        change.replace(names, current, is_alias=True)
    else:
        change.close(names, [current["row"]])
    change.close(names, (row["row"] for row in same_key if row is not current))
    known.add(individual, name, is_alias=False)


def alias(change: Change, verb: Alias) -> None:
    """See `pipeline.catalogue.verbs.Alias`; an alias that is there already changes nothing.

    Raises:
        BadIdentityError: a name cannot be that of an individual.
        NameInUseError: another individual has it.
        NotInCatalogueError: the individual does not stand, or has no such alias to take away.
    """
    individual = require_individuals(change, [verb.individual])[verb.individual]["id"]
    own = names_of(change, individual)
    for name in verb.remove:
        row = _alias_of(own, name)
        if row is None:
            raise NotInCatalogueError(f'individual {individual} has no alias "{shown_name(name)}": look again')
        own.remove(row)
        change.close(names, [row["row"]])
    added = [normalise_new_identity(name) for name in verb.add]
    known = KnownNames(change, added)
    taken = {row["key"] for row in own}
    for name in added:
        known.refuse_used(name, unless_of=individual)
        if name_key(name) not in taken:
            known.add(individual, name, is_alias=True)
            taken.add(name_key(name))


def _alias_of(own: list[Row], name: str) -> Row | None:
    """Return the alias of exactly this spelling, else one that differs little."""
    alike = [row for row in own if row["is_alias"] and row["key"] == name_key(name)]
    return next((row for row in alike if row["name"] == name), alike[0] if alike else None)


def merge(change: Change, verb: Merge) -> None:
    """See `pipeline.catalogue.verbs.Merge`.

    Raises:
        ChangeRefusedError: there is nobody to merge, or two of them are one already.
        NotInCatalogueError: an individual does not stand.
    """
    asked = [verb.into, *verb.others]
    meant = require_individuals(change, asked)
    into, *others = (meant[each]["id"] for each in asked)
    if not others or len({into, *others}) < len(asked):
        raise ChangeRefusedError("merge takes individuals that are not one yet: look at who they are now")
    for row in standing(*change.place, assignments, "individual", others):
        change.replace(assignments, row, individual=into)
    for row in standing(*change.place, names, "individual", others):
        change.replace(names, row, individual=into, is_alias=True)
    for each in verb.others:
        change.replace(individuals, meant[each], merged_into=into)


def describe(change: Change, verb: Describe) -> None:
    """See `pipeline.catalogue.verbs.Describe`.

    Raises:
        ChangeRefusedError: the thing has no such value, or it cannot be this one.
        NotInCatalogueError: the thing does not stand.
    """
    table, _, _ = DESCRIBED[verb.thing]
    row = _described(change, verb)
    values = described_values(verb.thing, verb.values, row)
    if not any(row.get(column) != value for column, value in values.items()):
        return
    if "row" in row:
        change.replace(table, row, **values)
    else:
        change.open(table, row | values)


def described_values(thing: Thing, values: Description, row: Row) -> Row:
    """Return values of a thing as its table stores them.

    Args:
        thing: of which.
        values: new ones.
        row: what is known of it so far.

    Raises:
        ChangeRefusedError: the thing has no such value, or it cannot be this one.
    """
    table, _, allowed = DESCRIBED[thing]
    unknown = sorted(values.keys() - set(allowed))
    if unknown:
        raise ChangeRefusedError(f"{thing} has no {', '.join(unknown)}: it has {', '.join(allowed)}")
    stored = {column: _value(table, column, value) for column, value in values.items()}
    begins_at, ends_at = ({**row, **stored}.get(column) for column in ("begins_at", "ends_at"))
    if begins_at is not None and ends_at is not None and ends_at < begins_at:
        raise ChangeRefusedError("a sighting ends after it begins: look at begins_at and ends_at")
    return stored


def _described(change: Change, verb: Describe) -> Row:
    """Return what is known of a thing; of a camera or a catalogue of which nothing was said, a row to be opened."""
    if isinstance(verb.id, str):
        camera = storable_text(verb.id)
        row = next(standing(*change.place, settings, "camera", [camera]), None)
        if row is None and verb.thing == "camera" and not _has_taken(change, camera):
            raise NotInCatalogueError(
                f'no photo of the catalogue is by a camera "{shown_name(camera)}": propose_sightings lists those that '
                "there are"
            )
        return {"camera": camera} if row is None else row
    if verb.thing == "individual":
        return require_individuals(change, [verb.id])[verb.id]
    return require(change, DESCRIBED[verb.thing][0], [verb.id])[verb.id]


def _has_taken(change: Change, camera: str) -> bool:
    by_camera = (photos.c.catalogue_id == change.catalogue_id, photos.c.camera == camera)
    return change.connection.execute(select(photos.c.sha256).where(*by_camera).limit(1)).first() is not None


def _value(table: Table, column: str, value: Any) -> Any:
    """Return a value as its column stores it."""
    kind = table.c[column].type
    if value is None:
        return None
    if isinstance(kind, Integer):
        allowed = _WHOLE[column]
        if isinstance(value, int) and value in allowed:
            return int(value)
        raise ChangeRefusedError(f"{column}: must be a whole number from {allowed[0]} to {allowed[-1]}")
    if isinstance(kind, DateTime):
        if isinstance(value, datetime) and value.tzinfo is None:
            return value
        raise ChangeRefusedError(f"{column}: must be a local time without an offset")
    if isinstance(kind, Float):
        largest = _LARGEST.get(column)
        if isinstance(value, int | float) and (abs(value) <= largest if largest else value >= 0):
            return float(value)
        raise ChangeRefusedError(f"{column}: must be a number {f'of at most {largest}' if largest else 'above 0'}")
    if column == "timezone" and not (isinstance(value, str) and is_zone(value)):
        raise no_zone(str(value))
    if isinstance(value, str):
        return storable_text(value)
    raise ChangeRefusedError(f"{column}: must be text")

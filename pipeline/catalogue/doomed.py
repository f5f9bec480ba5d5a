"""All that a catalogue knows of a photo or of an individual that is to be purged; nothing is changed here."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Table, func, or_, select

from pipeline.catalogue.change import Row, chunks, ever, standing
from pipeline.catalogue.photo_tables import photos
from pipeline.catalogue.schema import (
    annotations,
    assignments,
    decisions,
    embeddings,
    encounters,
    events,
    individuals,
    names,
    sightings,
)
from pipeline.catalogue.vectors import storable_key, storable_text
from pipeline.errors import ChangeRefusedError, NotInCatalogueError
from pipeline.names import shown_name

_HASHED = "sha256:"

_SHOWN = 10
"""Photos of one name that a refusal lists."""


@dataclass(slots=True)
class Doomed:
    """What is to be purged.

    Attributes:
        rows: by table, those that ended long ago too.
        hashes: of photos of the store that the catalogue is to list no longer.
        kept_photos: hashes of photos that show others, too: only what was said of this individual goes.
        since: when the first of it was stored, aware UTC.
    """

    rows: dict[Table, list[Row]] = field(default_factory=dict)
    hashes: set[str] = field(default_factory=set)
    kept_photos: set[str] = field(default_factory=set)
    since: datetime | None = None

    @property
    def paths(self) -> list[str]:
        """By which the photos were named, ever."""
        return sorted({row["path"] for row in self.rows.get(annotations, ())})

    @property
    def names(self) -> list[str]:
        """By which the individuals were called, ever."""
        return sorted({row["name"] for row in self.rows.get(names, ())})

    @property
    def standing(self) -> dict[str, int]:
        """How many rows stand, by the names of their tables."""
        counts = {table.name: sum(row["gone"] is None for row in rows) for table, rows in self.rows.items()}
        return {name: count for name, count in counts.items() if count}


def find_photo(connection: Connection, catalogue_id: int, photo: str) -> Doomed:
    """Find all that is known of a photo.

    Args:
        connection: in a transaction.
        catalogue_id: of the catalogue.
        photo: its hash (hex), or its path as it was named last.

    Raises:
        ChangeRefusedError: several photos were named so last: cameras give their names again.
        NotInCatalogueError: nothing is.
    """
    ids = _named_so(connection, catalogue_id, photo)
    doomed = Doomed()
    hashes = {photo, *_hashes(ever(connection, catalogue_id, annotations, "id", ids))}
    of_hashes = ever(connection, catalogue_id, annotations, "source_key", (f"{_HASHED}{each}" for each in hashes))
    _take_annotations(connection, catalogue_id, ids | {row["id"] for row in of_hashes}, doomed)
    return _completed(connection, catalogue_id, doomed, hashes, f"photo {shown_name(photo)}")


def _named_so(connection: Connection, catalogue_id: int, photo: str) -> set[int]:
    """Return the annotations of one photo, by its hash or path; see `find_photo`."""
    hashed, text = f"{_HASHED}{photo}", storable_text(photo)
    keys = {hashed, storable_key(f"path:{photo}")}
    named = or_(annotations.c.source_key.in_(keys), annotations.c.path == text)
    query = select(annotations.c.id).where(annotations.c.catalogue_id == catalogue_id, named)
    found: dict[int, str] = {}
    for annotation, rows in _histories(connection, catalogue_id, annotations, "id", connection.scalars(query)).items():
        last = rows[-1]  # a path that it had before may be another photo's now
        if rows[0]["source_key"] == hashed or last["source_key"] in keys or last["path"] == text:
            found[annotation] = last["source_key"]
    photos_named = sorted(set(found.values()))
    if len(photos_named) > 1 and hashed not in photos_named:
        which = ", ".join(shown_name(key.removeprefix(_HASHED).removeprefix("path:")) for key in photos_named[:_SHOWN])
        raise ChangeRefusedError(f"{shown_name(photo)}: {len(photos_named)} photos are called so; name one by: {which}")
    return set(found)


def find_individual(connection: Connection, catalogue_id: int, name: str) -> Doomed:
    """Find all that is known of an individual, and of those that were merged into it; see `find_photo`.

    Args:
        connection: in a transaction.
        catalogue_id: of the catalogue.
        name: exactly as it is called.
    """
    called = [
        row for row in standing(connection, catalogue_id, names, "name", [storable_text(name)]) if not row["is_alias"]
    ]
    family = {row["individual"] for row in called}
    merged = set(family)
    while merged:
        found = standing(connection, catalogue_id, individuals, "merged_into", merged)
        merged = {row["id"] for row in found} - family
        family |= merged
    doomed = Doomed()
    doomed.rows[individuals] = list(ever(connection, catalogue_id, individuals, "id", family))
    doomed.rows[names] = list(ever(connection, catalogue_id, names, "individual", family))
    ids = _shown_by(connection, catalogue_id, family)
    _take_annotations(connection, catalogue_id, ids, doomed)
    hashes = _hashes(doomed.rows[annotations])
    others = standing(connection, catalogue_id, annotations, "source_key", (f"{_HASHED}{each}" for each in hashes))
    doomed.kept_photos = _hashes(row for row in others if row["id"] not in ids)
    return _completed(connection, catalogue_id, doomed, hashes - doomed.kept_photos, f'individual "{shown_name(name)}"')


def _shown_by(connection: Connection, catalogue_id: int, family: set[int]) -> set[int]:
    """Return the annotations that show individuals, or were withdrawn while they did."""
    said = {row["annotation"] for row in ever(connection, catalogue_id, assignments, "individual", family)}
    stands = {row["id"] for row in standing(connection, catalogue_id, annotations, "id", said)}
    last = {
        annotation: rows[-1]
        for annotation, rows in _histories(connection, catalogue_id, assignments, "annotation", said).items()
    }
    return {
        annotation
        for annotation, row in last.items()
        if row["individual"] in family and (row["gone"] is None or annotation not in stands)
    }


def _take_annotations(connection: Connection, catalogue_id: int, ids: set[int], doomed: Doomed) -> None:
    """Add annotations, all that was said of them, and the encounters and sightings that were of nothing else."""
    seen = doomed.rows[annotations] = list(ever(connection, catalogue_id, annotations, "id", ids))
    for table in (embeddings, assignments, decisions):
        doomed.rows[table] = list(ever(connection, catalogue_id, table, "annotation", ids))
    met = {row["encounter"] for row in seen if row["encounter"] is not None}
    others = standing(connection, catalogue_id, annotations, "encounter", met)
    met -= {row["encounter"] for row in others if row["id"] not in ids}
    doomed.rows[encounters] = list(ever(connection, catalogue_id, encounters, "id", met))
    places = {row["sighting"] for row in doomed.rows[encounters]}
    shared = standing(connection, catalogue_id, encounters, "sighting", places)
    places -= {row["sighting"] for row in shared if row["id"] not in met}
    doomed.rows[sightings] = list(ever(connection, catalogue_id, sightings, "id", places))


def _completed(connection: Connection, catalogue_id: int, doomed: Doomed, hashes: Iterable[str], what: str) -> Doomed:
    """Add what the photo store has, and since when there is any of it.

    Raises:
        NotInCatalogueError: there is nothing.
    """
    times: list[datetime] = []
    for some in chunks(sorted(hashes)):
        listed = select(photos.c.sha256, photos.c.added).where(photos.c.catalogue_id == catalogue_id)
        for sha256, added in connection.execute(listed.where(photos.c.sha256.in_(some))):
            doomed.hashes.add(sha256)
            times.append(added)
    versions = sorted({row["version"] for rows in doomed.rows.values() for row in rows})
    for some_versions in chunks(versions):
        said = select(func.min(events.c.at)).where(events.c.catalogue_id == catalogue_id)
        times += [connection.execute(said.where(events.c.version.in_(some_versions))).scalar_one()]
    if not times:
        raise NotInCatalogueError(f"the catalogue knows of no {what}: write it exactly as the catalogue does")
    doomed.since = min(times)
    return doomed


def _hashes(rows: Iterable[Row]) -> set[str]:
    """Return the hashes of the photos that annotations know by their hash."""
    keys = (row["source_key"] for row in rows)
    return {key.removeprefix(_HASHED) for key in keys if key.startswith(_HASHED)}


def _histories(
    connection: Connection, catalogue_id: int, table: Table, column: str, values: Iterable[int]
) -> dict[int, list[Row]]:
    """Return all rows about each thing, the newest last."""
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in ever(connection, catalogue_id, table, column, values):
        found[row[column]].append(row)
    return found

"""Which photos of the store each catalogue has, and where in them its animals are: data, so no event tells of it."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, select
from sqlalchemy.exc import IntegrityError

from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import actor_id
from pipeline.catalogue.photo_tables import boxes, database_ids, photos
from pipeline.catalogue.schema import annotations, catalogues
from pipeline.catalogue.sql_store import utc_now
from pipeline.catalogue.vectors import storable_text
from pipeline.errors import NotInCatalogueError
from pipeline.records import Actor, BoundingBox
from pipeline.stored_photos import PhotoFacts, PhotoRecord, Taken

_HASHED = "sha256:"
_OF_ANIMAL = (boxes.c.catalogue_id, boxes.c.source_key, boxes.c.animal, boxes.c.body_part)
_EDGES = (boxes.c.x_min_px, boxes.c.y_min_px, boxes.c.x_max_px, boxes.c.y_max_px)


class CataloguePhotos:
    """The photos of every catalogue of a database; safe to call from several threads.

    Every method raises CatalogueUnavailableError where the database cannot be read or written. A catalogue that does
    not exist has no photos.

    Args:
        database: with prepared tables.
        clock: gives the time, aware, in UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    def database_id(self) -> str | None:
        """Return the id by which a photo store knows the database; None where it has none yet."""
        with self._database.reading() as connection:
            return connection.execute(select(database_ids.c.id)).scalar()

    def make_database_id(self) -> str:
        """Return the database's id; gives it one where it has none."""
        with self._database.writing() as connection:
            found: str | None = connection.execute(select(database_ids.c.id)).scalar()
            if found is None:
                found = uuid.uuid4().hex
                connection.execute(insert(database_ids).values(id=found))
            return found

    def has_any(self) -> bool:
        """Whether any catalogue has a photo."""
        with self._database.reading() as connection:
            return connection.execute(select(photos.c.sha256).limit(1)).first() is not None

    def find(self, catalogue: str, sha256: str) -> PhotoRecord | None:
        """Return what is known of a photo; None where the catalogue does not have it."""
        with self._database.reading() as connection:
            of = _catalogue_id(connection, catalogue)
            row = connection.execute(select(photos).where(_is_photo(of, sha256))).first()
        if row is None:
            return None
        taken = Taken(row.taken_at, row.utc_offset_min, row.latitude, row.longitude, row.camera)
        return PhotoRecord(row.sha256, row.size_bytes, PhotoFacts((row.width_px, row.height_px), taken), row.name)

    def add(self, catalogue: str, photo: PhotoRecord, actor: Actor) -> bool:
        """Say that a catalogue has a photo; returns False where it has it already, by whatever name.

        Raises:
            NotInCatalogueError: there is no such catalogue.
        """
        with self._database.writing() as connection:
            of = _catalogue_id(connection, catalogue)
            if of is None:
                raise NotInCatalogueError(f"there is no catalogue {catalogue!r}")
            row = {"catalogue_id": of, "added": self._clock(), "added_by": actor_id(connection, actor)}
            try:
                with connection.begin_nested():
                    connection.execute(insert(photos).values(row | _as_row(photo)))
            except IntegrityError:
                return False
            return True

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._database.close()

    def place_of(self, catalogue: str, annotation: int) -> tuple[str, BoundingBox] | None:
        """Return the hash of an annotation's photo, and where in it the animal is.

        None where the catalogue has no such annotation, does not have its photo, or does not know the box.
        """
        of_animal = and_(*(annotations.c[column.name] == column for column in _OF_ANIMAL))
        with self._database.reading() as connection:
            of = _catalogue_id(connection, catalogue)
            stands = (annotations.c.catalogue_id == of, annotations.c.id == annotation, annotations.c.gone.is_(None))
            query = select(annotations.c.source_key, *_EDGES).join_from(annotations, boxes, of_animal).where(*stands)
            row = connection.execute(query).first()
            if row is None or not row.source_key.startswith(_HASHED):
                return None
            sha256 = row.source_key.removeprefix(_HASHED)
            if connection.execute(select(photos.c.sha256).where(_is_photo(of, sha256))).first() is None:
                return None
        return sha256, BoundingBox(*row[1:])


def open_photos(url: str) -> CataloguePhotos:
    """Open the photos of a database that has its tables; nothing is connected to yet.

    Raises:
        CatalogueOpenError: the URL cannot serve.
    """
    return CataloguePhotos(open_database(url))


def _catalogue_id(connection: Connection, name: str) -> int | None:
    return connection.execute(select(catalogues.c.id).where(catalogues.c.name == name)).scalar()


def _is_photo(catalogue_id: int | None, sha256: str) -> Any:
    return and_(photos.c.catalogue_id == catalogue_id, photos.c.sha256 == sha256)


def _as_row(photo: PhotoRecord) -> dict[str, Any]:
    (width_px, height_px), taken = photo.facts.size_px, photo.facts.taken
    return {
        "sha256": photo.sha256,
        "size_bytes": photo.size_bytes,
        "width_px": width_px,
        "height_px": height_px,
        "taken_at": taken.at,
        "utc_offset_min": taken.utc_offset_min,
        "latitude": taken.latitude,
        "longitude": taken.longitude,
        "camera": None if taken.camera is None else storable_text(taken.camera),
        "name": None if photo.name is None else storable_text(photo.name),
    }

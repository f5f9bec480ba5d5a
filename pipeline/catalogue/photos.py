"""Which photos of the store each catalogue has, and where in them its animals are: data, so no event tells of it."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select
from sqlalchemy.exc import IntegrityError

from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import actor_id
from pipeline.catalogue.photo_tables import boxes, database_ids, photos
from pipeline.catalogue.schema import annotations, catalogues
from pipeline.catalogue.sql_store import utc_now
from pipeline.catalogue.vectors import storable_text
from pipeline.errors import NotInCatalogueError, UnavailableError
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

    def add(
        self, catalogue: str, photo: PhotoRecord, actor: Actor, is_there: Callable[[], bool] = lambda: True
    ) -> bool:
        """Say that a catalogue has a photo; returns False where it has it already, by whatever name.

        Args:
            catalogue: its name.
            photo: whose file is in the store.
            actor: who sent it.
            is_there: tells whether the store has the file; asked while nobody can delete it.

        Raises:
            NotInCatalogueError: there is no such catalogue.
            UnavailableError: the file, which no catalogue had listed, was deleted at this moment.
        """
        with self._database.writing() as connection:
            self._database.backend.guard_photos(connection, deletes=False)
            if not is_there():
                raise UnavailableError(f"{photo.sha256}: old files of no catalogue are being deleted; send it again")
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

    def sizes(self) -> dict[str, dict[str, int]]:
        """Return how many bytes each photo has, by its hash, of each catalogue that has some, by its name."""
        with self._database.reading() as connection:
            return read_sizes(connection)

    def total_bytes(self) -> int:
        """Return how many bytes all photos take together; one that several catalogues have counts once."""
        with self._database.reading() as connection:
            once = select(photos.c.sha256, photos.c.size_bytes).distinct().subquery()
            return int(connection.execute(select(func.coalesce(func.sum(once.c.size_bytes), 0))).scalar_one())

    def named(self) -> set[str]:
        """Return the hashes of all photos that a row names: one of a photo, or one of what was ever said about it."""
        with self._database.reading() as connection:
            listed = connection.execute(select(photos.c.sha256)).scalars().all()
            keys = select(annotations.c.source_key).where(annotations.c.source_key.startswith(_HASHED)).distinct()
            return {*listed, *(key.removeprefix(_HASHED) for key in connection.execute(keys).scalars())}

    def delete_unnamed(self, hashes: Sequence[str], delete: Callable[[str], None]) -> list[str]:
        """Have photos deleted that no row names, while nobody can list them; returns which.

        Args:
            hashes: of photos that no row named a moment ago; a few, since others wait.
            delete: deletes a photo's file.
        """
        with self._database.writing() as connection:
            self._database.backend.guard_photos(connection, deletes=True)
            named = _named_of(connection, hashes)
            unnamed = [sha256 for sha256 in hashes if sha256 not in named]
            for sha256 in unnamed:
                delete(sha256)
        return unnamed

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


def read_sizes(connection: Connection) -> dict[str, dict[str, int]]:
    """See `CataloguePhotos.sizes`."""
    columns = (catalogues.c.name, photos.c.sha256, photos.c.size_bytes)
    sizes: dict[str, dict[str, int]] = {}
    for name, sha256, size_bytes in connection.execute(select(*columns).join_from(photos, catalogues)):
        sizes.setdefault(name, {})[sha256] = size_bytes
    return sizes


def _named_of(connection: Connection, hashes: Sequence[str]) -> set[str]:
    """Return those of some photos that are listed, or of which something stands."""
    all_of_them = select(catalogues.c.id)  # the indexes begin with the catalogue
    listed = select(photos.c.sha256).where(photos.c.catalogue_id.in_(all_of_them), photos.c.sha256.in_(hashes))
    stands = (annotations.c.catalogue_id.in_(all_of_them), annotations.c.gone.is_(None))
    keys = select(annotations.c.source_key).where(
        *stands, annotations.c.source_key.in_([f"{_HASHED}{sha256}" for sha256 in hashes])
    )
    found = {key.removeprefix(_HASHED) for key in connection.execute(keys).scalars()}
    return found | set(connection.execute(listed).scalars())


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

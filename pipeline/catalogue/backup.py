"""Backups of a database of catalogues: a folder with its content and a manifest that says what must be in it.

    manifest.json       format, layout, heads and nonces, counts, and the sha256 of the other files
    catalogue.sqlite    of a SQLite file; or
    catalogue.dump      of a PostgreSQL database, as pg_dump writes it
    photos.txt          hash and size of each photo that the database lists

A backup has its name only once it is whole. The photos' files are beside it, once for all backups.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url, select
from sqlalchemy.exc import ArgumentError

from pipeline.catalogue import postgresql_copies, sqlite_copies
from pipeline.catalogue.copies import BackupError, Copies
from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import read_heads
from pipeline.catalogue.layout import no_catalogue, read_layout
from pipeline.catalogue.photo_tables import database_ids
from pipeline.catalogue.photos import read_sizes
from pipeline.catalogue.rows import Head
from pipeline.catalogue.schema import SCHEMA_VERSION, catalogues
from pipeline.catalogue.sql_store import found_layout, utc_now
from pipeline.catalogue.usage import count_rows

MANIFEST = "manifest.json"
PHOTOS = "photos.txt"
FORMAT = 1

_COPIES: dict[str, Copies] = {"sqlite": sqlite_copies, "postgresql": postgresql_copies}


@dataclass(frozen=True, slots=True)
class BackedUp:
    """One catalogue of a backup.

    Attributes:
        head: its state.
        rows: how many rows each of its tables has, by the table's name.
    """

    head: Head
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class BackedUpPhotos:
    """The photos of a backup.

    Attributes:
        database: the id by which the store knows the database.
        place: URL of the store that their files were copied into; None: the folder beside the backups that is for them.
        count: how many the database lists.
        size_bytes: of these together.
        sha256: hex, of the file that lists them.
        missing: hashes of those that the service's store did not have, or had damaged.
    """

    database: str
    place: str | None
    count: int
    size_bytes: int
    sha256: str
    missing: tuple[str, ...]


CopyPhotos = Callable[[str, Mapping[str, int]], tuple[str | None, tuple[str, ...]]]
"""Copies photos, given the database's id and their sizes by hash; returns `place` and `missing` of `BackedUpPhotos`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes:
        kind: of the database, "sqlite" or "postgresql".
        layout: of its tables.
        made: when it was begun, aware UTC: what came later is not in it, or may not be.
        file: name of the file beside the manifest.
        sha256: hex, of that file.
        size_bytes: of that file.
        catalogues: by their names; none of a database of an older layout, which is backed up before it is migrated.
        photos: None where the database lists none, or they were left out.
    """

    kind: str
    layout: int
    made: datetime
    file: str
    sha256: str
    size_bytes: int
    catalogues: dict[str, BackedUp]
    photos: BackedUpPhotos | None = None


def back_up(
    url: str, target: Path, clock: Callable[[], datetime] = utc_now, copy_photos: CopyPhotos | None = None
) -> Manifest:
    """Back a database up, as it is at one moment; services on it go on meanwhile.

    Args:
        url: of the database.
        target: the folder to make; its parent must be there.
        clock: gives the time, aware, in UTC.
        copy_photos: called with the photos of that moment; nobody may delete photos meanwhile. None leaves them out.

    Raises:
        BackupError: the target exists, cannot be written, or a program that it takes is missing or fails.
        CatalogueOpenError: the database cannot be opened, or holds no catalogue.
        CatalogueUnavailableError: it cannot be read.
    """
    if target.exists():
        raise BackupError(f"{target}: is there already, and no backup is overwritten: name a new folder")
    unfinished = target.with_name(f"{target.name}.unfinished")
    if found_layout(url) is None:
        raise no_catalogue(make_url(url))
    database = open_database(url)
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # of a backup that was killed
        unfinished.mkdir()
        manifest = _write(database, unfinished, clock, copy_photos)
        unfinished.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise BackupError(f"{target}: the backup cannot be written: {error.strerror or error}") from error
    finally:
        database.close()
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Read what a backup holds, and check that its file is as it was.

    Raises:
        BackupError: it is no backup, another release has made it, or its file is missing or damaged.
    """
    try:
        manifest = _parse(json.loads((source / MANIFEST).read_text(encoding="utf-8")))
        digest, size_bytes = _measure(source / manifest.file)
        listed = None if manifest.photos is None else _measure(source / PHOTOS)[0]
    except OSError as error:
        raise BackupError(f"{source}: is not a whole backup: {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{source / MANIFEST}: is not the manifest of a backup ({error!r})") from error
    if (digest, size_bytes) != (manifest.sha256, manifest.size_bytes):
        raise BackupError(
            f"{source / manifest.file}: is damaged: it has {size_bytes} bytes and the sha256 {digest}, by the manifest "
            f"{manifest.size_bytes} and {manifest.sha256}; take another backup"
        )
    if manifest.photos is not None and listed != manifest.photos.sha256:
        raise BackupError(f"{source / PHOTOS}: is damaged: by the manifest its sha256 is another; take another backup")
    if manifest.layout > SCHEMA_VERSION:
        raise BackupError(
            f"{source}: was made by a newer release (layout {manifest.layout}, this release knows {SCHEMA_VERSION})"
        )
    return manifest


def list_backups(folder: Path) -> dict[Path, Manifest]:
    """Return the manifests of the backups in a folder, oldest first; their files are not looked at.

    Raises:
        BackupError: there is no such folder, or a manifest in it cannot be read.
    """
    if not folder.is_dir():
        raise BackupError(f"{folder}: is no folder: name the one that the backups are in")
    found: dict[Path, Manifest] = {}
    for file in folder.glob(f"*/{MANIFEST}"):
        try:
            found[file.parent] = _parse(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"{file}: is not the manifest of a backup ({error!r}): look at it yourself") from error
    return dict(sorted(found.items(), key=lambda backup: backup[1].made))


def read_photos(source: Path) -> dict[str, int]:
    """Return the sizes in bytes of a backup's photos, by their hash; its manifest was read."""
    lines = (source / PHOTOS).read_text(encoding="ascii").splitlines()
    return {sha256: int(size_bytes) for sha256, size_bytes in map(str.split, lines)}


def copies_of(url: str) -> Copies:
    """Return how databases of a URL's kind are copied.

    Raises:
        BackupError: it is no URL, or one of another kind.
    """
    try:
        return _COPIES[make_url(url).get_backend_name()]
    except (ArgumentError, KeyError) as error:
        raise BackupError("catalogue_url: names no database that can hold catalogues") from error


def describe(connection: Connection) -> dict[str, BackedUp]:
    """Return what a backup of a database would hold, by the names of its catalogues."""
    heads = read_heads(connection)
    numbers = connection.execute(select(catalogues.c.name, catalogues.c.id)).all()
    return {name: BackedUp(heads[name], count_rows(connection, number)) for name, number in numbers}


def _write(database: Database, folder: Path, clock: Callable[[], datetime], copy_photos: CopyPhotos | None) -> Manifest:
    kind, began = database.engine.url.get_backend_name(), clock()
    copies = _COPIES[kind]
    with copies.copying(database.engine, folder / copies.FILE) as connection:
        layout = read_layout(connection)
        held = describe(connection) if layout == SCHEMA_VERSION else {}
        known = connection.execute(select(database_ids.c.id)).scalar() if layout == SCHEMA_VERSION else None
        sizes = {} if known is None else dict(_together(read_sizes(connection)))
    assert layout is not None  # since the database was opened
    digest, size_bytes = _measure(folder / copies.FILE)
    photos = _write_photos(folder, known, sizes, copy_photos) if known and sizes and copy_photos else None
    manifest = Manifest(kind, layout, began, copies.FILE, digest, size_bytes, held, photos)
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, ensure_ascii=False, indent=1, default=datetime.isoformat)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        _sync(path)
    return manifest


def _write_photos(folder: Path, database: str, sizes: Mapping[str, int], copy_photos: CopyPhotos) -> BackedUpPhotos:
    lines = "".join(f"{sha256} {size_bytes}\n" for sha256, size_bytes in sorted(sizes.items()))
    (folder / PHOTOS).write_text(lines, encoding="ascii")
    place, missing = copy_photos(database, sizes)
    return BackedUpPhotos(
        *(database, place, len(sizes), sum(sizes.values()), _measure(folder / PHOTOS)[0], tuple(missing))
    )


def _together(sizes: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield hash and size of the photos of all catalogues."""
    for of_catalogue in sizes.values():
        yield from of_catalogue.items()


def _parse(content: dict[str, Any]) -> Manifest:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}, this release knows {FORMAT}")
    held = {
        name: BackedUp(Head(each["head"]["version"], each["head"]["nonce"]), dict(each["rows"]))
        for name, each in content["catalogues"].items()
    }
    if content["kind"] not in _COPIES or Path(content["file"]).name != content["file"]:
        raise ValueError(f"{content['kind']}, {content['file']}")
    made = datetime.fromisoformat(content["made"]).astimezone(UTC)
    sums = (str(content["sha256"]), int(content["size_bytes"]))
    photos = None
    if content.get("photos") is not None:  # releases that knew none left it out
        photos = BackedUpPhotos(**content["photos"] | {"missing": tuple(content["photos"]["missing"])})
    return Manifest(content["kind"], int(content["layout"]), made, content["file"], *sums, held, photos)


def _measure(file: Path) -> tuple[str, int]:
    """Return a file's sha256 (hex) and its size in bytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest(), os.fstat(content.fileno()).st_size


def _sync(path: Path) -> None:
    """Have a file, or the entries of a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

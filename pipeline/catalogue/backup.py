"""Backups of a database of catalogues: a folder with its content and a manifest that says what must be in it.

    manifest.json       format, layout, heads and nonces, counts, and the sha256 of the other file
    catalogue.sqlite    of a SQLite file; or
    catalogue.dump      of a PostgreSQL database, as pg_dump writes it

A backup has its name only once it is whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url, select

from pipeline.catalogue import postgresql_copies, sqlite_copies
from pipeline.catalogue.copies import BackupError, Copies
from pipeline.catalogue.database import Database, open_database
from pipeline.catalogue.events import read_heads
from pipeline.catalogue.layout import no_catalogue, read_layout
from pipeline.catalogue.rows import Head
from pipeline.catalogue.schema import SCHEMA_VERSION, catalogues
from pipeline.catalogue.sql_store import found_layout, utc_now
from pipeline.catalogue.usage import count_rows

MANIFEST = "manifest.json"
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
    """

    kind: str
    layout: int
    made: datetime
    file: str
    sha256: str
    size_bytes: int
    catalogues: dict[str, BackedUp]


def back_up(url: str, target: Path, clock: Callable[[], datetime] = utc_now) -> Manifest:
    """Back a database up, as it is at one moment; services on it go on meanwhile.

    Args:
        url: of the database.
        target: the folder to make; its parent must be there.
        clock: gives the time, aware, in UTC.

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
        manifest = _write(database, unfinished, clock)
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
    except OSError as error:
        raise BackupError(f"{source}: is not a whole backup: {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{source / MANIFEST}: is not the manifest of a backup ({error!r})") from error
    if (digest, size_bytes) != (manifest.sha256, manifest.size_bytes):
        raise BackupError(
            f"{source / manifest.file}: is damaged: it has {size_bytes} bytes and the sha256 {digest}, by the manifest "
            f"{manifest.size_bytes} and {manifest.sha256}; take another backup"
        )
    if manifest.layout > SCHEMA_VERSION:
        raise BackupError(
            f"{source}: was made by a newer release (layout {manifest.layout}, this release knows {SCHEMA_VERSION})"
        )
    return manifest


def copies_of(kind: str) -> Copies:
    """Return how databases of a kind are copied."""
    return _COPIES[kind]


def describe(connection: Connection) -> dict[str, BackedUp]:
    """Return what a backup of a database would hold, by the names of its catalogues."""
    heads = read_heads(connection)
    numbers = connection.execute(select(catalogues.c.name, catalogues.c.id)).all()
    return {name: BackedUp(heads[name], count_rows(connection, number)) for name, number in numbers}


def _write(database: Database, folder: Path, clock: Callable[[], datetime]) -> Manifest:
    kind, began = database.engine.url.get_backend_name(), clock()
    copies = _COPIES[kind]
    with copies.copying(database.engine, folder / copies.FILE) as connection:
        layout = read_layout(connection)
        held = describe(connection) if layout == SCHEMA_VERSION else {}
    assert layout is not None  # since the database was opened
    digest, size_bytes = _measure(folder / copies.FILE)
    manifest = Manifest(kind, layout, began, copies.FILE, digest, size_bytes, held)
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, ensure_ascii=False, indent=1, default=datetime.isoformat)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    for path in (folder / copies.FILE, folder / MANIFEST, folder):
        _sync(path)
    return manifest


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
    return Manifest(content["kind"], int(content["layout"]), made, content["file"], *sums, held)


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

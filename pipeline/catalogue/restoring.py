"""Puts a backup in the place of a database: checked first, and what it replaces is kept."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, make_url, or_, select

from pipeline.catalogue.backup import Manifest, copies_of, describe, read_manifest
from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.database import open_existing
from pipeline.catalogue.events import is_history, read_heads
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.schema import SCHEMA_VERSION, UtcDateTime, catalogues, events, metadata
from pipeline.catalogue.service_lock import held_catalogues
from pipeline.catalogue.sql_store import found_layout, utc_now
from pipeline.errors import CatalogueOpenError

_NO_CHANGE = frozenset({"expires"})  # a time that says when something ends, not when somebody said so
_STAMP = "%Y%m%d-%H%M%S"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: of the backup.
        kept: where what was replaced is now; None where there was nothing.
    """

    manifest: Manifest
    kept: str | None


def restore(
    url: str,
    source: Path,
    discard_newer: bool = False,
    while_running: bool = False,
    clock: Callable[[], datetime] = utc_now,
    bring_photos: Callable[[Manifest], None] | None = None,
) -> Restored:
    """Put a backup in the place of a database, or make the database of it.

    Args:
        url: of the database.
        source: the backup's folder.
        discard_newer: also where the database holds what the backup does not.
        while_running: also where a service uses the database; it goes over to the backup by itself.
        clock: gives the time, aware, in UTC, for the name of what is kept.
        bring_photos: puts the backup's photos into the store, before the database that lists them is in its place.

    Raises:
        BackupError: it is no whole backup of this kind of database, or the database holds more or is in use.
        CatalogueHeldError: a service has begun to use it.
        CatalogueOpenError: a server does not answer.
    """
    manifest = read_manifest(source)
    kind = make_url(url).get_backend_name()
    if manifest.kind != kind:
        raise BackupError(f"{source}: is a backup of a {manifest.kind} database; catalogue_url names one of {kind}")
    copies = copies_of(url)
    used = None if while_running else copies.who_uses(url)
    if used is not None:
        raise BackupError(f"{used}; or restore with --while-running")
    lost = [] if discard_newer else list(_lost(url, manifest))
    if lost:
        raise BackupError(f"the backup lacks what the database has: {'; '.join(lost)}; to go back: --discard-newer")
    with nullcontext() if while_running else held_catalogues([url]):
        if bring_photos is not None:
            bring_photos(manifest)
        kept = copies.put_in_place(url, source / manifest.file, f"{clock():{_STAMP}}")
        _check(url, manifest, kept, exactly=not while_running)
    return Restored(manifest, kept)


def _lost(url: str, manifest: Manifest) -> Iterator[str]:
    """Say what the database holds that the backup does not."""
    try:
        layout = found_layout(url)
    except CatalogueOpenError as error:
        yield f"nobody knows what, since it cannot be read ({error})"
        return
    if layout is None:
        return
    if layout < SCHEMA_VERSION:
        yield f"nobody knows what, since it has the layout of an older release ({layout})"
        return
    database = open_existing(url)
    try:
        with database.reading() as connection:
            yield from _lost_events(connection, manifest)
            yield from _lost_rows(connection, manifest.made)
    finally:
        database.close()


def _lost_events(connection: Connection, manifest: Manifest) -> Iterator[str]:
    heads = read_heads(connection)
    for name, number in connection.execute(select(catalogues.c.name, catalogues.c.id)).all():
        head, held = heads[name], manifest.catalogues.get(name)
        if held is None:
            yield f'the catalogue "{name}" is not in it'
        elif head in (EMPTY, held.head):
            continue
        elif held.head == EMPTY or is_history(connection, number, held.head):
            yield f'{head.version - held.head.version} later events of "{name}"'
        else:
            yield f'"{name}" (version {head.version}) has another history than the backup (version {held.head.version})'


def _lost_rows(connection: Connection, since: datetime) -> Iterator[str]:
    """Say of which tables without events, those of people and their rights, rows were added or changed later."""
    for table in metadata.sorted_tables:
        times = [column for column in table.c if isinstance(column.type, UtcDateTime) and column.name not in _NO_CHANGE]
        if table is events or not times:
            continue
        later = select(func.count()).select_from(table).where(or_(*(time > since for time in times)))
        count = connection.execute(later).scalar_one()
        if count:
            yield f"{count} rows of {table.name} were added or changed since it was made"


def _check(url: str, manifest: Manifest, kept: str | None, exactly: bool) -> None:
    """Check that the database holds what the manifest says; a service may have gone on meanwhile.

    Raises:
        BackupError: it does not.
    """
    if manifest.layout < SCHEMA_VERSION:  # the start command brings it up to date, after a copy
        return
    database = open_existing(url)
    try:
        with database.reading() as connection:
            found = describe(connection)
    finally:
        database.close()
    if found != manifest.catalogues if exactly else not found.keys() >= manifest.catalogues.keys():
        raise BackupError(f"what was restored is not what the manifest says; what was replaced is {kept or 'nothing'}")

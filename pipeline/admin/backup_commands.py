"""The commands backup and restore: the database, and the photos of its store."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.admin.arguments import DONE, FOUND, Commands, add_command, database_url, photo_store_url
from pipeline.catalogue.backup import Manifest, back_up, copies_of, read_photos
from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.restoring import restore
from pipeline.catalogue.schema import SCHEMA_VERSION
from pipeline.catalogue_url import with_absolute_folder
from pipeline.errors import ItemError
from pipeline.photo_store.copying import copy_photos, settle_marker
from pipeline.photo_store.store import PhotoStore

FOLDER = "photos"
"""Beside the backups, where their photos are: each once, for all of them."""


def add_backup_commands(commands: Commands) -> None:
    """Add the commands to the parser."""
    backup = add_command(
        commands,
        "backup",
        "copy the database and its photos, also while the service runs; status 3: some lack",
        _back_up,
    )
    backup.add_argument("target", type=Path, metavar="FOLDER", help="to make; its photos go into photos beside it")
    restored = add_command(commands, "restore", "put a backup in place, and keep what it replaces", _restore)
    restored.add_argument("source", type=Path, metavar="FOLDER")
    restored.add_argument("--discard-newer", action="store_true", help="also where the database holds more")
    restored.add_argument("--while-running", action="store_true", help="also while a service uses it; it goes over")
    for command in (backup, restored):
        photos = command.add_mutually_exclusive_group()
        photos.add_argument("--photos", metavar="URL", help="where the backups' photos are; default: beside the folder")
        photos.add_argument("--without-photos", action="store_true", help="the database alone")


@contextmanager
def upkeep(url: str, work: str, needed: bool = True) -> Iterator[Callable[[], None]]:
    """Keep others from work on a database's photos; see `Copies.holding`."""
    with copies_of(url).holding(url, work, needed) as check:
        yield check


def _back_up(parsed: argparse.Namespace) -> int:
    url, target = database_url(parsed), parsed.target
    if target.name == FOLDER and not parsed.without_photos:
        raise BackupError(f"{target}: is where the backups' photos go: give the backup another name")
    with upkeep(url, "backup", needed=False) as go_on:

        def copy(database: str, sizes: Mapping[str, int]) -> tuple[str | None, tuple[str, ...]]:
            source, saved = PhotoStore(photo_store_url(parsed), database), _saved(parsed, target, database)
            with _explained("backed up"):
                source.check()
                settle_marker(saved, database)
                return parsed.photos, copy_photos(source, saved, sizes, go_on)[1]

        manifest = back_up(url, target, copy_photos=None if parsed.without_photos else copy)
        go_on()
    print(f"{target}: {manifest.size_bytes:,} bytes, layout {manifest.layout}")
    _print_held(manifest)
    if manifest.photos is None:
        if manifest.layout < SCHEMA_VERSION and not parsed.without_photos:
            print(f"no photos: those of layout {manifest.layout} are not known; copy the photo store's folder as well")
        return DONE
    print(f"{manifest.photos.count:,} photos, {manifest.photos.size_bytes:,} bytes")
    return _print_missing(manifest.photos.missing, "in the photo store")


def _restore(parsed: argparse.Namespace) -> int:
    url, missing = database_url(parsed), list[str]()
    with upkeep(url, "restore", needed=False) as go_on:

        def bring(manifest: Manifest) -> None:
            if manifest.photos is None:
                return
            database = manifest.photos.database
            saved, target = _saved(parsed, parsed.source, database, manifest), PhotoStore(photo_store_url(parsed))
            with _explained("restored"):
                saved.check()
                settle_marker(target, database)
                copied, lacking = copy_photos(saved, target, read_photos(parsed.source), go_on)
            print(f"{copied:,} photos came back; the others are there")
            missing.extend(lacking)

        bring_photos = None if parsed.without_photos else bring
        restored = restore(url, parsed.source, parsed.discard_newer, parsed.while_running, bring_photos=bring_photos)
    print(f"restored the backup of {restored.manifest.made:%Y-%m-%d %H:%M} UTC")
    _print_held(restored.manifest)
    if restored.kept is not None:
        print(f"what it replaced is {restored.kept}")
    if restored.manifest.layout < SCHEMA_VERSION:
        print(f"it has layout {restored.manifest.layout}: the start command brings it up to date")
    print("users, tokens and grants are those of the backup, too: see that none is back that was revoked since")
    return _print_missing(missing, "in the backup, and not in the store")


def _saved(parsed: argparse.Namespace, backup: Path, database: str, manifest: Manifest | None = None) -> PhotoStore:
    """Return the store of the backups' photos."""
    known = None if manifest is None or manifest.photos is None else manifest.photos.place
    beside = str(backup.absolute().parent / FOLDER)
    return PhotoStore(with_absolute_folder(parsed.photos or known or beside), database)


@contextmanager
def _explained(done: str) -> Iterator[None]:
    try:
        yield
    except ItemError as error:
        raise BackupError(
            f"the photos cannot be {done}: {error.message}; the database alone: --without-photos"
        ) from error


def _print_held(manifest: Manifest) -> None:
    for name, held in sorted(manifest.catalogues.items()):
        print(f"{name}: version {held.head.version}, {held.rows['annotations']:,} rows of annotations")


def _print_missing(missing: Sequence[str], where: str) -> int:
    """Print which photos are nowhere to be had; returns the exit status."""
    for sha256 in missing:
        print(f"missing: {sha256}")
    if missing:
        print(f"{len(missing)} photos are missing or damaged {where}")
    return FOUND if missing else DONE

"""The commands about the photos of a database's store: collect."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.admin.arguments import (
    DONE,
    Commands,
    add_command,
    add_json,
    database_url,
    photo_store_url,
    print_json,
)
from pipeline.admin.backup_commands import upkeep
from pipeline.admin.collecting import Unnamed, delete_unnamed, find_unnamed
from pipeline.catalogue.database import open_existing
from pipeline.catalogue.photos import CataloguePhotos
from pipeline.errors import ChangeRefusedError
from pipeline.photo_store.store import PhotoStore

_GRACE_HOURS = 24.0


def add_photo_commands(commands: Commands) -> None:
    """Add the commands to the parser."""
    collect = add_command(commands, "collect", "delete files of the photo store that no row names", _collect)
    collect.add_argument("--apply", action="store_true", help="do it; without this it is only said what would be done")
    collect.add_argument(
        "--grace-hours", type=float, default=_GRACE_HOURS, metavar="N", help="younger files stay; default: %(default)g"
    )
    add_json(collect)


@contextmanager
def opened_photos(parsed: argparse.Namespace) -> Iterator[tuple[CataloguePhotos, PhotoStore]]:
    """Open a database's photos, and its store.

    Raises:
        ChangeRefusedError: the database has no store yet.
    """
    photos = CataloguePhotos(open_existing(database_url(parsed)))
    try:
        database = photos.database_id()
        if database is None:
            raise ChangeRefusedError("the database has no photo store yet: the service's first start makes it")
        yield photos, PhotoStore(photo_store_url(parsed), database)
    finally:
        photos.close()


def _collect(parsed: argparse.Namespace) -> int:
    if not parsed.grace_hours >= 0:
        raise ChangeRefusedError("--grace-hours: must be 0 or more")
    with upkeep(database_url(parsed), "collect") as go_on, opened_photos(parsed) as (photos, store):
        unnamed = find_unnamed(store, photos, parsed.grace_hours * 3600)
        gone = delete_unnamed(store, photos, unnamed, go_on) if parsed.apply else None
    if parsed.json:
        print_json({"photos": unnamed.photos, "pictures": unnamed.pictures, "young": unnamed.young, "deleted": gone})
    else:
        _print_collected(unnamed, gone)
    return DONE


def _print_collected(unnamed: Unnamed, gone: list[str] | None) -> None:
    for sha256 in unnamed.photos if gone is None else gone:
        print(f"{sha256}: {unnamed.photos[sha256]:,} bytes")
    pictures = f"pictures of {len(unnamed.pictures)} photos with {sum(unnamed.pictures.values()):,} bytes"
    if gone is None:
        size_bytes = sum(unnamed.photos.values())
        print(f"{len(unnamed.photos)} photos with {size_bytes:,} bytes and {pictures} would go; do it with --apply")
    else:
        size_bytes = sum(unnamed.photos[sha256] for sha256 in gone)
        print(f"{len(gone)} photos with {size_bytes:,} bytes and {pictures} are gone")
    if unnamed.young:
        print(f"{unnamed.young} photos that no row names are too young, and stay")

"""The command purge: what is known of a photo or an individual goes for good, because the law wants it so."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from pipeline.admin.arguments import DONE, REFUSED, Commands, add_command, database_url, photo_store_url
from pipeline.admin.backup_commands import FOLDER, upkeep
from pipeline.catalogue.backup import list_backups
from pipeline.catalogue.doomed import Doomed, find_individual, find_photo
from pipeline.catalogue.events import Header
from pipeline.catalogue.photos import CataloguePhotos
from pipeline.catalogue.purging import purge
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue, utc_now
from pipeline.catalogue.undoing import PURGE
from pipeline.catalogue_url import catalogue_file
from pipeline.photo_store.store import PhotoStore
from pipeline.records import OPERATOR
from pipeline.rights import DEFAULT_CATALOGUE

Find = Callable[[Connection, int], Doomed]


def add_purge_command(commands: Commands) -> None:
    """Add the command to the parser."""
    purpose = "forget a photo or an individual for good, with all that was said of it; nobody can undo it"
    command = add_command(commands, "purge", purpose, _purge)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--photo", metavar="PHOTO", help="its sha256, or its path as the catalogue names it")
    what.add_argument("--individual", metavar="NAME", help="exactly as the catalogue names it")
    command.add_argument("--catalogue", default=DEFAULT_CATALOGUE, metavar="NAME", help="default: %(default)s")
    command.add_argument("--backups", type=Path, metavar="FOLDER", help="say which backups in it still hold it")
    command.add_argument("--reason", metavar="TEXT", help="stays with the event: do not repeat what has to go")
    command.add_argument("--apply", action="store_true", help="do it; without this it is only said what would go")
    command.add_argument("--yes", action="store_true", help="do not ask for the name once more")


def _purge(parsed: argparse.Namespace) -> int:
    find: Find = (
        partial(_swapped, find_individual, parsed.individual)
        if parsed.photo is None
        else partial(_swapped, find_photo, parsed.photo)
    )
    url, named = database_url(parsed), parsed.photo or parsed.individual
    catalogue = open_catalogue(url, parsed.catalogue, make=False)
    try:
        with catalogue.database.reading() as connection:
            doomed = find(connection, catalogue.id)
        _print_doomed(doomed)
        _print_copies(parsed, url, doomed)
        if not parsed.apply:
            print("nothing was changed; do it with --apply")
            return DONE
        if not parsed.yes and _typed(f"nobody can undo this; type {named} once more to purge it: ") != named:
            print("that is something else: nothing was changed")
            return REFUSED
        with upkeep(url, "purge"):
            _apply(parsed, catalogue, find)
    finally:
        catalogue.close()
    return DONE


def _typed(question: str) -> str | None:
    """Ask whoever sits there; None where nobody does."""
    try:
        return input(question)
    except EOFError:
        return None


def _swapped(find: Callable[[Connection, int, str], Doomed], named: str, connection: Connection, of: int) -> Doomed:
    return find(connection, of, named)


def _apply(parsed: argparse.Namespace, catalogue: SqlCatalogue, find: Find) -> None:
    photos = CataloguePhotos(catalogue.database)
    store = PhotoStore(photo_store_url(parsed), photos.database_id())
    with catalogue.database.reading() as connection:
        if find(connection, catalogue.id).hashes:
            store.check()  # before anything goes: afterwards nobody knows any more which files had to
    header = Header(PURGE, OPERATOR, utc_now(), reason=parsed.reason)
    head, doomed = purge(catalogue.database, catalogue.id, find, header)
    print(f"purged by version {head.version}; old bytes stay in the database's free space until VACUUM")
    deleted = 0
    for sha256 in sorted(doomed.hashes):
        if photos.delete_unnamed([sha256], store.delete):  # one by one: who stores photos waits for no other file
            deleted += 1
        else:
            store.delete_pictures(sha256)
            print(f"{sha256}: another catalogue has this photo, too, so its file stays: purge it there as well")
    if doomed.hashes:
        print(f"{deleted} photos were deleted from the store")


def _print_doomed(doomed: Doomed) -> None:
    for name in doomed.names:
        print(f"name: {name}")
    for path in doomed.paths:
        print(f"photo: {path}")
    for sha256 in sorted(doomed.hashes):
        print(f"photo of the store: {sha256}")
    for sha256 in sorted(doomed.kept_photos):
        print(f"shows others, too, and stays unless it is purged itself: {sha256}")
    stand = ", ".join(f"{count} {name}" for name, count in doomed.standing.items()) or "nothing"
    ended = sum(row["gone"] is not None for rows in doomed.rows.values() for row in rows)
    print(
        f"of it stand: {stand}; {ended} older rows are blanked, too; files that clients name by paths are not touched"
    )


def _print_copies(parsed: argparse.Namespace, url: str, doomed: Doomed) -> None:
    """Say which copies of the database and of the photos still hold it."""
    for place in _copies(parsed, url, doomed):
        print(f"still in: {place}")
    if parsed.backups is None:
        print("backups were not looked for: name their folder with --backups")


def _copies(parsed: argparse.Namespace, url: str, doomed: Doomed) -> Iterator[Path]:
    file = catalogue_file(url)
    if file is not None:  # what restores and migrations have left beside it
        for kind in ("replaced", "layout"):
            yield from sorted(file.resolve().parent.glob(f"{file.stem}.{kind}-*{file.suffix}"))
    if parsed.backups is None:
        return
    for folder, manifest in list_backups(parsed.backups).items():
        if doomed.since is not None and manifest.made >= doomed.since:
            yield folder
    yield from sorted(parsed.backups.glob("*.replaced-*.dump"))
    for sha256 in sorted(doomed.hashes):
        copied = parsed.backups / FOLDER / "photos" / sha256[:2] / sha256
        if copied.exists():
            yield copied

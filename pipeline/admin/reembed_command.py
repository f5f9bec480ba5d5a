"""The command reembed: a new model's embeddings of annotations that stand, from their photos and boxes."""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipeline.admin.arguments import DONE, FOUND, Commands, add_command, photo_store_url, settings_of
from pipeline.catalogue.events import Header, commit, lock_catalogue
from pipeline.catalogue.photos import CataloguePhotos
from pipeline.catalogue.reembedding import Unembedded, count_embedded, read_unembedded, store_embeddings
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue, utc_now
from pipeline.catalogue.things import REEMBED
from pipeline.catalogue.vectors import Vector
from pipeline.errors import ChangeRefusedError
from pipeline.model_files import load_model_folder, short_hash
from pipeline.photo_store.store import PhotoStore
from pipeline.records import OPERATOR, Failure
from pipeline.rights import DEFAULT_CATALOGUE

if TYPE_CHECKING:
    from pipeline.admin.reembedding import Reembedder

Models = Mapping[str, str]


def add_reembed_command(commands: Commands) -> None:
    """Add the command to the parser."""
    purpose = "embed what stands in a catalogue with the models that are loaded now; status 3: some cannot be"
    command = add_command(commands, "reembed", purpose, _reembed)
    command.add_argument("--catalogue", default=DEFAULT_CATALOGUE, metavar="NAME", help="default: %(default)s")
    command.add_argument("--apply", action="store_true", help="do it; without this it is only said what cannot be done")


def _reembed(parsed: argparse.Namespace) -> int:
    from pipeline.admin.reembedding import Reembedder  # here: the other commands need no torch

    settings = settings_of(parsed)
    if settings is None:
        raise ChangeRefusedError("reembed needs the service's config file, which says where the models are: --config")
    folder = load_model_folder(settings.models_dir)
    models = {part: short_hash(folder.embedder_file(part)) for part in folder.body_part_names}
    catalogue = open_catalogue(settings.catalogue_url, parsed.catalogue, make=False)
    try:
        reembedder = Reembedder(settings, folder, _store(catalogue, photo_store_url(parsed)))
        impossible = _list_impossible(catalogue, models, reembedder)
        failed = asyncio.run(_embed_all(catalogue, models, reembedder)) if parsed.apply else 0
        done, count = _count(catalogue, models)
    finally:
        catalogue.close()
    print(f"{done} of {count} annotations are embedded by the models that are loaded")
    if not parsed.apply:
        print(f"{count - done - impossible} can be embedded; do it with --apply")
    return FOUND if impossible or failed else DONE


def _store(catalogue: SqlCatalogue, url: str) -> PhotoStore | None:
    database = CataloguePhotos(catalogue.database).database_id()
    if database is None:
        return None
    store = PhotoStore(url, database)
    store.check()
    return store


def _list_impossible(catalogue: SqlCatalogue, models: Models, reembedder: "Reembedder") -> int:
    """Print what cannot be embedded, before anything is; it keeps the embeddings that it has."""
    reasons: Counter[str] = Counter()
    for page in _pages(catalogue, models):
        for one in page:
            reason = reembedder.why_not(one)
            if reason is not None:
                reasons[reason] += 1
                print(f"annotation {one.annotation} ({one.body_part}) of {one.path}: {reason}")
    for reason, count in reasons.most_common():
        print(f"{count} annotations stay as they are: {reason}")
    return reasons.total()


async def _embed_all(catalogue: SqlCatalogue, models: Models, reembedder: "Reembedder") -> int:
    """Embed and store what can be, a page at a time; returns how many could not be, although they seemed to."""
    done, count = _count(catalogue, models)
    failed = 0
    for page in _pages(catalogue, models):
        made: list[tuple[Unembedded, Vector]] = []
        for one, outcome in await reembedder.embed([one for one in page if reembedder.why_not(one) is None]):
            if isinstance(outcome, Failure):
                failed += 1
                print(f"annotation {one.annotation} ({one.body_part}) of {one.path}: {outcome.message}")
            else:
                made.append((one, outcome))
        _store_made(catalogue, made, models)
        done += len(made)
        print(f"{done} of {count}", flush=True)
    return failed


def _store_made(catalogue: SqlCatalogue, made: list[tuple[Unembedded, Vector]], models: Models) -> None:
    with catalogue.database.writing() as connection:
        change = lock_catalogue(connection, catalogue.id)
        store_embeddings(change, made, models)
        if not change.is_empty:
            commit(change, Header(REEMBED, OPERATOR, utc_now()))


def _pages(catalogue: SqlCatalogue, models: Models) -> Iterator[list[Unembedded]]:
    after = 0
    while True:
        with catalogue.database.reading() as connection:
            page = read_unembedded(connection, catalogue.id, models, after)
        if not page:
            return
        yield page
        after = page[-1].annotation


def _count(catalogue: SqlCatalogue, models: Models) -> tuple[int, int]:
    with catalogue.database.reading() as connection:
        return count_embedded(connection, catalogue.id, models)

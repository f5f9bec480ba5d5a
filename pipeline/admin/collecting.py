"""Deletes files of the photo store that no row of its database names, with the pictures that were made of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.catalogue.photos import CataloguePhotos
from pipeline.photo_store.store import PhotoStore

_AT_ONCE = 20  # photos for which whoever lists one, or writes to a SQLite file, waits


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Files of a store that no row names.

    Attributes:
        photos: sizes in bytes of those that are old enough to go, by their hash.
        pictures: sizes in bytes of the pictures of photos that are not there or go, by the photo's hash.
        young: how many photos are younger than that: a client that sent one may come again.
    """

    photos: dict[str, int]
    pictures: dict[str, int]
    young: int


def find_unnamed(store: PhotoStore, photos: CataloguePhotos, grace_s: float) -> Unnamed:
    """Find what may be deleted.

    Args:
        store: of the database, with its id.
        photos: of the database.
        grace_s: how long ago a photo's file must have come.

    Raises:
        UnavailableError: the store is another database's, or cannot be read.
    """
    store.check()
    files = store.sizes()
    unnamed = files.keys() - photos.named()  # the rows after the files: a photo that came meanwhile is named
    old = sorted(sha256 for sha256 in unnamed if (store.age_s(sha256) or 0.0) >= grace_s)
    shown = files.keys() - set(old)
    pictures = {sha256: size_bytes for sha256, size_bytes in store.pictures().items() if sha256 not in shown}
    return Unnamed({sha256: files[sha256] for sha256 in old}, pictures, len(unnamed) - len(old))


def delete_unnamed(
    store: PhotoStore, photos: CataloguePhotos, unnamed: Unnamed, go_on: Callable[[], None]
) -> list[str]:
    """Delete what was found, but for photos that a row has come to name since; returns the photos that went.

    Args:
        store: of the database.
        photos: of the database.
        unnamed: what was found.
        go_on: called before every few photos; raises where that must stop.

    Raises:
        UnavailableError: the store has become another database's, or cannot be written.
    """
    gone: list[str] = []
    for some in _parts(list(unnamed.photos)):
        go_on()
        store.check()
        gone += photos.delete_unnamed(some, store.delete)
    for sha256 in unnamed.pictures.keys() - unnamed.photos.keys():
        store.delete_pictures(sha256)
    return gone


def _parts(hashes: list[str]) -> list[Sequence[str]]:
    return [hashes[start : start + _AT_ONCE] for start in range(0, len(hashes), _AT_ONCE)]

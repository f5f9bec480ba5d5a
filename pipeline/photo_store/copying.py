"""Copies photos from one store into another: the service's into one of backups, and back."""

from collections.abc import Callable, Mapping

from pipeline.errors import UnavailableError
from pipeline.photo_store.store import PhotoStore


def copy_photos(
    source: PhotoStore, target: PhotoStore, sizes: Mapping[str, int], go_on: Callable[[], None]
) -> tuple[int, tuple[str, ...]]:
    """Copy what the target lacks, or has in another length; each photo's hash is looked at as it is read.

    Args:
        source: has the photos.
        target: gets them; it has its marker.
        sizes: in bytes, by the hashes of the photos that the target shall have.
        go_on: called before each photo that is copied; raises where that must stop.

    Returns:
        How many were copied, and the hashes of those that neither store has whole.

    Raises:
        StorageFullError: the target has no room; what was copied stays.
        UnavailableError: one of the two cannot be read or written.
    """
    there = target.sizes()
    wanted = sorted(sha256 for sha256, size_bytes in sizes.items() if there.get(sha256) != size_bytes)
    missing: list[str] = []
    for sha256 in wanted:
        go_on()
        content = source.find_whole(sha256)
        if content is None:
            source.check()  # else it is not mounted any more, and nothing is known of the photo
            missing.append(sha256)
        else:
            target.put(sha256, content)
    return len(wanted) - len(missing), tuple(missing)


def settle_marker(store: PhotoStore, database: str) -> None:
    """Make a store that has no marker, or holds nothing, a database's own, so that it may take its photos.

    Raises:
        UnavailableError: the store holds another database's photos.
    """
    found = store.read_marker()
    if found not in (None, database) and not store.is_empty():
        raise UnavailableError(f"{store.marker}: the store belongs to another database ({found}): name another one")
    if found != database:
        store.write_marker(database)

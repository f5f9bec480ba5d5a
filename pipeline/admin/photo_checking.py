"""What is wrong with the photo store of a database: photos without a file, files without a row, and damage."""

from collections.abc import Iterator

from pipeline.catalogue.checking import Finding
from pipeline.catalogue.photos import CataloguePhotos
from pipeline.errors import ItemError
from pipeline.photo_store.store import PhotoStore


def check_photos(photos: CataloguePhotos, url: str, read_all: bool) -> list[Finding]:
    """Compare the photo store with the rows of a database; errors first.

    Args:
        photos: of the database.
        url: of its store.
        read_all: also read every photo, to see that it has its hash.

    Raises:
        CatalogueUnavailableError: the database cannot be read.
        SettingsError: the URL names no store.
    """
    database, listed = photos.database_id(), photos.sizes()
    store = PhotoStore(url, database)
    try:
        if database is None or (not listed and store.read_marker() is None):
            return []  # no service has used a store yet
        store.check()
        return [*_errors(store, listed, read_all), *_notes(store, photos)]
    except ItemError as error:
        return [Finding(None, "photo_store", f"{url}: {error.message}")]


def _errors(store: PhotoStore, listed: dict[str, dict[str, int]], read_all: bool) -> Iterator[Finding]:
    found = store.sizes()  # after the rows: a photo's file is there before its row
    verdicts: dict[str, str | None] = {}
    for catalogue, sizes in sorted(listed.items()):
        for sha256, size_bytes in sorted(sizes.items()):
            if sha256 not in found:
                yield Finding(catalogue, "photo_missing", f"{sha256}: the store has no file of this photo")
                continue
            if found[sha256] != size_bytes:
                verdicts[sha256] = f"has {found[sha256]} bytes, {size_bytes} when it came"
            elif sha256 not in verdicts:
                verdicts[sha256] = (
                    "has another hash, or cannot be read" if read_all and store.find_whole(sha256) is None else None
                )
            if verdicts[sha256] is not None:
                yield Finding(catalogue, "photo_damaged", f"{sha256}: its file {verdicts[sha256]}")


def _notes(store: PhotoStore, photos: CataloguePhotos) -> Iterator[Finding]:
    found = store.sizes()
    unnamed = found.keys() - photos.named()  # the rows once more, after the files
    if unnamed:
        size_bytes = sum(found[sha256] for sha256 in unnamed)
        said = f"{len(unnamed)} files that no row names take {size_bytes:,} bytes: see what collect says of them"
        yield Finding(None, "photo_unnamed", said, is_error=False)
    left = store.count_left_over()
    if left:
        said = f"{left} files on their way were left by killed processes: the next start of the service deletes them"
        yield Finding(None, "photo_left_over", said, is_error=False)

"""The photo store and the catalogue's database name each other before anything is put into the store."""

import logging

from pipeline.errors import ItemError, SettingsError
from pipeline.photo_store.store import PhotoStore
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


def bind_photo_store(settings: Settings) -> str:
    """Have the store marked as this database's; what killed processes have left in it is cleaned away.

    Two services that took one store for theirs could delete each other's photos, and a folder that is not mounted
    looks empty.

    Args:
        settings: of the application, with absolute paths; the database has its tables.

    Returns:
        The database's id, by which replicas know the store.

    Raises:
        SettingsError: the store is another database's, or lacks the photos that the database lists.
        CatalogueUnavailableError: the database cannot be read or written.
    """
    from pipeline.catalogue.photos import open_photos  # here: only who builds the application needs a database

    store, photos = PhotoStore(settings.photo_store), open_photos(settings.catalogue_url)
    try:
        known, found = photos.database_id(), store.read_marker()
        if known is None or found != known:
            _check_new(store, found, photos.has_any())
            known = photos.make_database_id()
            store.write_marker(known)
        if cleaned := store.clean():
            logger.info("deleted %d unfinished uploads, which killed processes have left", cleaned)
        return known
    except ItemError as error:
        raise SettingsError(f"args.photo_store: {settings.photo_store}: {error.message}") from error
    finally:
        photos.close()


def _check_new(store: PhotoStore, found: str | None, is_listed: bool) -> None:
    """Check that a store which is not marked as the database's may become it.

    Args:
        store: as it is.
        found: whose it is, by its marker.
        is_listed: the database lists photos.
    """
    is_empty = store.is_empty()
    if found is not None and (is_listed or not is_empty):
        raise SettingsError(
            f"args.photo_store: {store.marker} says that the store belongs to another catalogue database ({found}): "
            "name another store; or, where the photos in it are this catalogue's, delete that file and start again"
        )
    if is_listed and is_empty:
        raise SettingsError(
            f"args.photo_store: the catalogue lists photos, and there are none at {store.marker.rpartition('/')[0]}: "
            "mount or restore the store. To go on without them, put any file into its folder photos/ and start again"
        )

"""A photo store and a catalogue's database belong together, or the service does not start."""

from pathlib import Path

import pytest

from deployments.photo_binding import bind_photo_store
from pipeline.catalogue.photos import open_photos
from pipeline.catalogue.sql_store import make_catalogue
from pipeline.errors import SettingsError
from pipeline.photo_store.store import PhotoStore
from pipeline.records import LOCAL_USER
from pipeline.settings import Settings
from pipeline.stored_photos import NOT_TOLD, PhotoFacts, PhotoRecord
from tests.photos_made import sha256_of

PHOTO = b"a photo's bytes"


def service(folder: Path, name: str = "catalogue", store: str | None = None) -> Settings:
    given = {"catalogue_url": f"sqlite:///{folder}/{name}.sqlite"}
    settings = Settings.model_validate(given if store is None else {**given, "photo_store": f"file://{folder}/{store}"})
    make_catalogue(settings.catalogue_url)
    return settings


def fill(settings: Settings, database: str, list_it: bool = True) -> None:
    incoming = PhotoStore(settings.photo_store, database).receive()
    incoming.write(PHOTO)
    incoming.close(sha256_of(PHOTO))
    incoming.keep(sha256_of(PHOTO))
    if list_it:
        record = PhotoRecord(sha256_of(PHOTO), len(PHOTO), PhotoFacts((1, 1), NOT_TOLD), None)
        open_photos(settings.catalogue_url).add("default", record, LOCAL_USER)


def test_the_first_start_makes_the_store_beside_the_catalogue(tmp_path: Path) -> None:
    settings = service(tmp_path)
    database = bind_photo_store(settings)
    assert PhotoStore(settings.photo_store).read_marker() == database
    assert (tmp_path / "catalogue-photos" / "store.json").exists()
    assert bind_photo_store(settings) == database


def test_another_databases_store_is_refused_once_it_holds_photos(tmp_path: Path) -> None:
    first, second = service(tmp_path, "a", "photos"), service(tmp_path, "b", "photos")
    fill(first, bind_photo_store(first))
    with pytest.raises(SettingsError, match="belongs to another catalogue database"):
        bind_photo_store(second)
    bind_photo_store(first)


def test_an_empty_store_of_a_database_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    first = service(tmp_path)
    bind_photo_store(first)
    (tmp_path / "catalogue.sqlite").unlink()
    again = service(tmp_path)
    database = bind_photo_store(again)
    assert PhotoStore(again.photo_store).read_marker() == database


def test_a_store_whose_photos_are_not_there_is_refused(tmp_path: Path) -> None:
    settings = service(tmp_path)
    fill(settings, bind_photo_store(settings))
    (tmp_path / "catalogue-photos").rename(tmp_path / "unmounted")
    with pytest.raises(SettingsError, match="mount or restore"):
        bind_photo_store(settings)
    (tmp_path / "unmounted").rename(tmp_path / "catalogue-photos")
    bind_photo_store(settings)


def test_the_operator_gives_a_store_to_a_restored_catalogue_by_deleting_the_marker(tmp_path: Path) -> None:
    settings = service(tmp_path)
    fill(settings, bind_photo_store(settings))
    (tmp_path / "catalogue.sqlite").unlink()  # a backup from before the store was made
    restored = service(tmp_path)
    with pytest.raises(SettingsError, match=r"delete that file") as refused:
        bind_photo_store(restored)
    (tmp_path / "catalogue-photos" / "store.json").unlink()
    assert "catalogue-photos/store.json" in refused.value.message
    database = bind_photo_store(restored)
    assert PhotoStore(restored.photo_store, database).read(sha256_of(PHOTO), 1000) == PHOTO


def test_a_store_that_cannot_be_read_or_used_is_an_error_of_the_settings(tmp_path: Path) -> None:
    settings = service(tmp_path)
    (tmp_path / "catalogue-photos").write_text("a file in the folder's place")
    with pytest.raises(SettingsError, match=r"args\.photo_store"):
        bind_photo_store(settings)

"""Which catalogue has which photo, on both kinds of databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.catalogue.people import open_people
from pipeline.catalogue.photos import CataloguePhotos, open_photos
from pipeline.catalogue.sql_store import SqlCatalogue, make_catalogue, open_catalogue
from pipeline.catalogue.verbs import Remove
from pipeline.catalogue.views import AnnotationFilter
from pipeline.errors import NotInCatalogueError
from pipeline.records import LOCAL_USER, OPERATOR, Actor, BoundingBox, PhotoKey
from pipeline.stored_photos import NOT_TOLD, PhotoFacts, PhotoRecord, Taken
from tests.confirming import confirm, word

MAYA = Actor("WDC", "Maya")
TAKEN = Taken(datetime(2024, 5, 17, 18, 2, 33), 120, 47.5, -8.25, "Canon, Canon EOS R5, serial 0123")
PHOTO = PhotoRecord("a" * 64, 5_000_000, PhotoFacts((4000, 3000), TAKEN), "IMG_0689.jpg")
BOX = BoundingBox(20.5, 30.0, 120.0, 230.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: object) -> str:
    found: str = (
        f"sqlite:///{tmp_path}/c.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    make_catalogue(found)
    return found


@pytest.fixture
def photos(url: str) -> CataloguePhotos:
    return open_photos(url)


def test_what_is_known_of_a_photo_comes_back(photos: CataloguePhotos) -> None:
    assert not photos.has_any()
    assert photos.find("default", PHOTO.sha256) is None
    assert photos.add("default", PHOTO, MAYA)
    assert photos.find("default", PHOTO.sha256) == PHOTO
    assert photos.has_any()


def test_of_a_photo_that_tells_nothing_nothing_is_known(photos: CataloguePhotos) -> None:
    plain = replace(PHOTO, facts=PhotoFacts((1, 1), NOT_TOLD), name=None)
    photos.add("default", plain, MAYA)
    assert photos.find("default", plain.sha256) == plain


def test_the_first_word_about_a_photo_stays(photos: CataloguePhotos) -> None:
    photos.add("default", PHOTO, MAYA)
    assert not photos.add("default", replace(PHOTO, name="other.jpg"), LOCAL_USER)
    assert photos.find("default", PHOTO.sha256) == PHOTO


def test_a_name_that_no_database_takes_is_stored_escaped(photos: CataloguePhotos) -> None:
    photos.add("default", replace(PHOTO, name="a\0b\udcff.jpg"), MAYA)
    found = photos.find("default", PHOTO.sha256)
    assert found is not None
    assert found.name == "a\\x00b\\udcff.jpg"


def test_each_catalogue_has_its_own_photos(url: str, photos: CataloguePhotos) -> None:
    people = open_people(url)
    people.add_user(MAYA)
    people.add_catalogue("azores", MAYA, None, OPERATOR)
    photos.add("azores", PHOTO, MAYA)
    assert photos.find("default", PHOTO.sha256) is None
    assert photos.find("nowhere", PHOTO.sha256) is None
    assert photos.find("azores", PHOTO.sha256) == PHOTO
    with pytest.raises(NotInCatalogueError, match="nowhere"):
        photos.add("nowhere", PHOTO, MAYA)


def test_many_that_say_the_same_at_once_are_all_right_and_one_is_first(url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        added = list(
            threads.map(lambda n: open_photos(url).add("default", PHOTO, Actor("WDC", f"user {n % 3}")), range(24))
        )
    assert sorted(added) == [False] * 23 + [True]


def test_the_databases_id_is_made_once(url: str, photos: CataloguePhotos) -> None:
    assert photos.database_id() is None
    made = photos.make_database_id()
    assert len(made) == 32
    assert photos.make_database_id() == made == open_photos(url).database_id()


# --- where animals are ---


@pytest.fixture
def catalogue(url: str) -> SqlCatalogue:
    return open_catalogue(url)


def said(box: BoundingBox | None, photo: str = f"sha256:{PHOTO.sha256}", animal: int = 1, name: str = "DANTE"):  # type: ignore[no-untyped-def]
    return replace(word("a.jpg", name), key=PhotoKey(photo, animal), box=box)


def only_annotation(catalogue: SqlCatalogue) -> int:
    (entry,) = catalogue.annotations(AnnotationFilter()).entries
    return entry.id


def test_a_confirmation_tells_where_the_animal_is(photos: CataloguePhotos, catalogue: SqlCatalogue) -> None:
    photos.add("default", PHOTO, MAYA)
    confirm(catalogue, [said(BOX)])
    assert photos.place_of("default", only_annotation(catalogue)) == (PHOTO.sha256, BOX)
    assert photos.place_of("nowhere", only_annotation(catalogue)) is None
    assert photos.place_of("default", 999) is None


def test_the_newest_box_counts_and_makes_no_event_of_its_own(photos: CataloguePhotos, catalogue: SqlCatalogue) -> None:
    photos.add("default", PHOTO, MAYA)
    confirm(catalogue, [said(BOX)])
    head = catalogue.head()
    moved = BoundingBox(1.0, 2.0, 3.0, 4.0)
    confirm(catalogue, [said(moved)])
    assert photos.place_of("default", only_annotation(catalogue)) == (PHOTO.sha256, moved)
    confirm(catalogue, [said(None)])
    assert photos.place_of("default", only_annotation(catalogue)) == (PHOTO.sha256, moved)
    assert catalogue.head() == head
    assert catalogue.differences_from_log() == []


def test_without_a_box_or_the_photo_there_is_no_place(photos: CataloguePhotos, catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [said(BOX)])
    assert photos.place_of("default", only_annotation(catalogue)) is None
    photos.add("default", PHOTO, MAYA)
    assert photos.place_of("default", only_annotation(catalogue)) is not None
    confirm(catalogue, [said(None, animal=2), said(BOX, photo="path:b.jpg")])
    places = [photos.place_of("default", entry.id) for entry in catalogue.annotations(AnnotationFilter()).entries]
    assert [place is not None for place in places] == [True, False, False]


def test_an_annotation_that_was_withdrawn_has_no_place(photos: CataloguePhotos, catalogue: SqlCatalogue) -> None:
    photos.add("default", PHOTO, MAYA)
    confirm(catalogue, [said(BOX)])
    annotation = only_annotation(catalogue)
    catalogue.change(Remove((annotation,)), LOCAL_USER)
    assert photos.place_of("default", annotation) is None


def test_a_box_of_a_refused_confirmation_is_not_kept(photos: CataloguePhotos, catalogue: SqlCatalogue) -> None:
    photos.add("default", PHOTO, MAYA)
    confirm(catalogue, [said(BOX, animal=3), replace(word("b.jpg", "twin"), key=PhotoKey("path:b"))])
    confirm(catalogue, [said(None)])
    assert catalogue.confirm([said(BOX, name="Unknown")], LOCAL_USER).refused
    places = [photos.place_of("default", entry.id) for entry in catalogue.annotations(AnnotationFilter()).entries]
    assert [place is not None for place in places] == [True, False, False]


def test_rows_carry_when_and_by_whom_they_were_added(url: str) -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    photos = open_photos(url)
    CataloguePhotos(photos._database, lambda: now).add("default", PHOTO, MAYA)
    people = open_people(url)
    assert MAYA in people.users()

"""Purge: nothing is left of what has to go, nothing else goes, and the log still tells the tables."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from pipeline.catalogue.photo_tables import boxes
from pipeline.catalogue.rows import EMPTY, Confirmation
from pipeline.catalogue.schema import VERSIONED, events
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Decide, Decision, Describe, Merge, Move, Remove, Undo
from pipeline.catalogue.views import AnnotationFilter, HistoryFilter, IndividualFilter
from pipeline.errors import ChangeRefusedError, UndoBlockedError
from pipeline.records import LOCAL_USER, BoundingBox, PhotoKey
from tests.confirming import word
from tests.unit.admin.photos_made import Service

Captured = pytest.CaptureFixture[str]
SECRET_PATH = "/photos/secret whale.jpg"


def said_of(sha256: str, individual: str, path: str, animal: int = 1) -> Confirmation:
    return Confirmation(PhotoKey(f"sha256:{sha256}", animal), "fluke", individual, np.full(2, 0.5), "m1", path)


@pytest.fixture
def catalogue(service: Service) -> Iterator[SqlCatalogue]:
    opened = open_catalogue(service.url)
    yield opened
    opened.close()


def confirm(catalogue: SqlCatalogue, *words: Confirmation) -> int:
    confirmed = catalogue.confirm(list(words), LOCAL_USER)
    assert not confirmed.refused
    return confirmed.head.version


def numbers_of(catalogue: SqlCatalogue, name: str) -> list[int]:
    return [each.id for each in catalogue.annotations(AnnotationFilter()).entries if each.name == name]


def individual_of(catalogue: SqlCatalogue, name: str) -> int:
    return next(each.id for each in catalogue.individuals(IndividualFilter()).entries if each.name == name)


def all_text(catalogue: SqlCatalogue) -> str:
    """Return whatever the database holds of rows and payloads."""
    with catalogue.database.reading() as connection:
        rows = [str(row) for table in (*VERSIONED, boxes) for row in connection.execute(select(table))]
        return "\n".join([*rows, *map(str, connection.execute(select(events.c.payload, events.c.reason)))])


def test_a_purge_says_first_what_would_go_and_asks_for_the_name(
    service: Service, catalogue: SqlCatalogue, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = service.keep(b"photo")
    confirm(catalogue, said_of(photo, "DANTE", SECRET_PATH))
    assert service.run("purge", "--photo", photo) == 0
    said = capsys.readouterr().out
    assert f"photo: {SECRET_PATH}" in said
    assert f"photo of the store: {photo}" in said
    assert "1 annotations" in said
    monkeypatch.setattr("builtins.input", lambda _: "something else")
    assert service.run("purge", "--photo", photo, "--apply") == 1
    assert catalogue.head().version == 1
    assert service.file(photo).exists()
    monkeypatch.setattr("builtins.input", lambda _: photo)
    assert service.run("purge", "--photo", photo, "--apply") == 0
    assert catalogue.head().version == 2
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 1
    assert "knows of no photo" in capsys.readouterr().err


def test_nothing_is_left_of_a_purged_photo_and_all_else_stays(service: Service, catalogue: SqlCatalogue) -> None:
    photo, other = service.keep(b"photo"), service.keep(b"other")
    box = BoundingBox(1.25, 2.25, 3.25, 4.25)
    confirm(catalogue, replace(said_of(photo, "DANTE", SECRET_PATH), box=box), said_of(other, "VERGIL", "/other.jpg"))
    confirm(catalogue, said_of(photo, "VERGIL", SECRET_PATH))
    (annotation,) = [each.id for each in catalogue.annotations(AnnotationFilter()).entries if each.path == SECRET_PATH]
    made = catalogue.change(Move((annotation,)), LOCAL_USER).made
    catalogue.change(
        Describe("sighting", made["sightings"][0], {"latitude": 38.123456, "locality": "the secret bay"}), LOCAL_USER
    )
    catalogue.change(Decide((Decision(annotation, "unsure"),)), LOCAL_USER, reason="looks like the secret one")
    service.store.write_derived(photo, "w160.jpg", b"picture")
    rows_before = len(all_text(catalogue).splitlines())
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 0
    left = all_text(catalogue)
    for gone in ("secret", photo, "38.123456", "1.25"):
        assert gone not in left
    assert "/other.jpg" in left
    assert len(left.splitlines()) == rows_before + 1 - 1, "one event more, one box less"
    assert catalogue.differences_from_log() == []
    assert service.run("check") == 0
    assert not service.file(photo).exists()
    assert service.store.read_derived(photo, "w160.jpg") is None
    assert service.store.read(other, 100) == b"other"
    assert service.photos.find("default", photo) is None
    assert service.photos.find("default", other) is not None
    last = catalogue.history(HistoryFilter()).entries[0]
    assert (last.kind, last.actor.kind) == ("purge", "program")


def test_readers_hear_of_it_and_forget_the_embedding(service: Service, catalogue: SqlCatalogue) -> None:
    photo, other = service.keep(b"photo"), service.keep(b"other")
    confirm(catalogue, said_of(photo, "DANTE", "/a.jpg"), said_of(other, "VERGIL", "/b.jpg"))
    known = catalogue.head()
    (row,) = [row.row_id for row in catalogue.changes_since(EMPTY).added if row.individual == "DANTE"]
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 0
    changes = catalogue.changes_since(known)
    assert (changes.anew, changes.superseded, changes.added) == (False, (row,), ())
    assert [row.individual for row in catalogue.changes_since(EMPTY).added] == ["VERGIL"]


def test_a_photo_that_only_its_path_names_is_purged_by_it(service: Service, catalogue: SqlCatalogue) -> None:
    confirm(catalogue, word(SECRET_PATH), word("/other.jpg", "VERGIL"))
    assert service.run("purge", "--photo", SECRET_PATH, "--apply", "--yes") == 0
    assert "secret" not in all_text(catalogue)
    assert [each.path for each in catalogue.annotations(AnnotationFilter()).entries] == ["/other.jpg"]
    assert catalogue.differences_from_log() == []
    assert confirm(catalogue, word(SECRET_PATH)) == 3, "what somebody says anew is stored"


def test_nothing_is_purged_while_the_store_is_away(service: Service, catalogue: SqlCatalogue, capsys: Captured) -> None:
    photo = service.keep(b"photo")
    confirm(catalogue, said_of(photo, "DANTE", SECRET_PATH))
    store = service.folder / "store"
    store.rename(service.folder / "elsewhere")
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 1
    assert "store" in capsys.readouterr().err
    assert catalogue.head().version == 1
    (service.folder / "elsewhere").rename(store)
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 0
    assert not service.file(photo).exists()


def test_a_name_that_several_photos_have_purges_none_of_them(
    service: Service, catalogue: SqlCatalogue, capsys: Captured
) -> None:
    first, second = service.keep(b"first"), service.keep(b"second")
    confirm(catalogue, said_of(first, "DANTE", "IMG_0001.JPG"), said_of(second, "NOVA", "IMG_0001.JPG"))
    assert service.run("purge", "--photo", "IMG_0001.JPG", "--apply", "--yes") == 1
    said = capsys.readouterr().err
    assert "2 photos are called so" in said
    assert first in said
    assert second in said
    assert catalogue.head().version == 1
    assert service.run("purge", "--photo", first, "--apply", "--yes") == 0
    assert [each.name for each in catalogue.annotations(AnnotationFilter()).entries] == ["NOVA"]
    assert service.file(second).exists()


def test_a_withdrawn_photo_is_purged_and_comes_back_by_no_undo(service: Service, catalogue: SqlCatalogue) -> None:
    photo = service.keep(b"photo")
    said = confirm(catalogue, said_of(photo, "DANTE", SECRET_PATH))
    removed = catalogue.change(Remove(tuple(numbers_of(catalogue, "DANTE"))), LOCAL_USER).head.version
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 0
    purged = catalogue.head().version
    for version in (said, removed):
        with pytest.raises(UndoBlockedError, match="purged for good by"):
            catalogue.change(Undo(version), LOCAL_USER)
    with pytest.raises(ChangeRefusedError, match="never undone"):
        catalogue.change(Undo(purged), LOCAL_USER)
    assert catalogue.differences_from_log() == []


def test_an_individual_goes_with_its_names_and_photos_but_not_with_those_of_others(
    service: Service, catalogue: SqlCatalogue, capsys: Captured
) -> None:
    alone, together = service.keep(b"alone"), service.keep(b"together")
    confirm(
        catalogue,
        said_of(alone, "Secret One", "/alone.jpg"),
        said_of(together, "Secret One", "/together.jpg"),
        said_of(together, "VERGIL", "/together.jpg", animal=2),
        word("/merged.jpg", "Also Secret"),
        word("/was.jpg", "Secret One"),
    )
    one, also, vergil = (individual_of(catalogue, name) for name in ("Secret One", "Also Secret", "VERGIL"))
    catalogue.change(Describe("individual", one, {"note": "a secret scar"}), LOCAL_USER)
    catalogue.change(Merge(one, (also,)), LOCAL_USER)
    (was,) = [each.id for each in catalogue.annotations(AnnotationFilter()).entries if each.path == "/was.jpg"]
    catalogue.change(Decide((Decision(was, "match", vergil),)), LOCAL_USER)
    assert service.run("purge", "--individual", "Secret One", "--apply", "--yes") == 0
    assert f"shows others, too, and stays unless it is purged itself: {together}" in capsys.readouterr().out
    left = all_text(catalogue)
    assert "ecret" not in left
    assert "/merged.jpg" not in left
    assert not service.file(alone).exists()
    assert service.file(together).exists()
    entries = catalogue.annotations(AnnotationFilter()).entries
    assert {(each.path, each.name) for each in entries} == {("/together.jpg", "VERGIL"), ("/was.jpg", "VERGIL")}
    assert [each.name for each in catalogue.individuals(IndividualFilter()).entries] == ["VERGIL"]
    assert catalogue.differences_from_log() == []
    assert service.run("check") == 0
    assert confirm(catalogue, word("/new.jpg", "Secret One"))
    with pytest.raises(UndoBlockedError):  # it would show an individual that is not there
        catalogue.change(Undo(4), LOCAL_USER)


def test_a_photo_that_another_catalogue_has_too_stays_there(
    service: Service, catalogue: SqlCatalogue, capsys: Captured
) -> None:
    photo = service.keep(b"photo")
    other = open_catalogue(service.url, "azores")
    service.record(photo, 5, "azores")
    confirm(catalogue, said_of(photo, "DANTE", "/a.jpg"))
    confirm(other, said_of(photo, "DANTE", "/a.jpg"))
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 0
    assert "another catalogue has this photo" in capsys.readouterr().out
    assert service.store.read(photo, 100) == b"photo"
    assert service.photos.find("default", photo) is None
    assert [each.name for each in other.annotations(AnnotationFilter()).entries] == ["DANTE"]
    assert service.run("purge", "--catalogue", "azores", "--photo", photo, "--apply", "--yes") == 0
    assert not service.file(photo).exists()
    other.close()


def test_backups_that_still_hold_it_are_named(service: Service, catalogue: SqlCatalogue, capsys: Captured) -> None:
    backups = service.folder / "backups"
    backups.mkdir()
    assert service.run("backup", str(backups / "before")) == 0
    photo = service.keep(b"photo")
    confirm(catalogue, said_of(photo, "DANTE", SECRET_PATH))
    assert service.run("backup", str(backups / "after")) == 0
    capsys.readouterr()
    assert service.run("purge", "--photo", photo, "--backups", str(backups)) == 0
    still = [line.removeprefix("still in: ") for line in capsys.readouterr().out.splitlines() if "still in" in line]
    assert still == [str(backups / "after"), str(service.file(photo, "backups/photos"))]
    (backups / "broken").mkdir()
    (backups / "broken" / "manifest.json").write_text("{")
    assert service.run("purge", "--photo", photo, "--backups", str(backups)) == 1
    assert "broken" in capsys.readouterr().err
    shutil.rmtree(backups)
    assert service.run("purge", "--photo", photo, "--backups", str(backups)) == 1


def test_rankings_are_those_of_a_catalogue_that_never_had_it(service: Service, catalogue: SqlCatalogue) -> None:
    photo = service.keep(b"photo")
    confirm(catalogue, said_of(photo, "DANTE", "/a.jpg"), word("/b.jpg", "DANTE"), word("/c.jpg", "VERGIL"))
    assert service.run("purge", "--photo", photo, "--apply", "--yes") == 0
    rows = {(row.individual, tuple(row.values)) for row in catalogue.changes_since(EMPTY).added}
    assert rows == {("DANTE", (1.0, 1.0)), ("VERGIL", (1.0, 1.0))}
    counts = catalogue.counts()
    assert (counts.individuals, counts.photos) == (2, 2)

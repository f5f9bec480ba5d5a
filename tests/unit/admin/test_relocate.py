"""A folder of photos that moved: found by name and by hash, said first, done as one event, undone."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.admin.command_line import main
from pipeline.admin.relocation import Relocation
from pipeline.catalogue.rows import EMPTY, Confirmation
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.verbs import Relocate, Undo
from pipeline.catalogue.views import AnnotationEntry, AnnotationFilter, HistoryFilter
from pipeline.errors import ChangedSinceError, ChangeRefusedError
from pipeline.records import LOCAL_USER, OPERATOR, PhotoKey
from tests.confirming import confirm, word

Captured = pytest.CaptureFixture[str]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def photo(folder: Path, name: str, content: str | None = None) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content or name)
    return file


def hashed(path: Path, content: str) -> Confirmation:
    """What a client says that has sent the photo's bytes."""
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    return Confirmation(PhotoKey(f"sha256:{sha256}"), "fluke", "VERGIL", np.ones(2), "m1", str(path))


def paths(catalogue: SqlCatalogue) -> dict[str, str]:
    """Source keys (the first letters) and paths of all annotations."""
    return {entry.path: entry.source_key for entry in catalogue.annotations(AnnotationFilter()).entries}


def relocate(url: str, *arguments: str) -> int:
    return main(["--catalogue-url", url, "relocate", *arguments])


def test_photos_are_found_by_name_and_by_hash_and_the_others_are_listed(
    url: str, tmp_path: Path, capsys: Captured
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    photo(new, "a.jpg")
    photo(new, "2019/renamed.jpg", "b")
    photo(new, "c.jpg", "another photo than c")
    catalogue = open_catalogue(url)
    words = [hashed(old / "b.jpg", "b"), hashed(old / "c.jpg", "c"), word(str(old / "gone.jpg")), word("/elsewhere/x")]
    confirm(catalogue, [word(str(old / "a.jpg")), *words])
    before = paths(catalogue)
    assert relocate(url, str(old), str(new), "--json") == 3
    planned = json.loads(capsys.readouterr().out)
    assert planned["missing"] == [str(old / "gone.jpg")]
    assert planned["differing"] == [str(old / "c.jpg")]
    assert set(planned["paths"].values()) == {str(new / "a.jpg"), str(new / "2019/renamed.jpg")}
    assert paths(catalogue) == before, "nothing is changed without --apply"
    assert relocate(url, str(old), str(new), "--apply") == 3
    assert "2 annotations are relocated by version 2; 2 photos are left" in capsys.readouterr().out
    assert paths(catalogue) == {
        str(new / "a.jpg"): f"path:{new / 'a.jpg'}",
        str(new / "2019/renamed.jpg"): before[str(old / "b.jpg")],
        **{path: before[path] for path in (str(old / "c.jpg"), str(old / "gone.jpg"), "/elsewhere/x")},
    }
    (event, _) = catalogue.history(HistoryFilter()).entries
    assert (event.kind, event.actor, event.reason) == ("relocate", OPERATOR, f"relocate {old} {new}")
    assert catalogue.differences_from_log() == []
    catalogue.close()


def test_a_photo_that_moved_is_confirmed_by_its_new_path_as_the_same_one(url: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    photo(new, "a.jpg")
    catalogue = open_catalogue(url)
    confirm(catalogue, [word(str(old / "a.jpg"))])
    seen = catalogue.head()
    assert relocate(url, str(old), str(new), "--apply") == 0
    (row,) = catalogue.changes_since(seen).added
    assert row.key == PhotoKey(f"path:{new / 'a.jpg'}"), "galleries follow"
    confirm(catalogue, [word(str(new / "a.jpg"), "VERGIL")])
    (entry,) = catalogue.annotations(AnnotationFilter()).entries
    assert entry.name == "VERGIL"
    catalogue.close()


def test_it_is_undone_as_a_whole(url: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    photo(new, "a.jpg")
    photo(new, "b.jpg", "b")
    catalogue = open_catalogue(url)
    confirm(catalogue, [word(str(old / "a.jpg")), hashed(old / "b.jpg", "b")])
    before = paths(catalogue)
    assert relocate(url, str(old), str(new), "--apply") == 0
    catalogue.change(Undo(2), LOCAL_USER)
    assert paths(catalogue) == before
    assert {row.key.photo for row in catalogue.changes_since(EMPTY).added} == set(before.values())
    assert catalogue.differences_from_log() == []
    catalogue.close()


@pytest.fixture
def catalogue(tmp_path: Path) -> SqlCatalogue:
    return open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite'}")


def entries(catalogue: SqlCatalogue) -> tuple[AnnotationEntry, ...]:
    return catalogue.annotations(AnnotationFilter()).entries


def test_folders_that_only_clients_see_are_believed_when_told(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [word("C:\\Photos\\2019\\a.jpg"), word("C:\\Photos2\\b.jpg")])
    with pytest.raises(ChangeRefusedError, match=r"no folder of this machine.*--unseen"):
        Relocation("c:\\photos", "D:\\Whales", str)
    plan = Relocation("c:\\photos", "D:\\Whales", str, unseen=True).plan(entries(catalogue))
    assert (list(plan.paths.values()), plan.missing) == (["D:\\Whales\\2019\\a.jpg"], [])
    plan = Relocation("C:\\Photos", "/mnt/whales", str, unseen=True).plan(entries(catalogue))
    assert list(plan.paths.values()) == ["/mnt/whales/2019/a.jpg"]


def test_files_are_looked_at_where_the_path_map_says(catalogue: SqlCatalogue, tmp_path: Path) -> None:
    confirm(catalogue, [word("C:\\Photos\\a.jpg"), word("C:\\Photos\\b.jpg")])
    photo(tmp_path / "whales", "a.jpg")
    served = {"D:\\Whales": str(tmp_path / "whales"), "D:\\Whales\\a.jpg": str(tmp_path / "whales" / "a.jpg")}
    plan = Relocation("C:\\Photos", "D:\\Whales", lambda path: served.get(path, path)).plan(entries(catalogue))
    assert (list(plan.paths.values()), plan.missing) == (["D:\\Whales\\a.jpg"], ["C:\\Photos\\b.jpg"])


def test_a_copy_whose_original_is_still_there_is_compared_with_it(catalogue: SqlCatalogue, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    confirm(catalogue, [word(str(photo(old, "a.jpg", "a"))), word(str(photo(old, "b.jpg", "b")))])
    photo(new, "a.jpg", "another")
    photo(new, "moved/b.jpg", "b")
    plan = Relocation(str(old), str(new), str).plan(entries(catalogue))
    assert plan.differing == [str(old / "a.jpg")]
    assert list(plan.paths.values()) == [str(new / "moved/b.jpg")]


def test_a_path_that_another_annotation_has_is_refused(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [word("/old/a"), word("/new/a", "VERGIL"), word("/old/b")])
    one, _, other = (entry.id for entry in entries(catalogue))
    with pytest.raises(ChangeRefusedError, match="/new/a: the catalogue has another annotation"):
        catalogue.change(Relocate({one: "/new/a"}), OPERATOR)
    with pytest.raises(ChangeRefusedError, match="/new/c: the catalogue has another annotation"):
        catalogue.change(Relocate({one: "/new/c", other: "/new/c"}), OPERATOR)
    assert catalogue.head().version == 1


def test_two_photos_may_change_places_and_the_same_path_changes_nothing(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [word("/a"), word("/b", "VERGIL")])
    one, other = (entry.id for entry in entries(catalogue))
    assert catalogue.change(Relocate({one: "/a", other: "/b"}), OPERATOR).head.version == 1
    catalogue.change(Relocate({one: "/b", other: "/a"}), OPERATOR)
    assert {entry.path: entry.name for entry in entries(catalogue)} == {"/b": "DANTE", "/a": "VERGIL"}


def test_what_changed_since_it_was_planned_is_not_overwritten(catalogue: SqlCatalogue) -> None:
    confirm(catalogue, [word("/a")])
    (entry,) = entries(catalogue)
    known = catalogue.head()
    catalogue.change(Relocate({entry.id: "/b"}), OPERATOR)
    with pytest.raises(ChangedSinceError):
        catalogue.change(Relocate({entry.id: "/c"}), OPERATOR, known=known)

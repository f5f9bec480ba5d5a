"""Finding photos in files and folders, and reading the folder that `enroll` takes."""

import os
import unicodedata
from pathlib import Path

import pytest

from pipeline.client import find_photos, photos
from pipeline.client.enrolment import read_enrolment
from pipeline.client.errors import FolderLayoutError
from pipeline.client.photos import absolute
from pipeline.photos import camera_raw


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names_in(folder: Path, photos: tuple[str, ...]) -> list[str]:
    return [str(Path(photo).relative_to(folder)) for photo in photos]


def test_folders_are_searched_recursively_and_sorted(tmp_path: Path) -> None:
    make_files(
        tmp_path, "b.JPG", "a.jpeg", "trip/2.HEIC", "trip/1.png", "trip/deep/x.webp", "c.tif", "d.tiff", "e.heif"
    )
    assert names_in(tmp_path, find_photos([tmp_path]).photos) == [
        "a.jpeg",
        "b.JPG",
        "c.tif",
        "d.tiff",
        "e.heif",
        "trip/1.png",
        "trip/2.HEIC",
        "trip/deep/x.webp",
    ]


def test_other_files_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg", "._a.jpg", ".hidden.jpg", ".thumbnails/a.jpg", "notes.txt", "film.mp4", "noending")
    assert names_in(tmp_path, find_photos([tmp_path]).photos) == ["a.jpg"]


def test_camera_raws_in_folders_are_left_out_and_named(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg", "a.CR2", "b.nef")
    found = find_photos([tmp_path])
    assert names_in(tmp_path, found.photos) == ["a.jpg"]
    assert names_in(tmp_path, found.raws) == ["a.CR2", "b.nef"]


def test_folders_leave_out_and_name_every_camera_raw_that_the_service_refuses(tmp_path: Path) -> None:
    names = [f"photo{suffix}" for suffix in sorted(camera_raw.RAW_SUFFIXES)]
    make_files(tmp_path, *names)
    assert names_in(tmp_path, find_photos([tmp_path]).raws) == names


def test_the_client_calls_raw_what_the_service_does() -> None:
    assert photos.RAW_SUFFIXES == camera_raw.RAW_SUFFIXES


def test_a_file_named_by_itself_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    make_files(tmp_path, "scan", ".hidden.jpg", "a.CR2")
    found = find_photos([tmp_path / name for name in ("scan", ".hidden.jpg", "a.CR2")])
    assert names_in(tmp_path, found.photos) == ["scan", ".hidden.jpg", "a.CR2"]


def test_the_order_given_is_kept_and_repetitions_are_not(tmp_path: Path) -> None:
    make_files(tmp_path, "z/1.jpg", "a/1.jpg", "a/2.jpg")
    found = find_photos([tmp_path / "z", tmp_path / "a" / "2.jpg", tmp_path / "a"])
    assert names_in(tmp_path, found.photos) == ["z/1.jpg", "a/2.jpg", "a/1.jpg"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert names_in(tmp_path, find_photos([tmp_path]).photos) == ["a/1.jpg"]


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "open/1.jpg", "locked/2.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_photos([tmp_path])
    assert names_in(tmp_path, found.photos) == ["open/1.jpg"]
    assert "Permission denied" in found.failures[0][1].message


@pytest.mark.parametrize(
    "path", [r"C:\Photos\a.jpg", r"\\nas\photos\a.jpg", "C:/Photos/a.jpg", "/not/on/this/machine.jpg"]
)
def test_paths_that_only_the_server_knows_stay_as_they_are(path: str) -> None:
    assert absolute(path) == path
    assert find_photos([path]).photos == (path,)


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path, "trip/a.jpg")
    assert absolute("trip/a.jpg") == str(tmp_path / "trip" / "a.jpg")
    assert absolute("missing.jpg") == str(tmp_path / "missing.jpg")
    assert find_photos(["trip"]).photos == (str(tmp_path / "trip" / "a.jpg"),)


def test_sub_folders_are_individuals(tmp_path: Path) -> None:
    make_files(tmp_path, "NOVA/1.jpg", "NOVA/2.jpg", " Crux /3.jpg", "readme.txt", ".git/x.jpg")
    enrolment = read_enrolment(tmp_path)
    assert enrolment.identities == {
        str(tmp_path / " Crux " / "3.jpg"): "Crux",
        str(tmp_path / "NOVA" / "1.jpg"): "NOVA",
        str(tmp_path / "NOVA" / "2.jpg"): "NOVA",
    }


def test_names_are_brought_into_the_form_they_are_stored_in(tmp_path: Path) -> None:
    make_files(tmp_path, unicodedata.normalize("NFD", "Zoë") + "/1.jpg")
    assert list(read_enrolment(tmp_path).identities.values()) == [unicodedata.normalize("NFC", "Zoë")]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["NOVA/1.jpg", "loose.jpg"], "loose.jpg"),
        (["1.jpg"], "no sub-folders"),
        (["NOVA/1.jpg", "empty/notes.txt"], "empty holds no photos"),
        (["fluke/NOVA/1.jpg", "fluke/CRUX/1.jpg"], "did you mean to enroll"),
        (["NOVA/1.jpg", "NOVA/2019/2.jpg"], "NOVA has sub-folders"),
        (["Unknown/1.jpg"], '"Unknown" cannot be the name'),
        (["Nova/1.jpg", "NOVA/1.jpg"], "NOVA and Nova differ too little"),
        (["OldTom/1.jpg", "Old Tom/1.jpg"], "Old Tom and OldTom differ too little"),
        (["NOVA/1.jpg", "ＮＯＶＡ/1.jpg"], "NOVA and ＮＯＶＡ differ too little"),
        (["NOVA/1.jpg", "NO\u200bVA/1.jpg"], "only in case, white space, width or invisible characters"),
        (["  /1.jpg"], "cannot be the name"),
    ],
)
def test_other_layouts_are_refused_with_what_is_wrong(tmp_path: Path, files: list[str], said: str) -> None:
    make_files(tmp_path, *files)
    with pytest.raises(FolderLayoutError, match="one sub-folder an individual") as caught:
        read_enrolment(tmp_path)
    assert said in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    make_files(tmp_path, "loose.jpg", "unknown/1.jpg", "empty/x.txt", "NOVA/a/1.jpg")
    with pytest.raises(FolderLayoutError) as caught:
        read_enrolment(tmp_path)
    assert [word in str(caught.value) for word in ("loose.jpg", "unknown", "empty", "NOVA")] == [True] * 4


@pytest.mark.parametrize("name", ["missing", "file.jpg"])
def test_what_is_no_folder_cannot_be_enrolled(tmp_path: Path, name: str) -> None:
    make_files(tmp_path, "file.jpg")
    with pytest.raises(FolderLayoutError, match="not a folder"):
        read_enrolment(tmp_path / name)

"""A client's paths become the server's: longest prefix, whole folder names, Windows' ideas of case and separators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.photos.path_map import PathMap, is_windows_path

PREFIXES = {
    r"C:\Photos": "/mnt/c/Photos",
    r"C:\Photos\2023": "/archive/2023",
    "D:\\": "/mnt/d",
    r"\\nas\whales": "/mnt/nas",
    "/Volumes/Photos": "/srv/photos",
}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (r"C:\Photos\a.jpg", "/mnt/c/Photos/a.jpg"),
        (r"c:\photos\Trip 1\A.JPG", "/mnt/c/Photos/Trip 1/A.JPG"),
        ("C:/Photos/a.jpg", "/mnt/c/Photos/a.jpg"),
        (r"C:\Photos/Trip\\a.jpg", "/mnt/c/Photos/Trip/a.jpg"),
        (r"C:\Photos\2023\a.jpg", "/archive/2023/a.jpg"),
        (r"C:\Photos\20231\a.jpg", "/mnt/c/Photos/20231/a.jpg"),
        (r"C:\Photos", "/mnt/c/Photos"),
        (r"D:\Açores\ballena ñ.jpg", "/mnt/d/Açores/ballena ñ.jpg"),
        (r"\\NAS\Whales\a.jpg", "/mnt/nas/a.jpg"),
        (r"\\?\C:\Photos\a.jpg", "/mnt/c/Photos/a.jpg"),
        (r"\\?\UNC\nas\whales\a.jpg", "/mnt/nas/a.jpg"),
        ("/Volumes/Photos/a.jpg", "/srv/photos/a.jpg"),
        ("/Volumes/Photos//Trip/a.jpg", "/srv/photos/Trip/a.jpg"),
    ],
)
def test_path_under_a_prefix_is_translated(sent: str, expected: str) -> None:
    assert PathMap(PREFIXES).server_path(sent) == expected


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Photos2\a.jpg",
        r"C:\Other\a.jpg",
        r"E:\a.jpg",
        r"\\nas\dolphins\a.jpg",
        "/Volumes/Photos2/a.jpg",
        "/volumes/photos/a.jpg",
        "photos/a.jpg",
        "",
    ],
)
def test_other_paths_stay_as_they_are(path: str) -> None:
    assert PathMap(PREFIXES).server_path(path) == path


def test_a_prefix_may_end_in_a_separator() -> None:
    assert PathMap({"C:\\Photos\\": "/p/"}).server_path(r"C:\Photos\a.jpg") == "/p/a.jpg"


@pytest.mark.parametrize(
    ("path", "expected"),
    [(r"C:\a", True), ("z:/a", True), (r"\\nas\a", True), ("/c/a", False), ("C:a", False), ("CC:\\a", False)],
)
def test_windows_paths_are_told_from_others(path: str, expected: bool) -> None:
    assert is_windows_path(path) is expected


@given(st.text(max_size=40))
def test_without_prefixes_every_path_stays_as_it_is(path: str) -> None:
    assert PathMap({}).server_path(path) == path


@pytest.mark.timeout(20)
def test_a_path_of_very_many_folders_is_no_more_work_than_its_length() -> None:
    path = "/Volumes/Photos/" + "x/" * 64_000 + "a.jpg"
    assert PathMap(PREFIXES).server_path(path).startswith("/srv/photos/x/x/")

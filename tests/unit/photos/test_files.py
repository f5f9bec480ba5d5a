"""Only photos that a client may name are opened; everything else has its own outcome and nothing hangs."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import (
    ItemError,
    OutsideRootsError,
    PhotoNotFoundError,
    PhotoTooLargeError,
    UnreadablePhotoError,
    UnsupportedPhotoError,
)
from pipeline.photos import files as photo_files
from pipeline.photos.files import PhotoFiles
from pipeline.photos.path_map import PathMap
from pipeline.records import PathSource, StoredUpload, UploadSource
from pipeline.settings import Limits, Settings

NOBODY = 65534


def local(path: Path | str) -> PathSource:
    return PathSource(str(path), local_peer=True)


def remote(path: Path | str) -> PathSource:
    return PathSource(str(path), local_peer=False)


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A folder that may be read, with a photo; beside it is one that may not, with a secret."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"whale")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return tmp_path / "photos"


def refused(files: PhotoFiles, source: PathSource, error: type[ItemError], reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        files.read(source)
    name = source.path or "(no name)"
    assert caught.value.message.startswith(name if len(name) <= 300 and name.isprintable() else name[:5])


@pytest.mark.parametrize(
    "name", ["a.jpg", "a b.jpg", "walýß.jpg", "鯨.jpg", "e\u0301.jpg", "'\"$x;.jpg", "\U0001f40b.jpg"]
)
def test_file_of_any_name_is_read_whole(tmp_path: Path, name: str) -> None:
    content = os.urandom(100_000)
    (tmp_path / name).write_bytes(content)
    assert PhotoFiles().read(local(tmp_path / name)) == content


def test_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(b"x")
    assert PhotoFiles().read(local(os.fsdecode(name))) == b"x"


def test_relative_path_counts_from_the_working_directory(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(roots)
    assert PhotoFiles().read(local("a.jpg")) == b"whale"
    assert PhotoFiles([roots]).read(local("./a.jpg")) == b"whale"
    refused(PhotoFiles([roots]), local("../secret.jpg"), OutsideRootsError, "outside the folders")


# --- what is no photo ------------------------------------------------------------------------------------------------


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    refused(PhotoFiles(), local(tmp_path / "gone.jpg"), PhotoNotFoundError, "no such file on the server")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "is not a path"),
        ("/tmp/a\0.jpg", "is not a path"),
        ("/tmp/\ud800.jpg", "could have"),
        ("/tmp/" + "x" * 300, "too long"),
        ("/tmp/" + "x/" * 5000, "too long"),
    ],
)
def test_path_that_no_file_has_is_not_found(path: str, reason: str) -> None:
    refused(PhotoFiles(), local(path), PhotoNotFoundError, reason)


@pytest.mark.parametrize(
    "path", ["/" + "x/" * 2048, "/" + "\u00e9" * 2048, "C:\\" + "x\\" * 100_000, "/" + "\U0001f40b" * 1024]
)
def test_path_longer_than_any_path_is_refused_before_anything_looks_at_it(
    roots: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    files = PhotoFiles([roots], {"/x": "/y"})

    def look(*_: object) -> str:
        raise AssertionError("looked at")

    monkeypatch.setattr(os.path, "realpath", look)
    monkeypatch.setattr(PathMap, "server_path", look)
    refused(files, local(path), PhotoNotFoundError, "the path is too long")


def test_path_of_exactly_the_longest_length_is_looked_at() -> None:
    refused(PhotoFiles(), local("/" + "x/" * 2047), PhotoNotFoundError, "no such file on the server; check")


def test_link_replaced_while_it_is_followed_makes_the_photo_unreadable(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (roots / "link.jpg").symlink_to("a.jpg")

    def replaced(*_: object, **__: object) -> str:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "readlink", replaced)
    refused(PhotoFiles([roots]), local(roots / "link.jpg"), UnreadablePhotoError, "try again")


def test_file_in_the_place_of_a_folder_is_not_found(roots: Path) -> None:
    refused(PhotoFiles(), local(roots / "a.jpg" / "b.jpg"), PhotoNotFoundError, "part of the path is a file")


def test_links_in_a_circle_are_not_found(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    refused(PhotoFiles(), local(tmp_path / "a"), PhotoNotFoundError, "in a circle")


def test_link_to_nothing_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    refused(PhotoFiles(), local(tmp_path / "a.jpg"), PhotoNotFoundError, "no such file")


def test_folder_is_unsupported(tmp_path: Path) -> None:
    refused(PhotoFiles(), local(tmp_path), UnsupportedPhotoError, "is a folder")


@pytest.mark.timeout(20)
def test_pipe_is_unsupported_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    refused(PhotoFiles(), local(tmp_path / "a.jpg"), UnsupportedPhotoError, "is a device, pipe or socket")


@pytest.mark.timeout(20)
def test_pipe_put_in_the_photos_place_does_not_hang(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = roots / "a.jpg"

    def swap() -> None:
        photo.unlink()
        os.mkfifo(photo)

    before_opening(monkeypatch, swap)
    refused(PhotoFiles(), local(photo), UnsupportedPhotoError, "is a device, pipe or socket")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_device_is_unsupported(device: str) -> None:
    if not Path(device).exists():
        pytest.skip(f"no {device} here")
    refused(PhotoFiles(), local(device), UnsupportedPhotoError, "is a device, pipe or socket")


def test_socket_is_unsupported() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s.jpg")
        refused(PhotoFiles(), local(f"{folder}/s.jpg"), UnsupportedPhotoError, "is a device, pipe or socket")


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Root may read everything, so tests that run as root step down."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked_photo() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        photo = Path(folder) / "a.jpg"
        photo.write_bytes(b"whale")
        photo.chmod(0)
        yield photo


def test_file_without_permission_is_unreadable(locked_photo: Path, as_nobody: None) -> None:
    refused(PhotoFiles(), local(locked_photo), UnreadablePhotoError, "no permission")


def test_disk_that_fails_makes_the_photo_unreadable(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    before_opening(monkeypatch, fail)
    refused(PhotoFiles(), local(roots / "a.jpg"), UnreadablePhotoError, "Input/output error")


# --- size ------------------------------------------------------------------------------------------------------------


def test_size_limit_counts_for_files_and_uploads_alike(tmp_path: Path) -> None:
    files = PhotoFiles(max_bytes=1000)
    (tmp_path / "at.jpg").write_bytes(b"x" * 1000)
    (tmp_path / "above.jpg").write_bytes(b"x" * 1001)
    assert len(files.read(local(tmp_path / "at.jpg"))) == 1000
    assert len(files.read(UploadSource("at.jpg", b"x" * 1000))) == 1000
    refused(files, local(tmp_path / "above.jpg"), PhotoTooLargeError, "limit is 0.0 MB")
    with pytest.raises(PhotoTooLargeError, match=r"above\.jpg"):
        files.read(UploadSource("above.jpg", b"x" * 1001))


def test_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**40)
    refused(PhotoFiles(), local(tmp_path / "huge.jpg"), PhotoTooLargeError, r"1099511\.6 MB \(the limit is 67\.1 MB\)")


# --- roots -----------------------------------------------------------------------------------------------------------


def test_without_roots_any_path_is_for_local_peers_only(roots: Path) -> None:
    assert PhotoFiles().read(local(roots / "a.jpg")) == b"whale"
    refused(PhotoFiles(), remote(roots / "a.jpg"), OutsideRootsError, "upload the photo")


def test_with_roots_local_and_remote_peers_read_the_same(roots: Path) -> None:
    files = PhotoFiles([roots])
    for source in (local, remote):
        assert files.read(source(roots / "a.jpg")) == b"whale"
        refused(files, source(roots.parent / "secret.jpg"), OutsideRootsError, "outside the folders")
        refused(files, source(roots / ".." / "secret.jpg"), OutsideRootsError, "outside the folders")


def test_folder_whose_name_only_begins_like_a_root_is_outside(roots: Path) -> None:
    other = roots.with_name("photos-private")
    other.mkdir()
    (other / "a.jpg").write_bytes(b"x")
    refused(PhotoFiles([roots]), local(other / "a.jpg"), OutsideRootsError, "outside the folders")


def test_outside_the_roots_nothing_tells_what_exists(roots: Path) -> None:
    refused(PhotoFiles([roots]), local(roots.parent / "gone.jpg"), OutsideRootsError, "outside the folders")


def test_links_are_followed_only_inside_the_roots(roots: Path) -> None:
    (roots / "inside.jpg").symlink_to(roots / "a.jpg")
    (roots / "out.jpg").symlink_to(roots.parent / "secret.jpg")
    (roots / "up").symlink_to(roots.parent)
    files = PhotoFiles([roots])
    assert files.read(local(roots / "inside.jpg")) == b"whale"
    refused(files, local(roots / "out.jpg"), OutsideRootsError, "outside the folders")
    refused(files, local(roots / "up" / "secret.jpg"), OutsideRootsError, "outside the folders")


def test_root_may_itself_be_a_link(roots: Path) -> None:
    link = roots.with_name("link")
    link.symlink_to(roots)
    assert PhotoFiles([link]).read(local(link / "a.jpg")) == b"whale"


def before_opening(monkeypatch: pytest.MonkeyPatch, step: Callable[[], None]) -> None:
    """Do something between the check of a path and its opening."""
    really_open = os.open

    def opening(path: str, flags: int, *args: int, **options: int) -> int:
        monkeypatch.setattr(os, "open", really_open)
        step()
        return really_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", opening)


@pytest.mark.parametrize("descriptors", ["/proc/self/fd", "/nonexistent"])
def test_link_put_in_the_photos_place_leads_nowhere(
    roots: Path, monkeypatch: pytest.MonkeyPatch, descriptors: str
) -> None:
    photo = roots / "a.jpg"

    def swap() -> None:
        photo.unlink()
        photo.symlink_to(roots.parent / "secret.jpg")

    monkeypatch.setattr(photo_files, "OPEN_DESCRIPTORS", Path(descriptors))
    before_opening(monkeypatch, swap)
    refused(PhotoFiles([roots]), local(photo), OutsideRootsError, "outside the folders")


def test_without_proc_photos_in_the_roots_are_read(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_files, "OPEN_DESCRIPTORS", Path("/nonexistent"))
    assert PhotoFiles([roots]).read(local(roots / "a.jpg")) == b"whale"


def test_uploads_only_refuses_every_path_and_takes_uploads(roots: Path) -> None:
    files = PhotoFiles([roots], uploads_only=True)
    refused(files, local(roots / "a.jpg"), OutsideRootsError, "upload the photo")
    assert files.read(UploadSource("../a.jpg", b"whale")) == b"whale"
    assert files.read(StoredUpload("../a.jpg", lambda: b"whale")) == b"whale"


# --- paths of other machines -----------------------------------------------------------------------------------------


def test_windows_path_is_translated_and_then_checked(roots: Path) -> None:
    files = PhotoFiles([roots], {r"C:\Photos": str(roots)})
    assert files.read(local(r"c:\photos\a.jpg")) == b"whale"
    refused(files, local(r"C:\Photos\..\secret.jpg"), OutsideRootsError, "outside the folders")
    refused(files, local(r"C:\Photos\gone.jpg"), PhotoNotFoundError, "no such file")


@pytest.mark.parametrize("path", [r"C:\Photos\a.jpg", "D:/a.jpg", r"\\nas\whales\a.jpg"])
def test_windows_path_without_translation_says_what_to_set(path: str) -> None:
    refused(PhotoFiles(), local(path), PhotoNotFoundError, "path_map")


def test_rules_come_from_the_settings(roots: Path) -> None:
    settings = Settings(photo_roots=(roots,), path_map={"/client": str(roots)}, limits=Limits(max_photo_bytes=5))
    files = PhotoFiles.from_settings(settings)
    assert files.read(remote("/client/a.jpg")) == b"whale"
    (roots / "b.jpg").write_bytes(b"whales")
    refused(files, remote("/client/b.jpg"), PhotoTooLargeError, "limit")

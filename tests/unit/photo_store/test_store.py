"""Photos are in the store whole or not at all, whatever fails, and never in another database's."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    HashMismatchError,
    PhotoNotFoundError,
    PhotoTooLargeError,
    SettingsError,
    StorageFullError,
    UnavailableError,
    WhaleVisionError,
)
from pipeline.photo_store.files import LEFT_OVER_S
from pipeline.photo_store.store import PhotoStore

DATABASE = "d" * 32
PHOTO = b"a photo's bytes" * 1000
SHA256 = hashlib.sha256(PHOTO).hexdigest()
ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/photos of whales" if request.param == "file" else f"memory://{tmp_path}"


@pytest.fixture
def store(url: str) -> PhotoStore:
    PhotoStore(url).write_marker(DATABASE)
    return PhotoStore(url, DATABASE)


def put(store: PhotoStore, content: bytes = PHOTO, sha256: str | None = None) -> None:
    """Take a photo in as the service does: whatever fails, it is discarded in the end."""
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    incoming = store.receive()
    try:
        for start in range(0, len(content), 1000):
            incoming.write(content[start : start + 1000])
        incoming.close(sha256)
        incoming.keep(sha256)
    finally:
        incoming.discard()


def files_below(url: str) -> set[str]:
    files, root = fsspec.core.url_to_fs(url)
    files.invalidate_cache()
    return {place.removeprefix(root).lstrip("/") for place in files.find(root)}


def test_a_photo_is_kept_as_it_came(store: PhotoStore, url: str) -> None:
    assert not store.has(SHA256)
    put(store)
    assert store.has(SHA256)
    assert store.read(SHA256, 10**6) == PHOTO
    assert files_below(url) == {"store.json", f"photos/{SHA256[:2]}/{SHA256}"}


def test_the_same_photo_twice_is_one(store: PhotoStore, url: str) -> None:
    put(store)
    put(store)
    assert files_below(url) == {"store.json", f"photos/{SHA256[:2]}/{SHA256}"}


@given(content=st.binary(max_size=3000))
def test_whatever_the_bytes_are_they_come_back(content: bytes) -> None:
    store = PhotoStore("memory://anything", DATABASE)
    if store.read_marker() is None:
        store.write_marker(DATABASE)
    put(store, content)
    assert store.read(hashlib.sha256(content).hexdigest(), 3000) == content


def test_two_clients_that_send_the_same_photo_at_once_both_succeed(store: PhotoStore, url: str) -> None:
    incomings = [store.receive(), store.receive()]
    for incoming in incomings:
        incoming.write(PHOTO)
        incoming.close(SHA256)
    for incoming in incomings:
        incoming.keep(SHA256)
        incoming.discard()
    assert store.read(SHA256, 10**6) == PHOTO
    assert files_below(url) == {"store.json", f"photos/{SHA256[:2]}/{SHA256}"}


def test_a_photo_that_is_sent_again_replaces_a_file_that_is_damaged(store: PhotoStore) -> None:
    store.put(SHA256, PHOTO[:-1] + b"?")
    with pytest.raises(UnavailableError, match="damaged"):
        store.read(SHA256, 10**6)
    put(store)
    assert store.read(SHA256, 10**6) == PHOTO


def test_many_at_once_leave_one_whole_photo(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    PhotoStore(url).write_marker(DATABASE)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: put(PhotoStore(url, DATABASE)), range(40)))
    assert files_below(url) == {"store.json", f"photos/{SHA256[:2]}/{SHA256}"}


def test_other_bytes_than_the_hash_says_are_refused_and_leave_nothing(store: PhotoStore, url: str) -> None:
    with pytest.raises(HashMismatchError, match=SHA256):
        put(store, b"others", SHA256)
    assert files_below(url) == {"store.json"}
    with pytest.raises(PhotoNotFoundError):
        store.read(SHA256, 10**6)


def test_what_is_on_its_way_can_be_read_by_its_name_and_is_not_a_photo_yet(store: PhotoStore) -> None:
    incoming = store.receive()
    incoming.write(PHOTO)
    incoming.close(SHA256)
    assert store.read_incoming(incoming.name) == PHOTO
    assert not store.has(SHA256)
    incoming.discard()
    with pytest.raises(UnavailableError, match="lost on its way"):
        store.read_incoming(incoming.name)


def test_a_photo_that_changed_on_disk_is_not_handed_out(store: PhotoStore, url: str) -> None:
    put(store)
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/photos/{SHA256[:2]}/{SHA256}", b"rotten")
    with pytest.raises(UnavailableError, match="damaged"):
        store.read(SHA256, 10**6)


def test_a_photo_above_the_limit_is_not_read(store: PhotoStore) -> None:
    put(store)
    with pytest.raises(PhotoTooLargeError, match="max_photo_bytes"):
        store.read(SHA256, len(PHOTO) - 1)


def test_derived_pictures_are_kept_and_may_go(store: PhotoStore, url: str) -> None:
    assert store.read_derived(SHA256, "w160.jpg") is None
    store.write_derived(SHA256, "w160.jpg", b"jpeg")
    assert store.read_derived(SHA256, "w160.jpg") == b"jpeg"
    files, root = fsspec.core.url_to_fs(url)
    files.rm(f"{root}/derived", recursive=True)
    assert store.read_derived(SHA256, "w160.jpg") is None


@pytest.mark.parametrize("found", [None, "other"])
def test_nothing_goes_into_a_store_that_is_not_there_or_another_databases(url: str, found: str | None) -> None:
    if found is not None:
        PhotoStore(url).write_marker(found)
    store = PhotoStore(url, DATABASE)
    for use in (store.receive, lambda: store.has(SHA256), lambda: store.read(SHA256, 10**6)):
        with pytest.raises(UnavailableError, match="not mounted" if found is None else "another catalogue"):
            use()
    assert files_below(url) == ({"store.json"} if found else set())


def test_a_damaged_marker_is_an_error_that_names_it(url: str) -> None:
    PhotoStore(url).write_marker(DATABASE)
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/store.json", b"{")
    with pytest.raises(UnavailableError, match=r"store\.json"):
        PhotoStore(url).read_marker()


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, StorageFullError), (errno.EIO, UnavailableError)])
def test_a_disk_that_fails_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[WhaleVisionError]
) -> None:
    url = f"file://{tmp_path}"
    PhotoStore(url).write_marker(DATABASE)
    store = PhotoStore(url, DATABASE)

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(expected):
        put(store)
    monkeypatch.undo()
    assert files_below(url) == {"store.json"}
    put(store)
    assert store.has(SHA256)


def test_what_a_file_systems_library_raises_is_an_outcome(store: PhotoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class EndpointConnectionError(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError("no route to the object store, secret address")

    monkeypatch.setattr(type(fsspec.core.url_to_fs("memory://")[0]), "cat_file", fail)
    monkeypatch.setattr(type(fsspec.core.url_to_fs("file:///")[0]), "cat_file", fail)
    with pytest.raises(UnavailableError, match="could not be read") as raised:
        store.receive()
    assert "secret" not in raised.value.message


def test_leftovers_of_killed_processes_are_cleaned_and_others_uploads_are_not(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    PhotoStore(url).write_marker(DATABASE)
    store = PhotoStore(url, DATABASE)
    old, running = store.receive(), store.receive()
    for incoming in (old, running):
        incoming.write(PHOTO)
    long_ago_s = time.time() - LEFT_OVER_S - 60
    os.utime(tmp_path / "incoming" / old.name, (long_ago_s, long_ago_s))
    assert store.clean() == 1
    assert {file.name for file in (tmp_path / "incoming").iterdir()} == {running.name}
    running.close(SHA256)
    running.keep(SHA256)
    assert store.read(SHA256, 10**6) == PHOTO


def test_a_store_that_was_never_made_has_nothing_to_clean(url: str) -> None:
    assert PhotoStore(url).clean() == 0
    assert PhotoStore(url).is_empty()
    assert PhotoStore(url).read_marker() is None


WRITER = """
import hashlib, os, sys
from pipeline.photo_store.store import PhotoStore
store = PhotoStore(sys.argv[1], "d" * 32)
for number in range(10**6):
    content = os.urandom(200_000)
    sha256 = hashlib.sha256(content).hexdigest()
    incoming = store.receive()
    for start in range(0, len(content), 20_000):
        incoming.write(content[start:start + 20_000])
    incoming.close(sha256)
    incoming.keep(sha256)
    print(sha256, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_kill_in_the_middle_loses_no_photo_that_was_acknowledged_and_leaves_no_half_one(
    tmp_path: Path, seed: int
) -> None:
    url = f"file://{tmp_path}"
    PhotoStore(url).write_marker(DATABASE)
    command = [sys.executable, "-c", WRITER, url]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(3 + seed)]
    time.sleep(0.003 * seed)
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in writer.stdout.read().splitlines() if len(line.strip()) == 64]
    writer.wait()
    store = PhotoStore(url, DATABASE)
    for sha256 in acknowledged:
        assert store.read(sha256, 10**6)
    kept = {file.name for file in (tmp_path / "photos").rglob("*") if file.is_file()}
    assert set(acknowledged) <= kept
    for sha256 in kept:
        assert hashlib.sha256((tmp_path / "photos" / sha256[:2] / sha256).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize(("url", "named"), [("s3://bucket/photos", "s3fs"), ("bogus://x", "bogus")])
def test_a_store_that_cannot_be_used_is_named_with_what_to_do(url: str, named: str) -> None:
    if named == "s3fs":
        try:
            import s3fs  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("s3fs is installed here")
    with pytest.raises(SettingsError, match=named):
        PhotoStore(url)

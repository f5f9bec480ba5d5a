"""The client puts photos into the store and has them extracted, over real sockets."""

import asyncio
import json

import pytest

from deployments.photo_library import PhotoLibrary
from pipeline.client import (
    AccessDeniedError,
    AsyncClient,
    Client,
    ClientOptions,
    DrawnBox,
    RequestFailedError,
    ServerUnreachableError,
    StoredPhoto,
)
from pipeline.client.command_line import main
from pipeline.errors import StorageFullError, UnavailableError
from tests.integration.test_institutions import MAYA, VERA
from tests.integration.test_photo_routes import PhotoEdge, PhotoService
from tests.photos_made import camera_photo, sha256_of

FAST = ClientOptions(first_delay_s=0.01, longest_delay_s=0.05, reconnect_s=3.0)


@pytest.fixture
def edge(tmp_path):
    with PhotoEdge(tmp_path) as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "from the camera"
    folder.mkdir()
    for seed in range(5):
        (folder / f"IMG {seed}.jpg").write_bytes(camera_photo(seed=seed))
    return folder


def test_what_is_missing_is_sent_once_and_what_is_there_is_not(edge, folder):
    paths = sorted(folder.iterdir())
    steps = []
    with Client(edge.url, options=FAST) as client:
        first = client.upload_photos(paths[:3], catalogue="default", on_progress=steps.append)
        again = client.upload_photos(paths, catalogue="default")
    assert [photo.sha256 for photo in again] == [sha256_of(path.read_bytes()) for path in paths]
    assert [photo.was_there for photo in first + again] == [False] * 3 + [True] * 3 + [False] * 2
    assert [(step.stage, step.done, step.total) for step in steps] == [("sending", n, 3) for n in (1, 2, 3)]
    assert edge.stored.find("default", again[0].sha256).name == "IMG 0.jpg"


def test_a_photo_that_cannot_be_taken_is_told_and_the_others_are_taken(edge, folder):
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"text")
    (folder / "raw.nef").write_bytes(camera_photo())
    names = ["empty.jpg", "text.jpg", "gone.jpg", "raw.nef", "IMG 1.jpg"]
    with Client(edge.url, options=FAST) as client:
        uploaded = client.upload_photos([folder / name for name in names], catalogue="default")
    assert [photo.error and photo.error.code for photo in uploaded] == [
        *("unreadable", "unsupported", "not_found"),
        None,  # a JPEG that is called .nef is a JPEG
        None,
    ]
    assert all(str(folder) in photo.error.message for photo in uploaded if photo.error)


def failing(monkeypatch, errors):
    """Let the first attempts to take a photo fail."""
    left, take = list(errors), PhotoLibrary.take

    async def fail(self, *arguments):
        if left:
            raise left.pop()
        return await take(self, *arguments)

    monkeypatch.setattr(PhotoLibrary, "take", fail)


def test_what_passes_by_itself_is_tried_again_and_a_full_store_is_told(edge, folder, monkeypatch):
    failing(monkeypatch, [StorageFullError("the photo store is full"), *[UnavailableError("busy")] * 3])
    with Client(edge.url, options=FAST) as client:
        (full,) = client.upload_photos([folder / "IMG 0.jpg"], catalogue="default", at_once=1)
        (taken,) = client.upload_photos([folder / "IMG 0.jpg"], catalogue="default", at_once=1)
    assert full.error.code == "storage_full"
    assert taken.error is None


def test_a_large_photo_that_is_refused_hears_why(tmp_path, folder):
    (folder / "large.jpg").write_bytes(camera_photo() + b"\0" * 20_000_000)
    with PhotoEdge(tmp_path, limits={"max_photo_bytes": 1_000_000}) as edge, Client(edge.url, options=FAST) as client:
        (large,) = client.upload_photos([folder / "large.jpg"], catalogue="default")
    assert large.error.code == "too_large"


def test_a_server_that_is_not_there_is_given_up(folder):
    options = ClientOptions(connect_s=0.3, first_delay_s=0.05)
    with Client("ws://127.0.0.1:9", options=options) as client, pytest.raises(ServerUnreachableError):
        client.upload_photos([folder / "IMG 0.jpg"], catalogue="default")


def test_photos_of_the_store_are_extracted_by_their_hash_with_what_was_drawn(edge, folder):
    paths = sorted(folder.iterdir())
    box = DrawnBox("fluke", (1.0, 2.0, 30.0, 40.0), animal=2)
    with Client(edge.url, options=FAST) as client:
        uploaded = client.upload_photos(paths[:2], catalogue="default")
        photos = [StoredPhoto(uploaded[0].sha256), StoredPhoto(uploaded[1].sha256, (box,)), StoredPhoto("0" * 64)]
        results = client.extract(photos, catalogue="default")
        with pytest.raises(ValueError, match="two calls"):
            client.extract([photos[0], "a.jpg"])
    assert [result.error and result.error.code for result in results] == [None, None, "not_found"]
    assert results[0].path == uploaded[0].sha256
    drawn = next(photo.boxes for photo in edge.extractor.photos if photo.boxes)
    assert (drawn[0].body_part, drawn[0].box_px.xyxy(), drawn[0].animal) == ("fluke", (1.0, 2.0, 30.0, 40.0), 2)


async def test_a_call_that_was_cancelled_goes_on_where_it_was(edge, folder):
    paths = sorted(folder.iterdir())
    async with AsyncClient(edge.url, options=FAST) as client:
        half = asyncio.Event()
        running = asyncio.create_task(
            client.upload_photos(paths, catalogue="default", at_once=1, on_progress=lambda _: half.set())
        )
        await half.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        uploaded = await client.upload_photos(paths, catalogue="default")
    assert uploaded[0].was_there
    assert all(photo.error is None for photo in uploaded)


def test_who_may_not_fill_a_catalogue_is_told_so_once(tmp_path, folder):
    with PhotoService(tmp_path) as service:
        with Client(service.url, token=service.tokens[MAYA], options=FAST) as maya:
            assert maya.upload_photos([folder / "IMG 0.jpg"], catalogue="azores")[0].error is None
            for catalogue in ("norway", "absent"):
                with pytest.raises(RequestFailedError) as refused:
                    maya.upload_photos(sorted(folder.iterdir()), catalogue=catalogue)
                assert refused.value.code == "no_such_catalogue"
            with pytest.raises(RequestFailedError) as refused:
                maya.upload_photos([folder / "IMG 0.jpg"])
            assert refused.value.code == "catalogue_needed"
        with Client(service.url, token=service.tokens[VERA], options=FAST) as vera:
            assert vera.upload_photos([folder / "IMG 0.jpg"], catalogue="azores")[0].was_there
            assert vera.upload_photos([folder / "IMG 0.jpg"])[0].was_there  # azores is her institution's only one
        with Client(service.url, token="wrong", options=FAST) as stranger, pytest.raises(AccessDeniedError):
            stranger.upload_photos([folder / "IMG 0.jpg"], catalogue="azores")


def test_the_command_sends_a_folder_and_says_what_became_of_it(edge, folder, capsys):
    (folder / "text.jpg").write_bytes(b"text")
    command = ["photos", "upload", str(folder), "--catalogue", "default", "--server", edge.url]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "5 photos sent, 0 were there already, 1 failed" in out
    assert "text.jpg: " in out
    assert main([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [photo["was_there"] for photo in told] == [True] * 5 + [False]
    assert main(["photos", "upload", str(folder / "nothing here"), "--catalogue", "default", "--server", edge.url]) == 1

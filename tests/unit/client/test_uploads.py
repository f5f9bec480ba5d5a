"""Uploads of the client: chunks, the window, files that cannot be sent or change meanwhile."""

import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.client import AsyncClient, ClientOptions, Progress
from pipeline.client.uploads import LocalPhoto, inspect_photo, send_photo
from tests.unit.client.scripted_server import ScriptedServer

MIB = 2**20


def quick(**changes: int) -> ClientOptions:
    return ClientOptions(connect_s=0.3, reconnect_s=2.0, first_delay_s=0.005, longest_delay_s=0.02, **changes)


@pytest.fixture
def make_photo(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def make(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


MakePhoto = Callable[[str, bytes], Path]


async def test_photos_arrive_whole(make_photo: MakePhoto) -> None:
    contents = {f"{n}.jpg": os.urandom(size) for n, size in enumerate([1, MIB - 1, MIB, MIB + 1, 3 * MIB])}
    photos = [make_photo(name, content) for name, content in contents.items()]
    async with ScriptedServer() as server, AsyncClient(server.url, options=quick()) as client:
        results = await client.extract(photos, uploads=True)
    assert server.contents == contents
    assert [(result.path, result.error) for result in results] == [(str(photo), None) for photo in photos]
    assert server.longest_binary == MIB
    assert server.requests[0]["uploads"][1] == {"name": "1.jpg", "size": MIB - 1}


async def test_no_more_than_the_window_is_unacknowledged(make_photo: MakePhoto) -> None:
    photos = [make_photo(f"{n}.jpg", bytes(7 * MIB)) for n in range(4)]
    async with ScriptedServer(hold_bytes=True) as server, AsyncClient(server.url, options=quick()) as client:
        call = asyncio.create_task(client.extract(photos, uploads=True))
        await asyncio.sleep(1.0)
        assert server.most_outstanding_bytes == 8 * MIB
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_a_cancelled_upload_leaves_the_window_open_for_the_next(make_photo: MakePhoto) -> None:
    photo = make_photo("a.jpg", bytes(1000))
    options = quick(chunk_bytes=100, window_bytes=300)
    async with ScriptedServer(hold_bytes=True) as server, AsyncClient(server.url, options=options) as client:
        call = asyncio.create_task(client.extract([photo], uploads=True))
        await asyncio.sleep(0.2)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        server.hold_bytes = False
        again = await asyncio.wait_for(client.extract([photo], uploads=True), 2.0)
        assert again[0].error is None
        assert server.cancelled == ["1"]


async def test_uploads_that_overlap_do_not_mix(make_photo: MakePhoto) -> None:
    contents = {f"{n}.jpg": os.urandom(5000) for n in range(6)}
    photos = [make_photo(name, content) for name, content in contents.items()]
    options = quick(chunk_bytes=100, window_bytes=300)
    async with ScriptedServer() as server, AsyncClient(server.url, options=options) as client:
        await asyncio.gather(*(client.extract(photos[n : n + 2], uploads=True) for n in (0, 2, 4)))
    assert server.contents == contents


async def test_paths_may_be_asked_for_while_photos_are_sent(make_photo: MakePhoto) -> None:
    photo = make_photo("a.jpg", bytes(1000))
    options = quick(chunk_bytes=100, window_bytes=300)
    async with ScriptedServer(hold_bytes=True) as server, AsyncClient(server.url, options=options) as client:
        stuck = asyncio.create_task(client.extract([photo], uploads=True))
        await asyncio.sleep(0.05)
        assert len(await client.extract(["b.jpg"])) == 1
        assert not stuck.done()
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)


async def test_skipped_photos_are_not_sent(make_photo: MakePhoto) -> None:
    photos = [make_photo(f"{n}.jpg", str(n).encode() * 10) for n in range(4)]
    script = ScriptedServer(skip={"1.jpg", "2.jpg"}, failures={"1.jpg": ["too_large"], "2.jpg": ["unsupported"]})
    async with script as server, AsyncClient(server.url, options=quick()) as client:
        results = await client.extract(photos, uploads=True)
    assert server.contents == {"0.jpg": b"0" * 10, "3.jpg": b"3" * 10}
    assert [result.error.code if result.error else None for result in results] == [
        None,
        "too_large",
        "unsupported",
        None,
    ]


async def test_what_cannot_be_sent_fails_without_the_server(make_photo: MakePhoto, tmp_path: Path) -> None:
    good, empty = make_photo("good.jpg", b"x"), make_photo("empty.jpg", b"")
    given_photos = [tmp_path / "missing.jpg", tmp_path, empty, good, good / "below.jpg"]
    async with ScriptedServer() as server, AsyncClient(server.url, options=quick()) as client:
        results = await client.extract(given_photos, uploads=True)
    assert [result.error.code if result.error else None for result in results] == [
        "not_found",
        "unsupported",
        "unreadable",
        None,
        "not_found",
    ]
    assert [upload["name"] for upload in server.requests[0]["uploads"]] == ["good.jpg"]
    assert [result.index for result in results] == [0, 1, 2, 3, 4]


async def test_nothing_that_can_be_sent_needs_no_server(tmp_path: Path) -> None:
    async with AsyncClient("ws://127.0.0.1:1", options=quick()) as client:
        (result,) = await client.extract([tmp_path / "missing.jpg"], uploads=True)
    assert result.error is not None
    assert "no such file" in result.error.message


def test_a_pipe_is_not_a_photo_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    failure = inspect_photo(tmp_path / "pipe.jpg")
    assert not isinstance(failure, LocalPhoto)
    assert failure.code == "unsupported"


async def test_a_lost_connection_sends_unanswered_photos_only(make_photo: MakePhoto) -> None:
    photos = [make_photo(f"{n}.jpg", os.urandom(50)) for n in range(5)]
    async with ScriptedServer(close_after=[(2, 1006)]) as server, AsyncClient(server.url, options=quick()) as client:
        results = await client.extract(photos, uploads=True)
    assert [result.error for result in results] == [None] * 5
    assert [upload["name"] for upload in server.requests[1]["uploads"]] == ["2.jpg", "3.jpg", "4.jpg"]


@pytest.mark.parametrize("now", [b"y" * 250, b"", b"y" * 1001, b"y" * 5000])
async def test_a_photo_that_changes_size_fails_alone(make_photo: MakePhoto, now: bytes) -> None:
    changing, after = make_photo("changing.jpg", b"x" * 1000), make_photo("after.jpg", b"z" * 1000)

    def change(progress: Progress) -> None:
        if progress.stage == "sending" and progress.done == 1:
            changing.write_bytes(now)

    first = make_photo("first.jpg", b"a" * 10)
    async with ScriptedServer() as server, AsyncClient(server.url, options=quick(chunk_bytes=100)) as client:
        results = await client.extract([first, changing, after], uploads=True, on_progress=change)
    assert [result.error.code if result.error else None for result in results] == [None, "unreadable", None]
    assert results[1].error is not None
    assert "changed while it was being sent" in results[1].error.message
    assert results[1].embedding is None
    assert server.contents["after.jpg"] == b"z" * 1000
    assert len(server.contents["changing.jpg"]) == 1000


async def test_a_photo_that_vanishes_fails_alone(make_photo: MakePhoto) -> None:
    first, gone, after = (make_photo(name, b"x" * 500) for name in ("first.jpg", "gone.jpg", "after.jpg"))

    def remove(progress: Progress) -> None:
        if progress.stage == "sending" and progress.done == 1:
            gone.unlink()

    async with ScriptedServer() as server, AsyncClient(server.url, options=quick(chunk_bytes=100)) as client:
        results = await client.extract([first, gone, after], uploads=True, on_progress=remove)
    assert [result.error.code if result.error else None for result in results] == [None, "unreadable", None]
    assert server.contents["after.jpg"] == b"x" * 500


class _Request:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def reserve(self, length: int) -> None:
        self.room = length

    async def send_bytes(self, content: bytes) -> None:
        assert len(content) == self.room
        self.messages.append(content)


@given(content=st.binary(min_size=0, max_size=40), announced=st.integers(1, 40), chunk=st.integers(1, 15))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_exactly_the_announced_bytes_are_sent(tmp_path: Path, content: bytes, announced: int, chunk: int) -> None:
    path, request = tmp_path / "photo", _Request()
    path.write_bytes(content)
    failure = asyncio.run(send_photo(LocalPhoto(path, announced), request, chunk))  # type: ignore[arg-type]
    sent = b"".join(request.messages)
    assert len(sent) == announced
    assert all(len(message) <= chunk for message in request.messages)
    assert (failure is None) == (len(content) == announced)
    assert failure is not None or sent == content


async def test_leaving_an_uploading_stream_stops_sending(make_photo: MakePhoto) -> None:
    photos = [make_photo(f"{n}.jpg", bytes(100)) for n in range(3)]
    options = quick(chunk_bytes=10, window_bytes=20)
    async with ScriptedServer(hold_bytes=True) as server, AsyncClient(server.url, options=options) as client:
        missing = photos[0].with_name("missing.jpg")
        async with aclosing(client.extract_stream([missing, *photos], uploads=True)) as results:
            assert (await anext(results)).error is not None
            step = asyncio.create_task(anext(results))
            await asyncio.sleep(0.1)
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert server.cancelled == ["1"]
        assert server.most_outstanding_bytes == 20

"""What holds photos or answers keeps what docs/operations.md says: little, whatever one client asks and leaves unread.

Photos (streamed, in one answer, and as the original's clients ask), uploads, answers too long to be sent whole, streams
that are not acknowledged or not read, and idle sockets. Networks are stubs here; what real ones keep is bounded by the
detector's input (tests/unit/networks/test_network_memory.py).
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection

from pipeline.client import Client, ClientOptions, Query
from tests.e2e.running import Service, start_service
from tests.e2e.stub_networks import DIMENSION, StubNetworks
from tests.e2e.stub_photos import BRIGHT, write_photos
from tests.e2e.watching import MIB, peaks_during, private_bytes, wait_until_given_back

pytestmark = pytest.mark.serve
LONG = (pytest.mark.long, pytest.mark.timeout(3600))

WATCHED = ("Ingress", "Extractor", "Matcher", "Catalogue")
ROOM_BYTES = 32 * MIB
UPLOADS, UPLOAD_BYTES = 25, 8 * MIB
WHOLE_WINDOW = ClientOptions(window_bytes=16 * MIB)
"""A client that keeps as many bytes unacknowledged as the server allows; 8 MiB more than the client does by itself."""

LONG_NAME = "n" * 190
INDIVIDUALS = 120
MAX_RESULT_BYTES = 8 * MIB
TOO_MANY_ITEMS = 5000
"""Rankings of so many individuals with such names take 120 MB as text."""

UNACKNOWLEDGED_ITEMS = 256
ACK_TIMEOUT_S = 10.0
UNREAD_S = 15.0
"""Longer than the server waits for an acknowledgement, shorter than it waits for the answer to a ping."""

TRY_AGAIN_LATER = 1013
SOCKETS = 100
SOCKET_BYTES = 160 * 1024
"""What one idle socket costs the ingress: about 120 KiB for its session, its tasks and Serve's record of it."""


@pytest.fixture(scope="module")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One replica of everything; the embedder of bright photos is slower than uploads come in."""
    one = {"min": 1, "max": 1}
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("memory"),
        ray_cluster,
        StubNetworks(stub_models, last_part_seconds=0.3),
        replicas={"ingress": one, "extractor": one},
        limits={"max_connections": SOCKETS, "max_result_bytes": MAX_RESULT_BYTES},
        timeouts={"drain_timeout_s": 5, "ack_timeout_s": ACK_TIMEOUT_S},
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def small_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("small"), 50)


def streamed(service: Service, photos: Sequence[Path]) -> int:
    """Extract as the project's client does; returns the number of embeddings."""
    with Client(service.url) as client:
        return sum(result.error is None for result in client.extract(photos))


def in_one_answer(service: Service, photos: Sequence[Path]) -> int:
    """Extract with an `id` and without a stream."""
    return embeddings(service, {"id": "1"}, photos)


def classic(service: Service, photos: Sequence[Path]) -> int:
    """Extract as the original's clients do."""
    return embeddings(service, {}, photos)


def embeddings(service: Service, fields: dict[str, str], photos: Sequence[Path]) -> int:
    """Extract and count the embeddings of the one message that holds them."""
    with service.connect() as socket:
        socket.send(json.dumps({"type": "extract", "fileNames": [str(photo) for photo in photos], **fields}))
        while '"data"' not in (text := str(socket.recv(timeout=60))):
            pass
    return sum("embedding" in entry for entry in json.loads(text)["data"])


WAYS = (streamed, in_one_answer, classic)


@pytest.fixture(scope="module")
def base(service: Service, small_photos: list[Path]) -> dict[str, int]:
    """What the replicas hold once they have done the like before."""
    for way in WAYS:
        way(service, small_photos * 4)
    return {name: private_bytes(name) for name in WATCHED}


@pytest.mark.parametrize("times", [10, pytest.param(200, marks=LONG)])
@pytest.mark.parametrize("way", WAYS)
def test_hundreds_of_photos_leave_the_replicas_as_they_were(service, base, small_photos, way, times, record_property):
    record_property("proved", f"{len(small_photos) * times:,} photos")
    assert way(service, small_photos * times) == len(small_photos) * times
    for name in WATCHED:
        wait_until_given_back(name, base[name] * 1.05)


@pytest.mark.parametrize(
    ("options", "room_bytes"),
    [(ClientOptions(), ROOM_BYTES), (WHOLE_WINDOW, ROOM_BYTES + 2 * 8 * MIB)],
    ids=["usual window", "whole window"],
)
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=LONG)])
def test_uploads_of_200_mb_take_little_room_and_leave_none(
    service, base, tmp_path, options, room_bytes, times, record_property
):
    record_property("proved", f"{UPLOADS * times} uploads of {UPLOAD_BYTES // MIB} MiB")
    photos = write_photos(tmp_path, UPLOADS, BRIGHT, padding_bytes=UPLOAD_BYTES) * times
    with peaks_during(WATCHED) as peaks, Client(service.url, options=options) as client:
        results = client.extract(photos, uploads=True)
    assert [result.error for result in results] == [None] * len(photos)
    for name in WATCHED:
        assert peaks.bytes[name] <= base[name] + room_bytes, name
        wait_until_given_back(name, base[name] * 1.1)


def test_an_answer_that_grows_too_long_is_given_up_before_it_takes_room(service, base):
    embedding = [DIMENSION**-0.5] * DIMENSION
    named = [Query(f"{number}.jpg", "fluke", embedding, f"{number} {LONG_NAME}") for number in range(INDIVIDUALS)]
    with Client(service.url) as client:
        assert [answer.error for answer in client.identify(named, top_k=1)] == [None] * INDIVIDUALS
    item = {"path": "asked.jpg", "type": "fluke", "embedding": embedding}
    with peaks_during(WATCHED) as peaks, service.connect() as socket:
        socket.send(json.dumps({"type": "identify", "id": "1", "data": [item] * TOO_MANY_ITEMS}))
        _, end = read_stream(socket)
    assert (end["type"], end["code"]) == ("error", "result_too_large")
    for name in WATCHED:
        assert peaks.bytes[name] <= base[name] + ROOM_BYTES, name


@pytest.mark.parametrize("unread_s", [0.0, UNREAD_S], ids=["reads, does not acknowledge", "does not read"])
def test_a_stream_that_is_not_acknowledged_stops_and_takes_little_room(service, base, small_photos, unread_s):
    with peaks_during(WATCHED) as peaks, service.connect(ping_interval=None, max_queue=1) as socket:
        paths = [roundabout(path) for path in small_photos] * 40
        socket.send(json.dumps({"type": "extract", "id": "1", "fileNames": paths, "stream": True}))
        time.sleep(unread_s)
        items, end = read_stream(socket)
    assert (items, end["type"], end["code"]) == (UNACKNOWLEDGED_ITEMS, "error", "ack_timeout")
    for name in WATCHED:
        assert peaks.bytes[name] <= base[name] + ROOM_BYTES, name


def roundabout(path: Path) -> str:
    """Another name of the same file, so long that the answers fill what buffers lie between server and client."""
    return str(path.parent) + "/." * 1900 + f"/{path.name}"


def read_stream(socket: ClientConnection) -> tuple[int, dict[str, Any]]:
    """Count the items of a stream, acknowledging none; returns the count and the message that ended it."""
    items = 0
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=120))
        if message["type"] in ("complete", "error"):
            return items, message
        items += "item" in message


def test_idle_sockets_take_a_little_each_and_one_too_many_is_told_to_come_later(service, base):
    before = private_bytes("Ingress")
    for _ in range(2):  # what the first ones took serves the next
        with ExitStack() as stack:
            sockets = [admitted(service, stack) for _ in range(SOCKETS)]
            with service.connect() as refused, pytest.raises(ConnectionClosedError) as closed:
                refused.recv(timeout=60)
            assert closed.value.rcvd.code == TRY_AGAIN_LATER
            assert all(answers(socket) for socket in sockets)
            assert private_bytes("Ingress") <= before + SOCKETS * SOCKET_BYTES


def admitted(service: Service, stack: ExitStack) -> ClientConnection:
    """Connect, again and again until the server has noticed that the sockets of the round before are gone."""
    while True:
        socket = stack.enter_context(service.connect(ping_interval=None))
        with suppress(ConnectionClosedError):
            assert answers(socket)
            return socket
        time.sleep(0.1)


def answers(socket: ClientConnection) -> bool:
    """Whether a socket leads to a session: what is no request is an error of the classic protocol."""
    socket.send("are you there?")
    return str(socket.recv(timeout=60)).startswith("error:")

"""One client attacks, another works: nobody is closed or waits long, no replica restarts, and the memory comes back.

The attacks are those that stopped an earlier release for everybody, or took gigabytes. What the decoders are attacked
with is in tests/unit/photos; benchmarks measure how long the second client waits.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

from pipeline.client import Client, Query
from tests.e2e.running import Service, replica_processes, start_service
from tests.e2e.stub_networks import DIMENSION, StubNetworks
from tests.e2e.stub_photos import write_photos
from tests.e2e.watching import MIB, peaks_during, private_bytes, wait_until_given_back

pytestmark = pytest.mark.serve

WATCHED = ("Ingress", "Extractor", "Matcher")
ROOM_BYTES = 256 * MIB
LEFT_BYTES = 64 * MIB
GENEROUS_S = 20.0
"""The second client's worst wait on a machine that does other things, too; an earlier release took 28 s and more."""

ITEM = {"path": "a.jpg", "type": "fluke", "embedding": [1.0] + [0.0] * (DIMENSION - 1)}


@pytest.fixture(scope="module")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    one = {"min": 1, "max": 1}
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("attacked"),
        ray_cluster,
        StubNetworks(stub_models),
        replicas={"ingress": one, "extractor": one},
        timeouts={"drain_timeout_s": 5, "unsent_timeout_s": 5, "upload_timeout_s": 2},
    )
    with Client(running.url) as client:
        queries = [Query(f"{number}.jpg", "fluke", ITEM["embedding"]) for number in range(200)]
        for number, query in enumerate(queries):
            client.confirm([query], f"INDIVIDUAL_{number:03}")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("photos"), 4)


class Worker(threading.Thread):
    """Extracts and identifies until it is stopped, and remembers how long it waited and what went wrong."""

    def __init__(self, service: Service, photos: list[Path]) -> None:
        super().__init__(daemon=True)
        self._service, self._photos = service, photos
        self._ended = threading.Event()
        self.waits: list[float] = []
        self.errors: list[Exception] = []

    def run(self) -> None:
        try:
            with self._service.connect() as client:
                while not self._ended.is_set():
                    start = time.monotonic()
                    ask(client, {"type": "extract", "id": "e", "fileNames": [str(self._photos[0])]})
                    ask(client, {"type": "identify", "id": "i", "data": [ITEM], "topK": 1})
                    self.waits.append(time.monotonic() - start)
        except (ConnectionClosed, TimeoutError, AssertionError) as error:
            self.errors.append(error)

    def stop(self) -> None:
        self._ended.set()
        self.join(60)


def ask(client: ClientConnection, message: dict[str, Any]) -> None:
    client.send(json.dumps(message))
    while (answer := json.loads(client.recv(timeout=60)))["type"] != "complete":
        assert answer["type"] != "error", answer


def small_messages(client: ClientConnection) -> None:
    text = json.dumps({"type": "cancel", "id": "never"})
    for _ in range(30_000):
        client.send(text)


def bad_elements(client: ClientConnection) -> None:
    for number in range(60):
        client.send(json.dumps({"type": "extract", "id": str(number % 30), "fileNames": [0] * 10_000}))


def millions_of_values(client: ClientConnection) -> None:
    client.send('{"type":"identify","id":"x","data":[' + "{}," * 5_000_000 + "{}]}")


def unread_answers(client: ClientConnection) -> None:
    for _ in range(30):
        client.send(json.dumps({"type": "identify", "data": [ITEM] * 1000}))


def half_photos(client: ClientConnection) -> None:
    """All of a photo but its last MiB; `SOCKETS` do so at once."""
    client.send(json.dumps({"type": "extract", "id": "u", "uploads": [{"name": "a.jpg", "size": 50 * MIB}]}))
    client.recv(timeout=60)
    for _ in range(49):
        client.send(bytes(MIB))


SOCKETS = {half_photos: 20}
"""How many clients make an attack at once, where one alone is harmless."""

ATTACKS = (small_messages, bad_elements, millions_of_values, unread_answers, half_photos)


def attack_and_leave(service: Service, attack: Callable[[ClientConnection], None]) -> None:
    """Attack without reading, stay for a while, and leave without a word."""
    with suppress(ConnectionClosed, TimeoutError):
        client = connect(service.url, max_size=None, max_queue=1, open_timeout=60, close_timeout=0.1)
        attack(client)
        time.sleep(8)
        client.socket.close()


@contextmanager
def somebody_works(service: Service, photos: list[Path]) -> Iterator[Worker]:
    worker = Worker(service, photos)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@pytest.mark.parametrize("attack", ATTACKS)
def test_who_works_beside_an_attack_goes_on(service, photos, attack):
    with somebody_works(service, photos) as warm:
        time.sleep(2)
    before = {name: private_bytes(name) for name in WATCHED}
    replicas = {name: [process.pid for process in replica_processes(name)] for name in WATCHED}
    with peaks_during(WATCHED) as peaks, somebody_works(service, photos) as worker:
        sockets = SOCKETS.get(attack, 1)
        with ThreadPoolExecutor(sockets) as attackers:
            for _ in range(sockets):
                attackers.submit(attack_and_leave, service, attack)
    assert warm.errors == worker.errors == []
    assert max(worker.waits) < GENEROUS_S
    assert {name: [process.pid for process in replica_processes(name)] for name in WATCHED} == replicas
    for name in WATCHED:
        assert peaks.bytes[name] < before[name] + ROOM_BYTES, name
        wait_until_given_back(name, before[name] + LEFT_BYTES, within_s=60)


def test_a_message_that_grows_from_its_compression_is_not_taken(service):
    with service.connect() as client:
        assert client.protocol.extensions == []


def test_a_socket_that_is_never_read_is_let_go(service, photos):
    protocol = ClientProtocol(parse_uri(service.url))
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        protocol.send_request(protocol.connect())
        raw.sendall(b"".join(protocol.data_to_send()))
        protocol.receive_data(raw.recv(2**16))
        before = private_bytes("Ingress")
        for _ in range(30):
            protocol.send_text(json.dumps({"type": "identify", "data": [ITEM] * 1000}).encode())
            raw.sendall(b"".join(protocol.data_to_send()))
        time.sleep(15)
        assert private_bytes("Ingress") < before + LEFT_BYTES
        with somebody_works(service, photos) as worker:
            time.sleep(2)
        assert worker.errors == []
        assert max(worker.waits) < GENEROUS_S

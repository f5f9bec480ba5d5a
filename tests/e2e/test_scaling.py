"""The ingress scales on photos in flight: up under load, down after it, and never at the cost of a running request."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from pipeline.client import Client, ClientOptions
from tests.e2e.running import APPLICATION, Service, start_service, wait_until
from tests.e2e.stub_networks import StubNetworks
from tests.e2e.stub_photos import write_photos

pytestmark = pytest.mark.serve

PHOTOS_PER_REPLICA = 12
PHOTO_SECONDS = 1.0
REQUESTS = 4
DECISIONS_S = 6.0
"""Long enough for several decisions of the autoscaler as set below."""


@pytest.fixture(scope="module")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An ingress of one replica or two, that decides quickly."""
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("scaling"),
        ray_cluster,
        StubNetworks(stub_models, detector_seconds=PHOTO_SECONDS),
        replicas={
            "ingress": {"min": 1, "max": 2, "upscale_delay_s": 1, "downscale_delay_s": 2},
            "extractor": {"min": 1, "max": 1},
        },
        limits={"in_flight_per_replica": PHOTOS_PER_REPLICA},
        timeouts={"drain_timeout_s": 60},
    )
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _at_rest(service: Service) -> None:
    """Each test begins with one replica, and none that is still leaving."""
    wait_until(lambda: ingress_replicas() == {"RUNNING": 1}, timeout_s=120)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in write_photos(tmp_path_factory.mktemp("photos"), 40)]


def ingress_replicas() -> dict[str, int]:
    """How many replicas of the ingress are in which state."""
    from ray import serve

    return dict(serve.status().applications[APPLICATION].deployments["Ingress"].replica_states)


def running_replicas() -> int:
    return ingress_replicas().get("RUNNING", 0)


def ask(socket: ClientConnection, identifier: str, **request: Any) -> None:
    socket.send(json.dumps({"id": identifier, **request}))


def answers(socket: ClientConnection) -> bool:
    """Whether a socket still leads to a session: what is no request is an error of the classic protocol."""
    socket.send("are you there?")
    return str(socket.recv(timeout=60)).startswith("error:")


@contextmanager
def scaled_up(service: Service, photos: list[str]) -> Iterator[None]:
    """A second replica, called for by the queues of a few requests, which are cancelled at the end of the block."""
    identifiers = [str(number) for number in range(REQUESTS)]
    with closing(service.connect(ping_interval=None)) as socket:  # pings are not answered while this does not read
        for identifier in identifiers:
            ask(socket, identifier, type="extract", fileNames=photos)
        wait_until(lambda: running_replicas() == 2)
        yield
        for identifier in identifiers:
            ask(socket, identifier, type="cancel")
        ended: set[str] = set()
        while ended < set(identifiers):
            message = json.loads(socket.recv(timeout=60))
            ended |= {message["id"]} if message["type"] == "complete" else set()


def test_load_brings_a_second_ingress_which_leaves_after_it(service, photos):
    with Client(service.url, options=ClientOptions(attempts=1)) as client, ThreadPoolExecutor(REQUESTS) as pool:
        requests = [pool.submit(client.extract, photos[place::REQUESTS]) for place in range(REQUESTS)]
        wait_until(lambda: running_replicas() == 2)
        assert not all(request.done() for request in requests), "the second replica was to come under load"
        results = [result for request in requests for result in request.result(timeout=300)]
    assert [result.error for result in results if result.error] == []
    assert sorted(result.path for result in results) == sorted(photos)
    wait_until(lambda: ingress_replicas() == {"RUNNING": 1})


def test_idle_sockets_neither_make_it_scale_nor_hold_it_up(service, photos):
    with ExitStack() as stack:
        sockets = [stack.enter_context(service.connect()) for _ in range(20)]
        until = time.monotonic() + DECISIONS_S
        while time.monotonic() < until:
            assert ingress_replicas() == {"RUNNING": 1}
            time.sleep(0.5)
        with scaled_up(service, photos):
            sockets += [stack.enter_context(service.connect()) for _ in range(20)]
        wait_until(lambda: running_replicas() == 1)
        assert all(answers(socket) for socket in sockets), "a replica that leaves keeps its sockets while it drains"


def test_running_requests_outlive_the_downscale_of_their_replica(service, photos):
    with ExitStack() as stack:
        with scaled_up(service, photos):
            sockets = [stack.enter_context(closing(service.connect())) for _ in range(PHOTOS_PER_REPLICA)]
        for place, socket in enumerate(sockets):
            ask(socket, "1", type="extract", fileNames=[photos[place]])
        with ThreadPoolExecutor(len(sockets)) as pool:
            replies = [pool.submit(read_to_the_end, socket) for socket in sockets]
            wait_until(lambda: ingress_replicas() == {"RUNNING": 1, "STOPPING": 1}, pause_s=0.05)
            unanswered = [reply for reply in replies if not reply.done()]
            assert unanswered, "the downscale was to come while requests run"
            entries = [entry for reply in replies for entry in reply.result(timeout=120)]
    assert [entry["path"] for entry in entries] == photos[:PHOTOS_PER_REPLICA]
    assert all("embedding" in entry for entry in entries)


def read_to_the_end(socket: ClientConnection) -> list[dict[str, Any]]:
    """Read one extract's messages; returns its entries. A connection that breaks raises."""
    entries: list[dict[str, Any]] = []
    with socket:
        while (message := json.loads(socket.recv(timeout=120)))["type"] != "complete":
            entries += message.get("data", [])
    return entries

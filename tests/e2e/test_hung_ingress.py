"""A replica that hangs is replaced soon: only an ingress's own clients notice, and of the writer nobody but by time."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from pipeline.client import Client, Query
from tests.e2e.running import Service, replica_processes, start_service, wait_until
from tests.e2e.stub_networks import DIMENSION, StubNetworks

pytestmark = pytest.mark.serve

SOCKETS = 12
HANGS_S = 5.0
"""For the call that hangs it to arrive."""
REPLACED_S = 100.0
"""Many times what it takes, and much less than a replica may take to end in order here."""
DRAIN_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class HangsOnce:
    """Holds the event loop of the first replica that unpickles it, for ever; the next gets an argument too many."""

    mark: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return hang_once, (self.mark,)


def hang_once(mark: Path) -> int:
    """Hang where the mark is not there yet; it holds the process that hangs."""
    try:
        with mark.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return 0
    while True:
        time.sleep(1)


@pytest.fixture(scope="module")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two replicas of the ingress, which may drain for long."""
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("hung"),
        ray_cluster,
        StubNetworks(stub_models),
        replicas={"ingress": {"min": 2, "max": 2}, "extractor": {"min": 1, "max": 1}},
        timeouts={"drain_timeout_s": DRAIN_TIMEOUT_S},
    )
    yield running
    running.stop()


def is_answered(client: ClientConnection, timeout_s: float) -> bool:
    """Whether a connection answers in time; False where it hangs or has ended."""
    try:
        client.send(json.dumps({"type": "catalogues", "id": "1"}))
        while json.loads(client.recv(timeout=timeout_s))["type"] != "complete":
            pass
    except (ConnectionClosed, TimeoutError):
        return False
    return True


def has_ended(client: ClientConnection) -> bool:
    """Wait until a connection ends; fails the test where it does not."""
    try:
        while True:
            client.recv(timeout=60)
    except ConnectionClosed:
        return True


async def hang_one(service: Service, deployment: str, method: str, mark: Path) -> int:
    """Hold the event loop of one replica for ever, by a method without arguments, and return its process."""
    from ray.serve.handle import DeploymentHandle

    handle: DeploymentHandle[Any] = DeploymentHandle(deployment, service.name)  # Serve keeps none that ends with a loop
    call = getattr(handle, method).remote(HangsOnce(mark))
    with suppress(TimeoutError):  # it is never answered
        await asyncio.wait_for(call, HANGS_S)
    await handle.shutdown_async()  # it would report to a controller for as long as this process lives
    return int(mark.read_text())


def test_an_ingress_that_hangs_is_replaced_and_the_sockets_of_others_live_on(service, tmp_path):
    wait_until(lambda: len(replica_processes("Ingress")) == 2)
    with ExitStack() as stack:
        sockets = [stack.enter_context(service.connect(ping_interval=None, close_timeout=1)) for _ in range(SOCKETS)]
        assert all(is_answered(client, 60) for client in sockets)

        hung = asyncio.run(hang_one(service, "Ingress", "record_autoscaling_stats", tmp_path / "mark"))
        (other,) = {process.pid for process in replica_processes("Ingress")} - {hung}
        alive = [client for client in sockets if is_answered(client, 3)]
        assert 0 < len(alive) < SOCKETS

        wait_until(lambda: not psutil.pid_exists(hung), timeout_s=REPLACED_S)
        wait_until(lambda: len(replica_processes("Ingress")) == 2)
        assert other in {process.pid for process in replica_processes("Ingress")}
        assert all(is_answered(client, 60) for client in alive)
        assert all(has_ended(client) for client in sockets if client not in alive)
    with service.connect() as client:
        assert is_answered(client, 60)


def test_a_writer_that_hangs_is_replaced_and_what_waits_for_it_is_stored_once(service, tmp_path):
    wait_until(lambda: len(replica_processes("Catalogue")) == 1)
    hung = asyncio.run(hang_one(service, "Catalogue", "heads", tmp_path / "mark"))
    photo = Query("waits.jpg", "fluke", (1.0, *(0.0,) * (DIMENSION - 1)))
    with Client(service.url) as client:
        (ranked,) = client.identify([photo], top_k=1)
        assert ranked.error is None, "rankings need no writer"
        (answer,) = client.confirm([photo], "DANTE")
        assert answer.error is None
        assert not psutil.pid_exists(hung)
        (dante,) = client.catalogue.individuals(search="DANTE")
        assert dante.annotations == 1
        assert [event.kind for event in client.catalogue.history()].count("confirm") == 1

"""The start command as a process of its own: how it stops, and what its clients and operators see of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.e2e import slow_application
from tests.e2e.conftest import free_port
from tests.e2e.running import Service, wait_until
from tests.e2e.stub_photos import write_photos

pytestmark = pytest.mark.serve

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 20.0
"""For running requests to end: many times what the short one takes, also on a busy machine."""
LONGEST_STOP_S = STOP_TIMEOUT_S + 60.0
AT_ONCE_S = 20.0
ENDLESS_STOP_S = 300.0
"""A stop in order takes so long where a request goes on: a process that ends within `AT_ONCE_S` did not wait for it."""
SHORT, ENDLESS = 3, 4000
"""Photos of a request that ends within the time it is given, and of one that does not."""


@dataclass
class Started:
    """A start command that is ready."""

    process: "subprocess.Popen[bytes]"
    service: Service
    log: Path

    def logged(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def start(light_models: Path, tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Starts the command in a Ray cluster of its own; whatever is left of it is killed afterwards."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(build: str = "build", stop_timeout_s: float = STOP_TIMEOUT_S) -> Started:
        service = Service(free_port(), tmp_path)
        log = tmp_path / "service.log"
        config = write_config(service, light_models, build, stop_timeout_s)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deployments.launch", str(config)],
                cwd=tmp_path,
                env=environment | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": "local", "RAY_TMPDIR": "/tmp"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.append(process)
        return Started(process, service, log)

    yield run
    for process in processes:
        process.kill()
        process.wait()


def write_config(service: Service, models_dir: Path, build: str, stop_timeout_s: float) -> Path:
    arguments = {
        "models_dir": str(models_dir),
        "device": "cpu",
        "export_dir": str(service.folder / "export"),
        "catalogue_url": f"sqlite:///{service.catalogue}",
        "timeouts": {"stop_timeout_s": stop_timeout_s},
    }
    document = {
        "http_options": {"host": "127.0.0.1", "port": service.port},
        "logging_config": {"enable_access_log": False},
        "applications": [
            {"name": service.name, "import_path": f"tests.e2e.slow_application:{build}", "args": arguments},
        ],
    }
    file = service.folder / "serve_config.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def until_ready(started: Started) -> None:
    wait_until(lambda: started.logged("The application is ready") or started.process.poll() is not None, timeout_s=120)
    wait_until(lambda: started.service.http("/healthz")[0] == 200, timeout_s=60)


def extracting(service: Service, photos: list[str]) -> ClientConnection:
    """A connection whose request has begun."""
    socket = service.connect()
    socket.send(json.dumps({"type": "extract", "id": "1", "fileNames": photos}))
    socket.recv(timeout=60)
    return socket


def end_of(socket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """What is said until the connection ends, and the code of the close frame, if there is one."""
    messages = []
    try:
        while True:
            messages.append(json.loads(socket.recv(timeout=60)))
    except ConnectionClosed as closed:
        return messages, closed.rcvd.code if closed.rcvd else None


def failures(messages: list[dict[str, Any]]) -> set[str]:
    (result,) = [message for message in messages if message["type"] == "extract"]
    return {entry["error"]["code"] for entry in result["data"] if "error" in entry}


def test_sigterm_closes_idle_sockets_at_once_and_lets_short_requests_end(start, tmp_path):
    started = start()
    until_ready(started)
    photo = str(write_photos(tmp_path, 1)[0])
    with pytest.raises(InvalidStatus), started.service.connect(origin="https://evil.example"):
        pass
    idle = started.service.connect()
    short, endless = (extracting(started.service, [photo] * count) for count in (SHORT, ENDLESS))

    begun = time.monotonic()
    started.process.send_signal(signal.SIGTERM)
    assert end_of(idle) == ([], 1012)
    assert time.monotonic() - begun < STOP_TIMEOUT_S

    messages, code = end_of(short)
    assert (messages[-1]["type"], failures(messages), code) == ("complete", set(), 1012)

    messages, code = end_of(endless)
    assert (messages[-1]["type"], failures(messages), code) == ("complete", {"cancelled"}, 1012)
    assert begun + STOP_TIMEOUT_S * 0.9 < time.monotonic()

    assert started.process.wait(LONGEST_STOP_S) == 0
    assert time.monotonic() - begun < LONGEST_STOP_S
    logs = serve_logs(started)
    assert "refused 127.0.0.1: origin 'https://evil.example'" in logs


def test_ctrl_c_stops_in_order_and_a_second_one_ends_at_once(start, tmp_path):
    started = start(stop_timeout_s=ENDLESS_STOP_S)
    until_ready(started)
    idle = started.service.connect()
    endless = extracting(started.service, [str(write_photos(tmp_path, 1)[0])] * ENDLESS)
    children = started.children()

    os.killpg(started.process.pid, signal.SIGINT)
    assert end_of(idle) == ([], 1012)
    os.killpg(started.process.pid, signal.SIGINT)
    assert started.process.wait(AT_ONCE_S) == 128 + signal.SIGINT
    assert end_of(endless)[1] is None
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_sigterm_while_the_application_starts_ends_it(start):
    started = start()
    wait_until(lambda: started.logged("Started Serve") or started.process.poll() is not None, timeout_s=120)
    time.sleep(1)
    children = started.children()
    started.process.send_signal(signal.SIGTERM)
    assert not started.logged("The application is ready."), "it came too late for this test"
    assert started.process.wait(LONGEST_STOP_S) == 0
    assert not started.logged("The application is ready.")
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_an_application_that_cannot_start_ends_the_command_with_its_reason(start):
    started = start(build="build_broken")
    assert started.process.wait(300) == 1
    assert started.logged(f"{started.service.name} cannot start: ")
    assert started.logged(slow_application.BROKEN)
    assert not started.logged("The application is ready.")


def serve_logs(started: Started) -> str:
    """The files that docs/operations.md names, of this service's replicas."""
    folders = list(Path("/tmp/ray").glob(f"session_*_{started.process.pid}/logs/serve"))
    return "".join(file.read_text(errors="replace") for folder in folders for file in folder.glob("replica_*"))

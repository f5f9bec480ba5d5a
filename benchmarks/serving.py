"""The service as an operator starts it: the start command in a process of its own, asked over real sockets."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Application:
    """One application of a Serve config file; several on one service are told apart by their prefix."""

    name: str
    arguments: Mapping[str, Any]
    import_path: str = "deployments.application:build"

    @property
    def prefix(self) -> str:
        """Where it answers."""
        return f"/{self.name}"


@dataclass(frozen=True, slots=True)
class Running:
    """A service that has been started, perhaps not answering yet."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def url(self, application: Application) -> str:
        """Return the WebSocket address of an application."""
        return f"ws://127.0.0.1:{self.port}{application.prefix}/"

    def is_healthy(self, application: Application) -> bool:
        """Ask `/healthz` once."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{application.prefix}/healthz", timeout=5) as page:
                return bool(page.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_healthy(self, application: Application) -> None:
        """Wait until every deployment of an application runs.

        Raises:
            RuntimeError: the service ended, or does not answer in time; holds the end of its output.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_healthy(application):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{application.name} does not answer:\n{self.log.read_text()[-2000:]}")
            time.sleep(POLL_S)


def write_config(folder: Path, port: int, applications: list[Application]) -> Path:
    """Write a Serve config file like the shipped one, each application with a new catalogue in the folder."""
    document = {
        "http_options": {"host": "127.0.0.1", "port": port},
        "logging_config": {"log_level": "INFO", "enable_access_log": False},
        "applications": [
            {
                "name": application.name,
                "route_prefix": application.prefix,
                "import_path": application.import_path,
                "args": {
                    "device": "cpu",
                    "export_dir": str(folder / "export"),
                    "catalogue_url": f"sqlite:///{folder / application.name}.sqlite",
                    **application.arguments,
                },
            }
            for application in applications
        ],
    }
    config = folder / "serve_config.yaml"
    config.write_text(yaml.safe_dump(document))
    return config


@contextmanager
def start_command(
    folder: Path, applications: list[Application], root: Path = ROOT, *, orderly: bool = True
) -> Iterator[Running]:
    """Run the start command in a folder on a free port, in a Ray cluster of its own.

    Args:
        folder: working directory; gets the config file, the catalogues and the output.
        applications: to serve.
        root: the checkout whose code runs.
        orderly: stop it as by Ctrl-C, which takes some ten seconds; else kill all its processes.
    """
    port = free_port()
    config = write_config(folder, port, applications)
    environment = os.environ | {"PYTHONPATH": str(root), "RAY_ADDRESS": "local"}
    log = folder / "service.log"
    signal.signal(signal.SIGTERM, _leave)  # an interrupted benchmark stops its service too
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.launch", str(config)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Running(process, port, log)
        finally:
            (_stop if orderly else _kill)(process)


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # it may have ended by itself
        command = psutil.Process(process.pid)
        family = [*command.children(recursive=True), command]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, STOP_TIMEOUT_S)
    process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

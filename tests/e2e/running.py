"""Starting, asking and hurting a real service."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import websockets.sync.client as sync_websockets

from deployments.launch import RAY_ENVIRONMENT

APPLICATION = "whale-vision"


def launch_environment() -> dict[str, str]:
    """What the start command sets for Ray; the tests run under the same settings."""
    return dict(RAY_ENVIRONMENT)


@dataclass
class Service:
    """One running application."""

    port: int
    folder: Path
    name: str = APPLICATION
    prefix: str = "/"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{self.prefix}"

    @property
    def catalogue(self) -> Path:
        return self.folder / "catalogue.sqlite"

    def http(self, path: str, timeout_s: float = 60.0) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.http(f"{self.prefix.rstrip('/')}/healthz")[1])
        return body

    def connect(self, **options: Any) -> sync_websockets.ClientConnection:
        return sync_websockets.connect(self.url, max_size=None, open_timeout=60, **options)

    def stop(self) -> None:
        """Remove the application and wait until its replicas are gone; Serve stays."""
        from ray import serve

        serve.delete(self.name, _blocking=True)


def start_serve(port: int) -> None:
    """Start Serve in this process's Ray cluster, without an application yet."""
    from ray import serve

    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"enable_access_log": False})


def start_service(
    models_dir: Path,
    folder: Path,
    port: int,
    networks: Any = None,
    name: str = APPLICATION,
    prefix: str = "/",
    **arguments: Any,
) -> Service:
    """Start the application on the Serve that listens on this port and wait until it answers.

    `networks` stand in for the loaded ones; a second application beside a running one has its own name and prefix.
    """
    from ray import serve

    from deployments.application import bind_graph, build, cluster_resources
    from pipeline.settings import Settings

    settings = Settings.model_validate(
        {
            "models_dir": models_dir,
            "export_dir": folder / "export",
            "catalogue_url": f"sqlite:///{folder / 'catalogue.sqlite'}",
            "device": "cpu",
            **arguments,
        }
    )
    application = build(settings) if networks is None else bind_graph(settings, networks, cluster_resources())
    serve.run(application, name=name, route_prefix=prefix)
    return Service(port, folder, name, prefix)


def replica_processes(deployment: str, application: str = APPLICATION) -> list[psutil.Process]:
    """The replicas of a deployment, found by the title that Ray gives its workers."""
    return titled_processes(f"ServeReplica:{application}:{deployment}")


def titled_processes(title: str) -> list[psutil.Process]:
    """The processes of this test's own Ray cluster that have this in their title; others may run on the machine."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            if title in " ".join(process.cmdline()):
                found.append(process)
    return found


def only_process(title: str) -> psutil.Process:
    """Wait until exactly one process has this in its title, and return it."""
    found: list[psutil.Process] = []

    def is_alone() -> bool:
        found[:] = titled_processes(title)
        return len(found) == 1

    wait_until(is_alone)
    return found[0]


def only_replica(deployment: str) -> psutil.Process:
    """Wait until a deployment has exactly one replica, and return its process."""
    return only_process(f"ServeReplica:{APPLICATION}:{deployment}")


def wait_until(condition: Any, timeout_s: float = 120.0, pause_s: float = 0.2) -> None:
    """Wait until a condition holds; fails the test where it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(pause_s)


def stop_ray() -> None:
    """Stop Serve and the cluster of this process."""
    import ray
    from ray import serve

    serve.shutdown()
    ray.shutdown()

"""Real Ray Serve applications for the end-to-end tests: one Ray cluster for all of them."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import launch_environment, start_serve, stop_ray
from tests.e2e.stub_networks import make_stub_folder
from tests.ending import end_the_run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def light_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small random-weight models in the project's own narrow architectures."""
    from training.random_models import make_random_models

    folder = tmp_path_factory.mktemp("models") / "light"
    make_random_models(folder)
    return folder


@pytest.fixture(scope="session")
def stub_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that only stub networks can serve."""
    return make_stub_folder(tmp_path_factory.mktemp("models") / "stub")


@pytest.fixture(scope="package")
def ray_cluster(request: pytest.FixtureRequest) -> Iterator[int]:
    """One Ray cluster with pretended CPUs and GPUs, as the start command sets it up otherwise, and Serve on it.

    Both are gone before the tests of other folders, which start their own. Its value is the port that Serve listens on;
    modules come and go as applications.
    """
    import ray

    os.environ.update(launch_environment())
    ray.init(num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    signal.signal(signal.SIGTERM, lambda number, _: end_the_run(request.config, number))
    port = free_port()
    start_serve(port)
    yield port
    stop_ray()

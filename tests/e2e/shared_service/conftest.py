"""One application for all modules of this folder, which neither harm it nor need settings of their own.

Each module brings its own names of individuals, and photos of its own where it counts them; none relies on what
another has left in the catalogue, or on a catalogue that is empty.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Service, start_service
from tests.e2e.stub_networks import StubNetworks

MAX_PHOTO_BYTES, MAX_PHOTO_PIXELS = 2_000_000, 1_000_000


@pytest.fixture(scope="package")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Stub networks, which may read small photos in the temporary folders of the tests."""
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("shared"),
        ray_cluster,
        StubNetworks(stub_models),
        photo_roots=[tmp_path_factory.getbasetemp()],
        limits={"max_photo_bytes": MAX_PHOTO_BYTES, "max_photo_pixels": MAX_PHOTO_PIXELS},
        timeouts={"drain_timeout_s": 5},
    )
    yield running
    running.stop()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that the service may not read."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)

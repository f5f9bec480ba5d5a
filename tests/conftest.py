"""Fixtures that every part of the tests may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgresql_server import PostgresServer, fresh_database, running_server

PHOTOS_VARIABLE = "WHALE_VISION_PHOTOS"


@pytest.fixture(scope="session")
def photos_dir() -> Path:
    """Folder of real photos: $WHALE_VISION_PHOTOS, else `shared/photos` beside the repository; skips where absent."""
    beside_repository = Path(__file__).resolve().parents[2] / "shared" / "photos"
    folder = Path(os.environ.get(PHOTOS_VARIABLE, beside_repository))
    if not folder.is_dir():
        pytest.skip(f"no real photos at {folder}; set {PHOTOS_VARIABLE}")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; skips where there is none and none can be started."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    with fresh_database(postgres_server) as url:
        yield url

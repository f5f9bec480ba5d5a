"""Fixtures of the operators' commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.admin.photos_made import Service


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    else:
        url = request.getfixturevalue("postgres_url")
    made = Service(url, tmp_path)
    yield made
    made.photos.close()

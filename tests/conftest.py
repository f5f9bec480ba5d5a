"""Fixtures that every part of the tests may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # before Ray is imported: the start command's own setting, which says why

from tests.long_results import LongResults
from tests.postgresql_server import PostgresServer, fresh_database, running_server

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    from tests.original_cases import Case

OF_A_SERVICE = "tests/e2e/"
"""Tests that ask a real service."""

PHOTOS_VARIABLE = "WHALE_VISION_PHOTOS"
CASES, LONG_CASES = 3, 12
"""Photos that are compared with the original's answers."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long` and `--long-results`."""
    parser.addoption("--long", action="store_true", help="run the long proofs (marked `long`), and no other tests")
    parser.addoption("--long-results", type=Path, metavar="FILE", help="keep a table of the long proofs in this file")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the table that was asked for, and have what tests start be interrupted as by a person.

    A shell's background job is told to ignore SIGINT, and so would its children be.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if (file := config.getoption("--long-results")) is not None:
        config.pluginmanager.register(LongResults(file))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long proofs, or all but them; an option, since `-m` is for those who start the tests.

    What asks a real service comes last.
    """
    long = config.getoption("--long")
    left_out = [item for item in items if _is_long(item) != long]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = sorted(
        (item for item in items if _is_long(item) == long), key=lambda item: item.nodeid.startswith(OF_A_SERVICE)
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Share the tests by modules where two processes run them (`-n 2`), but those that ask a real service one by one.

    A service's networks give way to whatever else the machine does.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModules(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return OF_A_SERVICE if nodeid.startswith(OF_A_SERVICE) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # what comes last is to stay last
    return ByModules(config, log)


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None


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


@pytest.fixture(scope="session")
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether the long proofs are running."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def seed_models(long_form: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the original's networks in exactly its files, with its `module.` prefix; takes a minute."""
    from training.random_models import make_random_models
    from training.random_models.pictures import draw_pictures

    folder = tmp_path_factory.mktemp("models") / "seed"
    calibrated_on = () if long_form else draw_pictures(CASES, seed=0)  # fewer than by default, for speed
    make_random_models(folder, "seed", photos=calibrated_on, module_prefix=True)
    return folder


@pytest.fixture(scope="session")
def original_cases(long_form: bool, seed_models: Path, tmp_path_factory: pytest.TempPathFactory) -> "list[Case]":
    """Photos and what the original answers with those weights; some seconds a photo."""
    from tests.original_cases import find_cases

    count = LONG_CASES if long_form else CASES
    return find_cases(seed_models, tmp_path_factory.mktemp("photos"), count, every_body_part=long_form)

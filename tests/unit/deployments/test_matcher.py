"""The matcher deployment: rankings and health checks go on while a confirmation waits for another process."""

import asyncio
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from deployments.matcher import Matcher
from pipeline.catalogue import sqlite
from pipeline.catalogue.opening import fill_catalogue
from pipeline.catalogue.sql_store import make_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from pipeline.model_files import ModelFolder
from pipeline.records import LOCAL_USER, PhotoKey, Query
from pipeline.rights import DEFAULT_CATALOGUE
from pipeline.settings import Settings

PATIENCE_S = 10.0


def query(folder: ModelFolder, identity: str | None = None) -> Query:
    part = folder.body_parts[0]
    return Query(PhotoKey("path:a"), "a", part.name, np.eye(part.dimension, dtype=np.float32)[0], None, identity)


async def test_ranking_and_health_do_not_wait_for_a_writer_that_waits_for_another_process(
    narrow_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "catalogue.sqlite"
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 3 * PATIENCE_S)
    make_catalogue(f"sqlite:///{file}")
    matcher = Matcher.func_or_class(Settings(catalogue_url=f"sqlite:///{file}"), narrow_folder, "cpu")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    confirming = asyncio.create_task(
        matcher.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "A")], LOCAL_USER, "key", True)
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            (ranking,) = await matcher.rank(DEFAULT_CATALOGUE, [query(narrow_folder)], None)
            described = await matcher.describe()
        assert not confirming.done()
    finally:
        other.execute("ROLLBACK")
    assert ranking.failure is None
    assert await confirming == [None]
    assert (await matcher.describe())["catalogue"]["individuals"] == described["catalogue"]["individuals"] + 1


async def test_a_confirmation_that_cannot_be_stored_leaves_rankings_alone(
    narrow_folder: ModelFolder, tmp_path: Path
) -> None:
    file = tmp_path / "catalogue.sqlite"
    fill_catalogue(f"sqlite:///{file}", narrow_folder)
    read_only = Settings(catalogue_url=f"sqlite:///file:{file}?mode=ro&uri=true")
    matcher = Matcher.func_or_class(read_only, narrow_folder, "cpu")
    with pytest.raises(CatalogueUnavailableError, match="read-only"):
        await matcher.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "A")], LOCAL_USER, "key", True)
    assert len(await matcher.rank(DEFAULT_CATALOGUE, [query(narrow_folder)], None)) == 1


async def test_a_replica_never_makes_a_catalogue(narrow_folder: ModelFolder, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "catalogue.sqlite"
    settings = Settings(catalogue_url=f"sqlite:///{file}")
    with pytest.raises(CatalogueOpenError, match=r"there is no catalogue at .*start command"):
        Matcher.func_or_class(settings, narrow_folder, "cpu")
    assert not file.parent.exists()
    make_catalogue(settings.catalogue_url)
    assert await Matcher.func_or_class(settings, narrow_folder, "cpu").rank(
        DEFAULT_CATALOGUE, [query(narrow_folder)], None
    )

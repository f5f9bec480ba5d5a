"""The matcher deployment: rankings and health checks go on while a confirmation waits for another process."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from deployments.matcher import Matcher
from pipeline.access import Permit
from pipeline.catalogue import sqlite
from pipeline.catalogue.opening import fill_catalogue
from pipeline.catalogue.sql_store import SqlCatalogue, make_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from pipeline.model_files import ModelFolder
from pipeline.protocol.catalogue_requests import Individuals, Rename, Undo
from pipeline.records import LOCAL_USER, PhotoKey, Query
from pipeline.rights import DEFAULT_CATALOGUE, LOCAL_STANDING
from pipeline.settings import Settings

PATIENCE_S = 10.0
LOCAL = Permit(LOCAL_STANDING, DEFAULT_CATALOGUE)


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


async def test_lists_do_not_wait_for_a_change_that_waits_nor_changes_for_lists(
    narrow_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "catalogue.sqlite"
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 3 * PATIENCE_S)
    make_catalogue(f"sqlite:///{file}")
    matcher = Matcher.func_or_class(Settings(catalogue_url=f"sqlite:///{file}"), narrow_folder, "cpu")
    assert await matcher.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "Zed")], LOCAL_USER, "key", True) == [None]
    listing = Individuals(type="individuals", id="x", search="zed")
    before = await matcher.answer(listing, LOCAL)
    (zed,), version = before["individuals"], before["head"]["version"]
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    rename = Rename(type="rename", id="x", individual=zed["id"], name="Zoe", key="k")
    changing = asyncio.create_task(matcher.change(rename, LOCAL, False))
    try:
        async with asyncio.timeout(PATIENCE_S):
            pages = await asyncio.gather(*(matcher.answer(listing, LOCAL) for _ in range(8)))
        assert not changing.done()
    finally:
        other.execute("ROLLBACK")
    assert pages == [before] * 8
    assert (await changing)["head"]["version"] == version + 1

    gate = threading.Event()
    monkeypatch.setattr(SqlCatalogue, "individuals", lambda *_: gate.wait() and None)
    held = [asyncio.create_task(matcher.answer(listing, LOCAL)) for _ in range(8)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            undone = await matcher.change(Undo(type="undo", id="x", version=version + 1, key="l"), LOCAL, False)
    finally:
        gate.set()
        await asyncio.gather(*held, return_exceptions=True)
    assert undone["head"]["version"] == version + 2


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

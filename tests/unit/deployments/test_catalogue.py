"""The catalogue deployment: writers take turns in their own catalogue alone, lists go on, and nothing needs torch."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.catalogue import Catalogue
from deployments.matcher import Matcher
from pipeline.access import Permit
from pipeline.catalogue import sqlite
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.opening import fill_catalogue
from pipeline.catalogue.people import open_people
from pipeline.catalogue.sql_store import SqlCatalogue, make_catalogue
from pipeline.errors import CatalogueUnavailableError
from pipeline.model_files import ModelFolder
from pipeline.protocol.catalogue_requests import Individuals, Rename, Undo
from pipeline.records import LOCAL_USER, OPERATOR, Actor, PhotoKey, Query
from pipeline.rights import DEFAULT_CATALOGUE, LOCAL_STANDING
from pipeline.settings import Settings
from tests.confirming import REPOSITORY

PATIENCE_S = 10.0
LOCAL = Permit(LOCAL_STANDING, DEFAULT_CATALOGUE)
MAYA = Actor("WDC", "Maya")


def query(folder: ModelFolder, identity: str) -> Query:
    part = folder.body_parts[0]
    return Query(PhotoKey("path:a"), "a", part.name, np.eye(part.dimension, dtype=np.float32)[0], None, identity)


async def test_lists_do_not_wait_for_a_change_that_waits_nor_changes_for_lists(
    narrow_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "catalogue.sqlite"
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 3 * PATIENCE_S)
    make_catalogue(f"sqlite:///{file}")
    writer = Catalogue.func_or_class(Settings(catalogue_url=f"sqlite:///{file}"), narrow_folder)
    assert await writer.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "Zed")], LOCAL_USER, "key", True) == [None]
    listing = Individuals(type="individuals", id="x", search="zed")
    before = await writer.answer(listing, LOCAL)
    (zed,), version = before["individuals"], before["head"]["version"]
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    rename = Rename(type="rename", id="x", individual=zed["id"], name="Zoe", key="k")
    changing = asyncio.create_task(writer.change(rename, LOCAL, False))
    try:
        async with asyncio.timeout(PATIENCE_S):
            pages = await asyncio.gather(*(writer.answer(listing, LOCAL) for _ in range(8)))
        assert not changing.done()
    finally:
        other.execute("ROLLBACK")
    assert pages == [before] * 8
    assert (await changing)["head"]["version"] == version + 1

    gate = threading.Event()
    monkeypatch.setattr(SqlCatalogue, "individuals", lambda *_: gate.wait() and None)
    held = [asyncio.create_task(writer.answer(listing, LOCAL)) for _ in range(8)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            undone = await writer.change(Undo(type="undo", id="x", version=version + 1, key="l"), LOCAL, False)
            assert (await writer.heads())["default"]["version"] == version + 2
            assert "catalogue" in await writer.describe()
    finally:
        gate.set()
        await asyncio.gather(*held, return_exceptions=True)
    assert undone["head"]["version"] == version + 2


async def test_on_a_server_writers_wait_for_those_of_their_own_catalogue_alone(
    narrow_folder: ModelFolder, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_catalogue(postgres_url)
    people = open_people(postgres_url)
    people.add_user(MAYA)
    people.add_catalogue("azores", MAYA, None, OPERATOR)
    writer = Catalogue.func_or_class(Settings(catalogue_url=postgres_url), narrow_folder)
    gate, entered, confirm = threading.Event(), threading.Semaphore(0), LoadedCatalogues.confirm

    def wait(catalogues: LoadedCatalogues, name: str, *said: Any) -> Any:
        if name == "azores":
            entered.release()
            assert gate.wait(3 * PATIENCE_S)
        return confirm(catalogues, name, *said)

    monkeypatch.setattr(LoadedCatalogues, "confirm", wait)
    waiting = [confirming(writer, narrow_folder, "azores", f"A{number}") for number in range(8)]
    try:
        assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE_S)
        async with asyncio.timeout(PATIENCE_S):
            assert await confirming(writer, narrow_folder, DEFAULT_CATALOGUE, "B") == [None]
        assert not entered.acquire(blocking=False), "one at a time"
    finally:
        gate.set()
    assert await asyncio.gather(*waiting) == [[None]] * 8


def confirming(writer: Any, folder: ModelFolder, catalogue: str, name: str) -> "asyncio.Task[Any]":
    said = (catalogue, [query(folder, name)], LOCAL_USER, name, False)
    return asyncio.create_task(writer.confirm(*said))


async def test_a_confirmation_that_cannot_be_stored_leaves_lists_and_rankings_alone(
    narrow_folder: ModelFolder, tmp_path: Path
) -> None:
    file = tmp_path / "catalogue.sqlite"
    fill_catalogue(f"sqlite:///{file}", narrow_folder)
    read_only = Settings(catalogue_url=f"sqlite:///file:{file}?mode=ro&uri=true")
    writer = Catalogue.func_or_class(read_only, narrow_folder)
    matcher = Matcher.func_or_class(read_only, narrow_folder, "cpu")
    with pytest.raises(CatalogueUnavailableError, match="read-only"):
        await writer.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "A")], LOCAL_USER, "key", True)
    assert len(await matcher.rank(DEFAULT_CATALOGUE, [query(narrow_folder, "A")], None)) == 1
    assert (await writer.answer(Individuals(type="individuals", id="x"), LOCAL))["total"] is not None


async def test_guesses_are_told_by_a_matcher_and_stored_as_such(narrow_folder: ModelFolder, tmp_path: Path) -> None:
    settings = Settings(catalogue_url=f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    make_catalogue(settings.catalogue_url)
    writer = Catalogue.func_or_class(settings, narrow_folder)
    matcher = Matcher.func_or_class(settings, narrow_folder, "cpu")
    assert await writer.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "Dante")], LOCAL_USER, "k0", False) == [None]
    part = narrow_folder.body_parts[0]
    values = np.eye(part.dimension, dtype=np.float32)[0]
    names = ["Dante", "Nova"] * 100
    said = [Query(PhotoKey(f"path:{n}"), f"{n}", part.name, values, None, name) for n, name in enumerate(names)]
    guesses = await matcher.guesses(DEFAULT_CATALOGUE, said)
    assert guesses == list(range(200)), "a name that was never held is no guess, which the writer knows"
    assert await writer.confirm(DEFAULT_CATALOGUE, said, LOCAL_USER, "k1", False, guesses) == [None] * 200
    counted = {
        each["name"]: (each["annotations"], each["provisional"])
        for each in (await writer.answer(Individuals(type="individuals", id="x"), LOCAL))["individuals"]
        if each["name"] in names
    }
    assert counted == {"Dante": (1, 100), "Nova": (100, 0)}


WORKS_WITHOUT_TORCH = """
import asyncio, sys
from pathlib import Path
import numpy as np
from deployments.catalogue import Catalogue
from pipeline.access import Permit
from pipeline.model_files import load_model_folder
from pipeline.protocol.catalogue_requests import Individuals, Rename
from pipeline.records import LOCAL_USER, PhotoKey, Query
from pipeline.rights import DEFAULT_CATALOGUE, LOCAL_STANDING
from pipeline.settings import Settings

async def work(url, models):
    folder = load_model_folder(Path(models))
    writer = Catalogue.func_or_class(Settings(catalogue_url=url), folder)
    part = folder.body_parts[0]
    values = np.eye(part.dimension, dtype=np.float32)[0]
    query = Query(PhotoKey("path:a"), "a", part.name, values, None, "Zed")
    assert await writer.confirm(DEFAULT_CATALOGUE, [query], LOCAL_USER, "k", False) == [None]
    local = Permit(LOCAL_STANDING, DEFAULT_CATALOGUE)
    listed = await writer.answer(Individuals(type="individuals", id="x", search="zed"), local)
    rename = Rename(type="rename", id="x", individual=listed["individuals"][0]["id"], name="Zoe", key="l")
    await writer.change(rename, local, False)
    await writer.heads()
    await writer.describe()
    print(sorted({"torch", "torchvision", "openvino", "faiss"} & set(sys.modules)))

asyncio.run(work(*sys.argv[1:]))
"""


def test_the_process_that_writes_never_loads_torch(narrow_folder: ModelFolder, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    make_catalogue(url)
    command = [sys.executable, "-c", WORKS_WITHOUT_TORCH, url, str(narrow_folder.path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"

"""The matcher deployment: rankings take turns, and wait neither for a writer nor for what others ask the database."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployments.catalogue import Catalogue
from deployments.matcher import Matcher, rank_in_turns
from pipeline.catalogue import sqlite
from pipeline.catalogue.matching import Ranked
from pipeline.catalogue.people import open_people
from pipeline.catalogue.sql_store import SqlCatalogue, make_catalogue
from pipeline.errors import CatalogueOpenError, NoSuchCatalogueError
from pipeline.model_files import ModelFolder
from pipeline.protocol.filters import Detail, Filters
from pipeline.records import LOCAL_USER, OPERATOR, Actor, PhotoKey, Query, Ranking
from pipeline.rights import DEFAULT_CATALOGUE
from pipeline.settings import Settings

PATIENCE_S = 10.0
MAYA = Actor("WDC", "Maya")


def query(folder: ModelFolder, identity: str | None = None) -> Query:
    part = folder.body_parts[0]
    return Query(PhotoKey("path:a"), "a", part.name, np.eye(part.dimension, dtype=np.float32)[0], None, identity)


class Gate:
    """Holds a method of one catalogue, whoever calls it, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, name: str) -> None:
        self.entered, self.opened, self.calls = threading.Event(), threading.Event(), 0
        held = getattr(SqlCatalogue, method)

        def wait(catalogue: SqlCatalogue, *arguments: Any) -> Any:
            if catalogue.name == name:
                self.calls += 1
                self.entered.set()
                assert self.opened.wait(3 * PATIENCE_S)
            return held(catalogue, *arguments)

        monkeypatch.setattr(SqlCatalogue, method, wait)

    async def is_reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, PATIENCE_S)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A database with the catalogue azores beside the default one."""
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    make_catalogue(url)
    people = open_people(url)
    people.add_user(MAYA)
    people.add_catalogue("azores", MAYA, None, OPERATOR)
    return Settings(catalogue_url=url)


@pytest.fixture
def writer(settings: Settings, narrow_folder: ModelFolder) -> Any:
    return Catalogue.func_or_class(settings, narrow_folder)


@pytest.fixture
def matcher(settings: Settings, narrow_folder: ModelFolder) -> Any:
    return Matcher.func_or_class(settings, narrow_folder, "cpu")


async def best(matcher: Any, folder: ModelFolder, catalogue: str = DEFAULT_CATALOGUE, **detail: Any) -> str:
    wanted = Detail(**detail) if detail else None
    async with asyncio.timeout(PATIENCE_S):
        (ranking,) = await matcher.rank(catalogue, [query(folder)], 5, wanted)
    assert ranking.failure is None
    name: str = ranking.candidates[0].individual
    return name


async def test_every_ranking_holds_what_was_confirmed_before_it(
    writer: Any, matcher: Any, narrow_folder: ModelFolder
) -> None:
    for number in range(3):
        said = [query(narrow_folder, f"W{number}")]
        assert await writer.confirm("azores", said, LOCAL_USER, f"k{number}", False) == [None]
        assert await best(matcher, narrow_folder, "azores") == f"W{number}"
        assert await best(matcher, narrow_folder) == "Unknown"
    with pytest.raises(NoSuchCatalogueError):
        await best(matcher, narrow_folder, "absent")


async def test_ranking_and_health_do_not_wait_for_a_writer_that_waits_for_another_process(
    writer: Any, matcher: Any, settings: Settings, narrow_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 3 * PATIENCE_S)
    other = sqlite3.connect(settings.catalogue_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    said = (DEFAULT_CATALOGUE, [query(narrow_folder, "A")], LOCAL_USER, "key", True)
    confirming = asyncio.create_task(writer.confirm(*said))
    try:
        assert await best(matcher, narrow_folder) == "Unknown"
        async with asyncio.timeout(PATIENCE_S):
            described = await writer.describe()
            assert await matcher.describe() == {}
        assert not confirming.done()
    finally:
        other.execute("ROLLBACK")
    assert await confirming == [None]
    assert await best(matcher, narrow_folder) == "A"
    assert (await writer.describe())["catalogue"]["individuals"] == described["catalogue"]["individuals"] + 1


async def test_a_catalogue_that_is_slow_to_read_holds_up_its_own_rankings_alone(
    matcher: Any, narrow_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await best(matcher, narrow_folder, "azores") == "Unknown"
    gate = Gate(monkeypatch, "head", "azores")
    held = [asyncio.create_task(best(matcher, narrow_folder, "azores")) for _ in range(30)]
    try:
        await gate.is_reached()
        for _ in range(3):
            assert await best(matcher, narrow_folder) == "Unknown"
        assert not any(task.done() for task in held)
    finally:
        gate.opened.set()
    assert await asyncio.gather(*held) == ["Unknown"] * 30
    assert gate.calls <= 2, "who waits shares a look"


async def test_a_catalogue_that_takes_long_to_load_holds_up_no_other(
    matcher: Any, writer: Any, narrow_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.confirm("azores", [query(narrow_folder, "A")], LOCAL_USER, "key", False)
    gate = Gate(monkeypatch, "read_rows", "azores")
    loading = [asyncio.create_task(best(matcher, narrow_folder, "azores")) for _ in range(30)]
    try:
        await gate.is_reached()
        assert await best(matcher, narrow_folder) == "Unknown"
    finally:
        gate.opened.set()
    assert await asyncio.gather(*loading) == ["A"] * 30
    assert gate.calls == 1


@pytest.mark.parametrize(
    ("method", "detail"),
    [("find_matching", Detail(0, Filters(bodyPart="fluke"))), ("encounters_of", Detail(2, None))],
)
async def test_what_details_ask_the_database_holds_up_nobody_else(
    method: str,
    detail: Detail,
    writer: Any,
    matcher: Any,
    narrow_folder: ModelFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await writer.confirm(DEFAULT_CATALOGUE, [query(narrow_folder, "A")], LOCAL_USER, "key", False)
    gate = Gate(monkeypatch, method, DEFAULT_CATALOGUE)
    detailed = asyncio.create_task(best(matcher, narrow_folder, references=detail.references, filters=detail.filters))
    try:
        await gate.is_reached()
        for _ in range(3):
            assert await best(matcher, narrow_folder) == "A"
        assert not detailed.done()
    finally:
        gate.opened.set()
    assert await detailed == "A"


async def test_several_catalogues_are_ranked_together(writer: Any, matcher: Any, narrow_folder: ModelFolder) -> None:
    for catalogue, name in ((DEFAULT_CATALOGUE, "Dante"), ("azores", "Bice")):
        assert await writer.confirm(catalogue, [query(narrow_folder, name)], LOCAL_USER, name, False) == [None]
    views = {"azores": True, DEFAULT_CATALOGUE: False}
    (ranking,) = await matcher.rank_in_several(views, [query(narrow_folder)], 2, None)
    assert [(each.catalogue, each.individual, each.distance) for each in ranking.candidates] == [
        ("azores", "Bice", 0.0),
        (DEFAULT_CATALOGUE, "Dante", 0.0),
    ]
    assert ranking.description is not None
    with pytest.raises(NoSuchCatalogueError):
        await matcher.rank_in_several({"azores": True, "absent": True}, [query(narrow_folder)], 2, None)


class CountedMatcher:
    """Ranks two queries at a time, and says who asked for them."""

    at_once = 2

    def __init__(self) -> None:
        self.ranked: list[list[str]] = []
        self.first = threading.Event()
        self.go_on = threading.Event()

    def prepare(self, _: Detail) -> bytes:
        return b""

    def compare(self, queries: list[Any], *_: Any) -> Ranked:
        self.ranked.append([query.path for query in queries])
        self.first.set()
        assert self.go_on.wait(PATIENCE_S)
        return Ranked([Ranking(())] * len(queries), {}, 0)


@pytest.mark.parametrize(("detail", "at_once"), [(None, 2), (Detail(0, None), 2), (Detail(3, None), 1)])
async def test_a_single_query_waits_for_no_more_than_two_turns_of_a_large_request(
    detail: Detail | None, at_once: int
) -> None:
    matcher: Any = CountedMatcher()
    many, one = ([SimpleNamespace(path=path)] * count for path, count in (("many", 64), ("one", 1)))
    with ThreadPoolExecutor(1) as thread:
        large = asyncio.create_task(rank_in_turns(thread, matcher, many, 5, detail))
        assert await asyncio.to_thread(matcher.first.wait, PATIENCE_S)
        single = asyncio.create_task(rank_in_turns(thread, matcher, one, 5))
        await asyncio.sleep(0)
        matcher.go_on.set()
        assert len(await single) == 1
        assert len(await large) == 64
    assert matcher.ranked.index(["one"]) <= 2
    assert [len(some) for some in matcher.ranked if "many" in some] == [at_once] * (64 // at_once)


async def test_a_replica_never_makes_a_catalogue(narrow_folder: ModelFolder, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "catalogue.sqlite"
    settings = Settings(catalogue_url=f"sqlite:///{file}")
    for make in (lambda: Matcher.func_or_class(settings, narrow_folder, "cpu"), writer_of(settings, narrow_folder)):
        with pytest.raises(CatalogueOpenError, match=r"there is no catalogue at .*start command"):
            make()
    assert not file.parent.exists()
    make_catalogue(settings.catalogue_url)
    assert await best(Matcher.func_or_class(settings, narrow_folder, "cpu"), narrow_folder) == "Unknown"


def writer_of(settings: Settings, folder: ModelFolder) -> Any:
    return lambda: Catalogue.func_or_class(settings, folder)

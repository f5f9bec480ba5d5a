"""Matchers of many catalogues in a bounded memory."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.matchers import LoadedMatchers
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import NoSuchCatalogueError
from pipeline.records import OPERATOR, Actor, PhotoKey, Query
from tests.confirming import confirm, word

MAYA = Actor("WDC", "Maya")
NAMES = ("azores", "georgia", "madeira")
QUERY = Query(PhotoKey("path:q"), "q", "fluke", np.ones(2, dtype=np.float32), None, None)


@pytest.fixture
def catalogues(tmp_path: Path) -> LoadedCatalogues:
    """Three catalogues of the same size beside the default one, each of whose individual has its name."""
    made = LoadedCatalogues(open_catalogue(f"sqlite:///{tmp_path}/c.sqlite"), [LoadedModel("fluke", "m1", 2)])
    made.people.add_user(MAYA)
    for name in NAMES:
        made.people.add_catalogue(name, MAYA, None, OPERATOR)
        confirm(made.catalogue(name), [word(f"{name}{number}", name) for number in range(10)])
    return made


def room_for(catalogues: LoadedCatalogues, count: int) -> int:
    """Return what so many of the catalogues take, and half of another one."""
    every = LoadedMatchers(catalogues, "cpu", 2**30)
    for name in NAMES:
        every.current(name)
    return round(every.size_bytes / len(NAMES) * (count + 0.5))


def test_all_stay_that_there_is_room_for(catalogues: LoadedCatalogues) -> None:
    matchers = LoadedMatchers(catalogues, "cpu", room_for(catalogues, 3))
    loaded = {name: matchers.current(name) for name in NAMES}
    assert {name: matchers.current(name) for name in NAMES} == loaded


def test_the_one_that_was_used_longest_ago_gives_way_and_is_loaded_again(catalogues: LoadedCatalogues) -> None:
    matchers = LoadedMatchers(catalogues, "cpu", room_for(catalogues, 2))
    kept, dropped = matchers.current("azores"), matchers.current("georgia")
    assert matchers.current("azores") is kept
    matchers.current("madeira")
    assert matchers.names == ["azores", "madeira"]
    confirm(catalogues.catalogue("georgia"), [word("new", "Nova")])
    again = matchers.current("georgia")
    assert again is not dropped
    assert {each.individual for each in again.rank([QUERY], None)[0].candidates} == {"georgia", "Nova", "Unknown"}


def test_what_is_in_use_never_gives_way(catalogues: LoadedCatalogues) -> None:
    matchers = LoadedMatchers(catalogues, "cpu", 1)
    with matchers.using("azores"), matchers.using("azores"):
        used = matchers.current("azores")
        for name in ("georgia", "madeira"):
            with matchers.using(name):
                matchers.current(name)
        assert matchers.names == ["azores", "madeira"]
        assert matchers.current("azores") is used
    matchers.current("georgia")
    assert matchers.names == ["georgia"]


def test_room_is_made_as_soon_as_nobody_uses_it(catalogues: LoadedCatalogues) -> None:
    matchers = LoadedMatchers(catalogues, "cpu", 1)
    with matchers.using("azores"), matchers.using("georgia"):
        matchers.current("azores")
        matchers.current("georgia")
        assert matchers.names == ["azores", "georgia"]
    assert matchers.names == ["georgia"]


def test_a_load_that_fails_leaves_no_trace(catalogues: LoadedCatalogues) -> None:
    matchers = LoadedMatchers(catalogues, "cpu", 1)
    with pytest.raises(NoSuchCatalogueError), matchers.using("absent"):
        matchers.current("absent")
    assert matchers.names == []


def test_more_photos_take_more_of_the_memory(catalogues: LoadedCatalogues) -> None:
    matchers = LoadedMatchers(catalogues, "cpu", 2**30)
    matchers.current("azores")
    before = matchers.size_bytes
    confirm(catalogues.catalogue("azores"), [word(f"more{number}", "azores") for number in range(1000)])
    matchers.current("azores")
    assert matchers.size_bytes - before >= 1000 * 2 * 8

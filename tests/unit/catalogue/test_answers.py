"""Every request without elements has a handler, whose answer is of the type that the request promises."""

from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from pipeline.access import Permit
from pipeline.catalogue.answers import HANDLERS, answer
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.matching import LoadedModel
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.protocol.requests import MESSAGES, Catalogues, CataloguesReply, ListRequest, Request
from pipeline.records import LOCAL_USER, Actor, PhotoKey, Query
from pipeline.rights import LOCAL_STANDING, Held, Right, Standing

MODEL = LoadedModel("fluke", "abc", 2)


def test_every_request_without_elements_has_a_handler() -> None:
    asked = {kind for kind in MESSAGES.values() if issubclass(kind, Request) and not issubclass(kind, ListRequest)}
    assert set(HANDLERS) == asked
    assert all(kind.reply is not None for kind in asked)


def test_the_catalogues_are_listed_with_what_they_hold(tmp_path: Path) -> None:
    loaded = LoadedCatalogues(open_catalogue(f"sqlite:///{tmp_path}/c.sqlite"), [MODEL])
    matcher = loaded.matcher("default")
    values = np.array([1.0, 0.0], dtype=np.float32)
    names = ("Dante", "Dante", "Vergil")
    queries = [Query(PhotoKey(f"path:{n}"), f"{n}", "fluke", values, None, name) for n, name in enumerate(names)]
    matcher.confirm(queries, LOCAL_USER, None)
    entry = {"name": "default", "version": 1, "individuals": 2, "photos": 3, "institution": "default", "species": None}
    given = answer(loaded, Catalogues(type="catalogues", id="x"), Permit(LOCAL_STANDING, None))
    assert given == {"catalogues": [entry | {"right": "admin", "place": "exact", "default": True}]}
    TypeAdapter(CataloguesReply).validate_python(given, strict=True)


def test_who_may_rank_only_is_not_told_what_a_catalogue_holds(tmp_path: Path) -> None:
    loaded = LoadedCatalogues(open_catalogue(f"sqlite:///{tmp_path}/c.sqlite"), [MODEL])
    standing = Standing(Actor("BAS", "Ole"), {"default": Held(Right.MATCH, "WDC", "none", "sperm whale")}, None)
    given = answer(loaded, Catalogues(type="catalogues", id="x"), Permit(standing, None))
    entry = {"name": "default", "institution": "WDC", "species": "sperm whale", "right": "match", "place": "none"}
    assert given == {"catalogues": [entry | {"default": False}]}
    TypeAdapter(CataloguesReply).validate_python(given, strict=True)

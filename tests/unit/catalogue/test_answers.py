"""Every request without elements has a handler, whose answer is of the type that the request promises."""

from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from pipeline.catalogue.answers import HANDLERS, answer
from pipeline.catalogue.following import LoadedModel
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.protocol.requests import MESSAGES, Catalogues, CataloguesReply, ListRequest, Request
from pipeline.records import LOCAL_USER, PhotoKey, Query

MODEL = LoadedModel("fluke", "abc", 2)


def test_every_request_without_elements_has_a_handler() -> None:
    asked = {kind for kind in MESSAGES.values() if issubclass(kind, Request) and not issubclass(kind, ListRequest)}
    assert set(HANDLERS) == asked
    assert all(kind.reply is not None for kind in asked)


def test_the_catalogues_are_listed_with_what_they_hold(tmp_path: Path) -> None:
    matcher = CatalogueMatcher(open_catalogue(f"sqlite:///{tmp_path}/c.sqlite"), [MODEL])
    values = np.array([1.0, 0.0], dtype=np.float32)
    names = ("Dante", "Dante", "Vergil")
    queries = [Query(PhotoKey(f"path:{n}"), f"{n}", "fluke", values, None, name) for n, name in enumerate(names)]
    matcher.confirm(queries, LOCAL_USER, None)
    given = answer(matcher, Catalogues(type="catalogues", id="x"), LOCAL_USER)
    assert given == {"catalogues": [{"name": "default", "version": 1, "individuals": 2, "photos": 3}]}
    TypeAdapter(CataloguesReply).validate_python(given, strict=True)

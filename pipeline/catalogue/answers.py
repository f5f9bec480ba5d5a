"""Answers requests about the catalogue that have one answer: a table from each kind of request to its handler."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.sql_store import DEFAULT_CATALOGUE
from pipeline.protocol.requests import CatalogueEntry, Catalogues, Request
from pipeline.records import Actor

Handler = Callable[[CatalogueMatcher, Any, Actor], dict[str, Any]]
"""Takes the catalogue, the message and who sent it; returns the `data` of the answer, of the request's `reply` type."""


def _catalogues(matcher: CatalogueMatcher, _: Catalogues, __: Actor) -> dict[str, Any]:
    status = matcher.status()
    entry = CatalogueEntry(
        name=DEFAULT_CATALOGUE, version=status.head.version, individuals=status.individuals, photos=status.photos
    )
    return {"catalogues": [entry]}


HANDLERS: Mapping[type[Request], Handler] = {Catalogues: _catalogues}
"""Every request without elements has a row here."""


def answer(matcher: CatalogueMatcher, message: Request, actor: Actor) -> dict[str, Any]:
    """Return the `data` of a request's answer.

    Raises:
        CatalogueUnavailableError: the catalogue cannot be read or written.
    """
    return HANDLERS[type(message)](matcher, message, actor)

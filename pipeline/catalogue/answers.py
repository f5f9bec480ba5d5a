"""Answers requests about the catalogue that have one answer: a table from each kind of request to its handler."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.protocol.requests import Request
from pipeline.records import Actor

Handler = Callable[[CatalogueMatcher, Any, Actor], dict[str, Any]]
"""Takes the catalogue, the message and who sent it; returns the `data` of the answer, of the request's `reply` type."""

HANDLERS: Mapping[type[Request], Handler] = {}
"""Every request without elements has a row here."""


def answer(matcher: CatalogueMatcher, message: Request, actor: Actor) -> dict[str, Any]:
    """Return the `data` of a request's answer.

    Raises:
        CatalogueUnavailableError: the catalogue cannot be read or written.
    """
    return HANDLERS[type(message)](matcher, message, actor)

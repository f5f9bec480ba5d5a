"""Answers requests about the catalogue that have one answer: a table from each kind of request to its handler."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.access import Permit
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.protocol.requests import CatalogueEntry, Catalogues, Request
from pipeline.rights import Right

Handler = Callable[[LoadedCatalogues, Any, Permit], dict[str, Any]]
"""Takes the catalogues, the message and what its sender may do; returns the `data` of the answer, of the request's
`reply` type."""


def _catalogues(loaded: LoadedCatalogues, _: Catalogues, permit: Permit) -> dict[str, Any]:
    """List what the client may know of; who may rank only is told no more than that."""
    entries: list[CatalogueEntry] = []
    for name, held in permit.standing.held.items():
        entry: CatalogueEntry = {"name": name}
        if held.right.includes(Right.VIEW):
            head, counts = loaded.counts(name)
            entry |= {"version": head.version, "individuals": counts.individuals, "photos": counts.photos}
        entry |= {"institution": held.institution, "species": held.species, "right": held.right.value}
        entry |= {"place": held.place, "default": name == permit.standing.default}
        entries.append(entry)
    return {"catalogues": entries}


HANDLERS: Mapping[type[Request], Handler] = {Catalogues: _catalogues}
"""Every request without elements has a row here."""


def answer(loaded: LoadedCatalogues, message: Request, permit: Permit) -> dict[str, Any]:
    """Return the `data` of a request's answer.

    Raises:
        CatalogueUnavailableError: the catalogue cannot be read or written.
    """
    return HANDLERS[type(message)](loaded, message, permit)

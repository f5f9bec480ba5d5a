"""Answers requests about a catalogue: a table from each to what reads the catalogue, or to the verb that it says."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pipeline.catalogue import verbs
from pipeline.catalogue.port import EditableCatalogue
from pipeline.catalogue.rows import Head
from pipeline.catalogue.vectors import storable_text
from pipeline.catalogue.views import PAGE, AnnotationFilter, HistoryFilter, IndividualFilter, Page
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import (
    LARGEST,
    Aliases,
    Annotations,
    AnnotationsRequest,
    ChangeRequest,
    Decide,
    Describe,
    History,
    Individual,
    Individuals,
    Merge,
    Move,
    PageRequest,
    Remove,
    Rename,
    Review,
    Split,
    Subscribe,
    Undo,
)
from pipeline.records import Actor

Answer = dict[str, Any]
"""The `data` of an answer, of the request's `reply` type."""

Reader = Callable[[EditableCatalogue, Any, Actor], Answer]
"""Takes the catalogue, the message and who sent it."""


def _individuals(catalogue: EditableCatalogue, message: Individuals, _: Actor) -> Answer:
    wanted = IndividualFilter(**_filters(message, "search", "species", "sex", "body_part"))
    return page_answer("individuals", catalogue.individuals(wanted, *_place(message)))


def _individual(catalogue: EditableCatalogue, message: Individual, _: Actor) -> Answer:
    return _as_answer(catalogue.individual(message.individual))


def _annotations(catalogue: EditableCatalogue, message: AnnotationsRequest, _: Actor) -> Answer:
    filters = _filters(message, "individual", "encounter", "body_part", "side", "quality")
    wanted = AnnotationFilter(**filters, waiting=isinstance(message, Review))
    return page_answer("annotations", catalogue.annotations(wanted, *_place(message)))


def _history(catalogue: EditableCatalogue, message: History, _: Actor) -> Answer:
    wanted = HistoryFilter(**_filters(message, "individual", "annotation", "since"))
    return page_answer("events", catalogue.history(wanted, *_place(message)))


def _news(catalogue: EditableCatalogue, message: Subscribe, _: Actor) -> Answer:
    since = LARGEST if message.since is None else message.since
    page = catalogue.history(HistoryFilter(since=since, oldest_first=True))
    return {"catalogue": catalogue.name, "head": _as_answer(page.head), "events": _plain_entries(page)}


READERS: Mapping[type[Request], Reader] = {
    Individuals: _individuals,
    Individual: _individual,
    Annotations: _annotations,
    Review: _annotations,
    History: _history,
    Subscribe: _news,
}
"""What answers each request without elements that changes nothing; `subscribe` is answered anew as events come."""


def _decide(message: Decide) -> verbs.Verb:
    return verbs.Decide(tuple(verbs.Decision(**dict(verdict)) for verdict in message.decisions))


def _describe(message: Describe) -> verbs.Verb:
    things: Mapping[verbs.Thing, int | None] = {
        "individual": message.individual,
        "annotation": message.annotation,
        "sighting": message.sighting,
    }
    values = message.values.model_dump(include=message.values.model_fields_set)
    (described,) = (verbs.Describe(thing, number, values) for thing, number in things.items() if number is not None)
    return described


VERBS: Mapping[type[Request], Callable[[Any], verbs.Verb]] = {
    Decide: _decide,
    Rename: lambda message: verbs.Rename(message.individual, message.name, message.keep),
    Aliases: lambda message: verbs.Alias(message.individual, message.add, message.remove),
    Merge: lambda message: verbs.Merge(message.into, message.others),
    Split: lambda message: verbs.Split(message.annotations, message.individual, message.name),
    Move: lambda message: verbs.Move(message.annotations, message.encounter, message.sighting),
    Remove: lambda message: verbs.Remove(message.annotations),
    Describe: _describe,
    Undo: lambda message: verbs.Undo(message.version),
}
"""The verb that each request says which changes the catalogue."""


def answer(catalogue: EditableCatalogue, message: Request, actor: Actor) -> Answer:
    """Return the `data` of the answer to a request of `READERS`.

    Raises:
        CatalogueUnavailableError: the catalogue cannot be read.
        MalformedMessageError: `after` is none that a page gave.
        NotInCatalogueError: there is no individual of this number.
    """
    return READERS[type(message)](catalogue, message, actor)


def change(catalogue: EditableCatalogue, message: ChangeRequest, actor: Actor, only_changes: bool = False) -> Answer:
    """Say the verb of a request of `VERBS`, and return the `data` of its answer.

    Args:
        catalogue: to be changed.
        message: what is said.
        actor: who says it.
        only_changes: the message's key is the service's own (`pipeline.catalogue.port.EditableCatalogue.change`).

    Raises:
        RequestError: as `EditableCatalogue.change`; nothing was stored.
    """
    known = None if message.known is None else Head(message.known.version, message.known.nonce)
    key, reason = (None if text is None else storable_text(text) for text in (message.key, message.reason))
    changed = catalogue.change(VERBS[type(message)](message), actor, key, known, reason, only_changes)
    return _as_answer(changed)


def heads(catalogue: EditableCatalogue) -> Answer:
    """Return the state of each catalogue of a database by its name, as answers have it."""
    return {name: _as_answer(head) for name, head in catalogue.heads().items()}


def _filters(message: Request, *names: str) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in names}
    return {name: storable_text(value) if isinstance(value, str) else value for name, value in values.items()}


def _place(message: PageRequest) -> tuple[str | None, int]:
    return message.after, PAGE if message.limit is None else message.limit


def page_answer(name: str, page: Page[Any]) -> Answer:
    """Return the `data` of an answer that is a page of a list; its entries are called by the name."""
    return {"head": _as_answer(page.head), name: _plain_entries(page), "next": page.next, "total": page.total}


def _plain_entries(page: Page[Any]) -> list[Answer]:
    return [_as_answer(entry) for entry in page.entries]


def _as_answer(record: Any) -> Answer:
    plain: Answer = _plain(asdict(record))
    return plain


def _plain(value: Any) -> Any:
    """Return what JSON can carry."""
    match value:
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case datetime():
            return value.isoformat()
    return value

"""Answers requests about a catalogue: a table from each to what reads the catalogue, or to the verb that it says."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pipeline.catalogue import verbs
from pipeline.catalogue.clocks import ALL_CAMERAS
from pipeline.catalogue.places import blur
from pipeline.catalogue.port import EditableCatalogue
from pipeline.catalogue.proposals import ProposalFilter
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
    Values,
)
from pipeline.protocol.sighting_requests import ProposeSightings
from pipeline.records import Actor
from pipeline.rights import Place

Answer = dict[str, Any]
"""The `data` of an answer, of the request's `reply` type."""

Reader = Callable[[EditableCatalogue, Any, Place], Answer]
"""Takes the catalogue, the message and what its sender sees of places."""


def _individuals(catalogue: EditableCatalogue, message: Individuals, _: Place) -> Answer:
    wanted = IndividualFilter(**_filters(message, "search", "species", "sex", "body_part"))
    return page_answer("individuals", catalogue.individuals(wanted, *_place(message)))


def _individual(catalogue: EditableCatalogue, message: Individual, place: Place) -> Answer:
    shown = _as_answer(catalogue.individual(message.individual))
    return shown | {"encounters": [blur(encounter, place) for encounter in shown["encounters"]]}


def _annotations(catalogue: EditableCatalogue, message: AnnotationsRequest, _: Place) -> Answer:
    filters = _filters(message, "individual", "encounter", "body_part", "side", "quality")
    wanted = AnnotationFilter(**filters, waiting=isinstance(message, Review))
    return page_answer("annotations", catalogue.annotations(wanted, *_place(message)))


def _history(catalogue: EditableCatalogue, message: History, _: Place) -> Answer:
    wanted = HistoryFilter(**_filters(message, "individual", "annotation", "since"))
    return page_answer("events", catalogue.history(wanted, *_place(message)))


def _news(catalogue: EditableCatalogue, message: Subscribe, _: Place) -> Answer:
    since = LARGEST if message.since is None else message.since
    page = catalogue.history(HistoryFilter(since=since, oldest_first=True))
    return {"catalogue": catalogue.name, "head": _as_answer(page.head), "events": _plain_entries(page)}


def _propose_sightings(catalogue: EditableCatalogue, message: ProposeSightings, place: Place) -> Answer:
    wanted = ProposalFilter(message.annotations, message.gap_min, place)
    return _as_answer(catalogue.propose_sightings(wanted, *_place(message)))


READERS: Mapping[type[Request], Reader] = {
    Individuals: _individuals,
    Individual: _individual,
    Annotations: _annotations,
    Review: _annotations,
    History: _history,
    Subscribe: _news,
    ProposeSightings: _propose_sightings,
}
"""What answers each request without elements that changes nothing; `subscribe` is answered anew as events come."""


def _decide(message: Decide) -> verbs.Verb:
    return verbs.Decide(tuple(verbs.Decision(**dict(verdict)) for verdict in message.decisions))


def _describe(message: Describe) -> verbs.Verb:
    things: Mapping[verbs.Thing, int | str | None] = {
        "individual": message.individual,
        "annotation": message.annotation,
        "sighting": message.sighting,
        "camera": message.camera,
    }
    values = _given(message.values)
    named = (verbs.Describe(thing, which, values) for thing, which in things.items() if which is not None)
    return next(named, verbs.Describe("catalogue", ALL_CAMERAS, values))


def _move(message: Move) -> verbs.Verb:
    values = {} if message.values is None else _given(message.values)
    return verbs.Move(message.annotations, message.encounter, message.sighting, values)


def _given(values: Values) -> verbs.Description:
    return values.model_dump(include=values.model_fields_set)


VERBS: Mapping[type[Request], Callable[[Any], verbs.Verb]] = {
    Decide: _decide,
    Rename: lambda message: verbs.Rename(message.individual, message.name, message.keep),
    Aliases: lambda message: verbs.Alias(message.individual, message.add, message.remove),
    Merge: lambda message: verbs.Merge(message.into, message.others),
    Split: lambda message: verbs.Split(message.annotations, message.individual, message.name),
    Move: _move,
    Remove: lambda message: verbs.Remove(message.annotations),
    Describe: _describe,
    Undo: lambda message: verbs.Undo(message.version),
}
"""The verb that each request says which changes the catalogue."""


def answer(catalogue: EditableCatalogue, message: Request, place: Place) -> Answer:
    """Return the `data` of the answer to a request of `READERS`, as far as somebody may see who sees places so.

    Raises:
        CatalogueUnavailableError: the catalogue cannot be read.
        MalformedMessageError: `after` is none that a page gave.
        NotInCatalogueError: there is no individual, or no annotation, of a number that is asked for.
    """
    return READERS[type(message)](catalogue, message, place)


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

"""A catalogue as programs see it: its lists, and changes of it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar, Unpack
from uuid import uuid4

from pipeline.client.asking import ask_for_answer, ask_for_answers
from pipeline.client.catalogue_filters import (
    AnnotationFilters,
    HistoryFilters,
    IndividualFilters,
    PairFilters,
    ProposalOptions,
)
from pipeline.client.catalogue_results import (
    Annotation,
    Changed,
    Entry,
    Event,
    Head,
    Individual,
    IndividualDetail,
    News,
    Page,
    SuggestedMerge,
    read_annotation,
    read_changed,
    read_detail,
    read_event,
    read_head,
    read_individual,
    read_news,
    read_suggestion,
)
from pipeline.client.connection import Server
from pipeline.client.errors import BadAnswerError
from pipeline.client.listing import AsyncListing, Listing, Run
from pipeline.client.proposals import Clocks, ProposedSighting, Undated, read_clocks, read_proposals
from pipeline.client.results import JsonObject
from pipeline.client.verbs import Verb, message_fields

Read = TypeVar("Read")

_WIRE_NAMES = {"body_part": "bodyPart", "page_size": "limit"}


class AsyncCatalogue:
    """One catalogue of a server; its calls raise what those of `AsyncClient` do.

    `RequestFailedError` has the server's code: `no_such_catalogue`, and those of changes that are refused.
    """

    def __init__(self, server: Server, name: str | None = None) -> None:
        self._server = server
        self._name = name

    def named(self, name: str) -> "AsyncCatalogue":
        """Return another catalogue of the same server."""
        return AsyncCatalogue(self._server, name)

    def individuals(self, **filters: Unpack[IndividualFilters]) -> AsyncListing[Individual]:
        """List individuals by name."""
        return self._list("individuals", "individuals", filters, read_individual)

    async def individual(self, individual: int) -> IndividualDetail:
        """Return one individual; of a number that was merged into another, that one."""
        return await self._ask("individual", {"individual": individual}, read_detail)

    def annotations(self, **filters: Unpack[AnnotationFilters]) -> AsyncListing[Annotation]:
        """List annotations in the order in which they came."""
        return self._list("annotations", "annotations", filters, read_annotation)

    def review(self, **filters: Unpack[AnnotationFilters]) -> AsyncListing[Annotation]:
        """List the annotations that wait for a person: guesses, and those that somebody was unsure of."""
        return self._list("review", "annotations", filters, read_annotation)

    def history(self, **filters: Unpack[HistoryFilters]) -> AsyncListing[Event]:
        """List events, newest first."""
        return self._list("history", "events", filters, read_event)

    def propose_sightings(self, **options: Unpack[ProposalOptions]) -> AsyncListing[ProposedSighting | Undated]:
        """List sightings that photos may be of, then the annotations that have no date; the catalogue stays as it is.

        `Move` makes what a person agrees to, with a sighting's `values`.
        """

        def read(data: JsonObject) -> Page[ProposedSighting | Undated]:
            return Page(read_head(data), read_proposals(data), data["next"], data["total"])

        return self._pages("propose_sightings", options, read)

    async def clocks(self) -> Clocks:
        """Return by what time zone and clocks sightings are proposed; `Describe` says others."""
        return await self._ask("propose_sightings", {"limit": 1}, read_clocks)

    def suggest_merges(self, **filters: Unpack[PairFilters]) -> AsyncListing[SuggestedMerge]:
        """List pairs of individuals that may be one, by their numbers; how many there are is not told before."""
        return self._list("suggest_merges", "pairs", filters, read_suggestion)

    async def change(
        self, verb: Verb, *, known: Head | None = None, reason: str | None = None, key: str | None = None
    ) -> Changed:
        """Change the catalogue in one event: whole or not at all, on the server's disk when this returns.

        What was stored before the connection was lost is not stored anew when it is asked again.

        Args:
            verb: one of `pipeline.client.verbs`.
            known: the state that was decided on; the change is refused (`changed_since`) where what it is about has
                changed since.
            reason: kept with the event.
            key: names the change, so that a later call with the same one changes nothing; by default each call has one.
        """
        state = None if known is None else {"version": known.version, "nonce": known.nonce}
        fields = {**message_fields(verb), "known": state, "reason": reason, "key": key or uuid4().hex}
        return await self._ask(verb.kind, fields, read_changed)

    async def subscribe(self, since: int | None = None) -> AsyncGenerator[News]:
        """Yield what is new as it comes, also across lost connections; the first tells the state that there is.

        Leaving the loop ends the subscription; use `contextlib.aclosing` to do so at once.

        Args:
            since: version of the last event that the caller knows; without it, events from now on.
        """
        known = since

        def fields() -> JsonObject:
            return self._fields({"since": known})

        async with aclosing(ask_for_answers(self._server, "subscribe", fields, endless=True)) as answers:
            async for data in answers:
                news = _read("subscribe", data, read_news)
                known = news.events[-1].version if news.events else news.head.version
                yield news

    def _list(
        self, kind: str, entries: str, filters: Mapping[str, Any], read_entry: Callable[[JsonObject], Entry]
    ) -> AsyncListing[Entry]:
        def read(data: JsonObject) -> Page[Entry]:
            return Page(read_head(data), tuple(map(read_entry, data[entries])), data["next"], data["total"])

        return self._pages(kind, filters, read)

    def _pages(
        self, kind: str, filters: Mapping[str, Any], read: Callable[[JsonObject], Page[Entry]]
    ) -> AsyncListing[Entry]:
        fields = {_WIRE_NAMES.get(name, name): value for name, value in filters.items()}
        return AsyncListing(lambda after: self._ask(kind, {**fields, "after": after}, read))

    async def _ask(self, kind: str, fields: JsonObject, read: Callable[[JsonObject], Read]) -> Read:
        return _read(kind, await ask_for_answer(self._server, kind, self._fields(fields)), read)

    def _fields(self, fields: JsonObject) -> JsonObject:
        given = {"catalogue": self._name, **fields}
        return {name: value for name, value in given.items() if value is not None}


def _read(kind: str, data: JsonObject, read: Callable[[JsonObject], Read]) -> Read:
    try:
        return read(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadAnswerError(f"the server's answer to {kind} cannot be read: {error!r}") from error


class Catalogue:
    """One catalogue of a server, for programs without asyncio; see `AsyncCatalogue`."""

    def __init__(self, catalogue: AsyncCatalogue, run: Run) -> None:
        self._catalogue = catalogue
        self._run = run

    def named(self, name: str) -> "Catalogue":
        """Return another catalogue of the same server."""
        return Catalogue(self._catalogue.named(name), self._run)

    def individuals(self, **filters: Unpack[IndividualFilters]) -> Listing[Individual]:
        """List individuals by name; see `AsyncCatalogue.individuals`."""
        return Listing(self._catalogue.individuals(**filters), self._run)

    def individual(self, individual: int) -> IndividualDetail:
        """Return one individual; see `AsyncCatalogue.individual`."""
        return self._run(self._catalogue.individual(individual))

    def annotations(self, **filters: Unpack[AnnotationFilters]) -> Listing[Annotation]:
        """List annotations; see `AsyncCatalogue.annotations`."""
        return Listing(self._catalogue.annotations(**filters), self._run)

    def review(self, **filters: Unpack[AnnotationFilters]) -> Listing[Annotation]:
        """List the annotations that wait for a person; see `AsyncCatalogue.review`."""
        return Listing(self._catalogue.review(**filters), self._run)

    def history(self, **filters: Unpack[HistoryFilters]) -> Listing[Event]:
        """List events; see `AsyncCatalogue.history`."""
        return Listing(self._catalogue.history(**filters), self._run)

    def propose_sightings(self, **options: Unpack[ProposalOptions]) -> Listing[ProposedSighting | Undated]:
        """List sightings that photos may be of; see `AsyncCatalogue.propose_sightings`."""
        return Listing(self._catalogue.propose_sightings(**options), self._run)

    def clocks(self) -> Clocks:
        """Return by what time zone and clocks sightings are proposed; see `AsyncCatalogue.clocks`."""
        return self._run(self._catalogue.clocks())

    def suggest_merges(self, **filters: Unpack[PairFilters]) -> Listing[SuggestedMerge]:
        """List pairs of individuals that may be one; see `AsyncCatalogue.suggest_merges`."""
        return Listing(self._catalogue.suggest_merges(**filters), self._run)

    def change(
        self, verb: Verb, *, known: Head | None = None, reason: str | None = None, key: str | None = None
    ) -> Changed:
        """Change the catalogue in one event; see `AsyncCatalogue.change`."""
        return self._run(self._catalogue.change(verb, known=known, reason=reason, key=key))

"""A catalogue as programs see it: its lists, and changes of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar, Unpack
from uuid import uuid4

from pipeline.client.asking import ask_for_answer, ask_for_answers
from pipeline.client.catalogue_filters import AnnotationFilters, HistoryFilters, IndividualFilters, PairFilters
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
from pipeline.client.results import JsonObject
from pipeline.client.verbs import Verb, message_fields

Read = TypeVar("Read")

_WIRE_NAMES = {"body_part": "bodyPart", "page_size": "limit"}


class AsyncListing(Generic[Entry]):
    """A list that is read page by page while a loop goes over it.

    Attributes:
        head: the state that the first page was read from, None before: decisions on the list's entries name it.
        total: how long the list is, None before the first page, and of one that is searched for.
    """

    def __init__(self, read_page: Callable[[str | None], Awaitable[Page[Entry]]]) -> None:
        self.head: Head | None = None
        self.total: int | None = None
        self._read_page = read_page

    async def page(self, after: str | None = None) -> Page[Entry]:
        """Return one page: the first, or the one that begins at `next` of the page before."""
        page = await self._read_page(after)
        self.head = self.head or page.head
        self.total = self.total if page.total is None else page.total
        return page

    async def __aiter__(self) -> AsyncGenerator[Entry]:
        page = await self.page()
        for entry in page.entries:
            yield entry
        while page.next is not None:
            page = await self.page(page.next)
            for entry in page.entries:
                yield entry


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
        fields = {_WIRE_NAMES.get(name, name): value for name, value in filters.items()}

        def read(data: JsonObject) -> Page[Entry]:
            return Page(read_head(data), tuple(map(read_entry, data[entries])), data["next"], data["total"])

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


class Run(Protocol):
    """Runs a coroutine on the blocking client's event loop and waits for it."""

    def __call__(self, coroutine: Coroutine[Any, Any, Read], /) -> Read:
        """Return what it returns."""


class Listing(Generic[Entry]):
    """As `AsyncListing`, for programs without asyncio."""

    def __init__(self, listing: AsyncListing[Entry], run: Run) -> None:
        self._listing = listing
        self._run = run

    @property
    def head(self) -> Head | None:
        """The state that the first page was read from, None before."""
        return self._listing.head

    @property
    def total(self) -> int | None:
        """How long the list is, None before the first page."""
        return self._listing.total

    def page(self, after: str | None = None) -> Page[Entry]:
        """Return one page; see `AsyncListing.page`."""
        return self._run(self._listing.page(after))

    def __iter__(self) -> Generator[Entry]:
        page = self.page()
        yield from page.entries
        while page.next is not None:
            page = self.page(page.next)
            yield from page.entries


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

    def suggest_merges(self, **filters: Unpack[PairFilters]) -> Listing[SuggestedMerge]:
        """List pairs of individuals that may be one; see `AsyncCatalogue.suggest_merges`."""
        return Listing(self._catalogue.suggest_merges(**filters), self._run)

    def change(
        self, verb: Verb, *, known: Head | None = None, reason: str | None = None, key: str | None = None
    ) -> Changed:
        """Change the catalogue in one event; see `AsyncCatalogue.change`."""
        return self._run(self._catalogue.change(verb, known=known, reason=reason, key=key))

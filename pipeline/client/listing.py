"""Lists that are read page by page while a loop goes over them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

from pipeline.client.catalogue_results import Entry, Head, Page

Read = TypeVar("Read")


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
        """How long the list is, None before the first page, and of one that is searched for."""
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

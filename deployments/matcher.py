"""The matcher deployment: query embeddings in, ranked individuals out; it only reads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ray import serve

from deployments.fresh import FreshLooks
from deployments.logs import log_with_serve
from deployments.metrics import StageMetric
from deployments.model_worker import settle_memory
from pipeline.access import Permit
from pipeline.model_files import ModelFolder
from pipeline.protocol.catalogue_requests import SuggestMerges
from pipeline.protocol.filters import Detail
from pipeline.records import Query, Ranking
from pipeline.rights import DEFAULT_CATALOGUE
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.catalogue.matching import CatalogueMatcher

T = TypeVar("T")

THREADS = {"rank": 1, "follow": 8, "detail": 4}
"""Of each kind of work: one computes, and none of the others, which wait for the database, makes it wait."""


async def rank_in_turns(
    thread: Executor,
    matcher: "CatalogueMatcher",
    queries: Sequence[Query],
    top_k: int | None,
    detail: Detail | None = None,
    reading: Executor | None = None,
) -> list[Ranking]:
    """Rank queries on a thread that many calls share, a few at a time, so that no call waits for the whole of another.

    Args:
        thread: a single one, which takes what is asked of it in order; the database is not asked there.
        matcher: ranks, in the state that it has caught up with.
        queries: of one call.
        top_k: see `CatalogueMatcher.rank`.
        detail: see there.
        reading: threads that ask the database about details.
    """
    loop = asyncio.get_running_loop()
    prepared = None if detail is None else await loop.run_in_executor(reading, matcher.prepare, detail)
    rankings: list[Ranking] = []
    # What references cost depends on how many photos the candidates have.
    at_once = 1 if detail is not None and detail.references else matcher.at_once
    while len(rankings) < len(queries):
        some = queries[len(rankings) : len(rankings) + at_once]
        ranked = await loop.run_in_executor(thread, partial(matcher.compare, some, top_k, detail, prepared))
        rankings += await loop.run_in_executor(reading, matcher.finish, ranked) if ranked.near else ranked.rankings
    return rankings


@serve.deployment
class Matcher:
    """Ranks; every replica answers with all that was committed before the call."""

    def __init__(self, settings: Settings, folder: ModelFolder, device: str) -> None:
        """Open the catalogues and load the default one's galleries.

        Args:
            settings: of the application.
            folder: names the embedders whose rows are ranked.
            device: where distances are computed.

        Raises:
            CatalogueOpenError: there is no catalogue, since a replica never makes one, or it cannot be opened.
        """
        from pipeline.catalogue.matchers import LoadedMatchers
        from pipeline.catalogue.opening import load_catalogues

        log_with_serve()
        catalogues = load_catalogues(settings.catalogue_url, folder)
        self._matchers = LoadedMatchers(catalogues, device, settings.limits.gallery_memory_bytes)
        self._matchers.current(DEFAULT_CATALOGUE)
        self._threads = {
            work: ThreadPoolExecutor(threads, thread_name_prefix=work) for work, threads in THREADS.items()
        }
        self._looks: FreshLooks[CatalogueMatcher] = FreshLooks(self._threads["follow"])
        self._metric = StageMetric("rank")
        settle_memory()

    async def rank(
        self, catalogue: str, queries: Sequence[Query], top_k: int | None, detail: Detail | None = None
    ) -> list[Ranking]:
        """Rank a catalogue's known individuals for each query, in order; see `CatalogueMatcher.rank`.

        A few at a time: calls that come meanwhile take turns with this one, and do not wait for its filters either.

        Raises:
            CatalogueUnavailableError: the catalogue cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        start = time.perf_counter()
        try:
            async with self._current(catalogue) as matcher:
                threads = self._threads
                return await rank_in_turns(threads["rank"], matcher, queries, top_k, detail, threads["detail"])
        finally:
            self._metric.observe(time.perf_counter() - start)

    async def rank_in_several(
        self, catalogues: Mapping[str, bool], queries: Sequence[Query], top_k: int | None, detail: Detail | None
    ) -> list[Ranking]:
        """Rank the individuals of several catalogues together; see `pipeline.catalogue.several`.

        Args:
            catalogues: by name, whether the client may view more of it than names and rounded distances.
            queries: without identity.
            top_k: candidates of all catalogues together.
            detail: see `rank`.

        Raises:
            CatalogueUnavailableError: a catalogue cannot be read.
            NoSuchCatalogueError: there is none of one name.
        """
        from pipeline.catalogue.several import merged

        wanted = Detail(0, None) if detail is None else detail  # descriptions say what was compared in each
        alone = {name: await self.rank(name, queries, top_k, wanted) for name in catalogues}
        return merged(alone, catalogues, top_k, await self._run("detail", self._matchers.signing_key))

    async def guesses(self, catalogue: str, queries: Sequence[Query]) -> list[int]:
        """Return the places of confirmations that may be guesses of a client's; see `CatalogueMatcher.guesses`."""
        places: list[int] = []
        async with self._current(catalogue) as matcher:
            for start in range(0, len(queries), matcher.at_once):
                some = queries[start : start + matcher.at_once]
                found = await self._run("rank", partial(matcher.guesses, some))
                places += sorted(start + place for place in found)
        return places

    async def suggest(self, message: SuggestMerges, permit: Permit) -> dict[str, Any]:
        """Search for individuals that may be one, a few at a time, in turns with rankings; see `PairSearch`.

        Raises:
            CatalogueUnavailableError: the catalogue cannot be read.
            MalformedMessageError: `after` is none that a page gave, or no model is for the body part.
            NoSuchCatalogueError: there is none of this name.
        """
        from pipeline.catalogue.suggesting import PairSearch

        assert permit.catalogue is not None
        async with self._current(permit.catalogue) as matcher:
            search = PairSearch(matcher, message)
            while not search.done:
                await self._run("rank", search.go_on)
            return await self._run("detail", search.answer)

    async def describe(self) -> dict[str, Any]:
        """Answer, which is all that is asked for: that it does so within the time of a health check."""
        return {}

    @asynccontextmanager
    async def _current(self, catalogue: str) -> "AsyncIterator[CatalogueMatcher]":
        """Use the matcher of a catalogue with all that was committed before; it stays loaded until the block ends."""
        with self._matchers.using(catalogue):
            yield await self._looks.look(catalogue, partial(self._matchers.current, catalogue))

    async def _run(self, work: str, what: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads[work], what)

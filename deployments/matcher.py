"""The matcher deployment: query embeddings in, ranked individuals out; the catalogue's lists, and its only writer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ray import serve

from deployments.logs import log_with_serve
from deployments.metrics import StageMetric
from deployments.model_worker import settle_memory
from pipeline.access import Permit
from pipeline.model_files import ModelFolder
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import ChangeRequest, SuggestMerges
from pipeline.protocol.filters import Detail
from pipeline.protocol.rights_requests import RightsChange
from pipeline.records import Actor, Failure, Query, Ranking
from pipeline.rights import DEFAULT_CATALOGUE
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.catalogue.following import Rankable
    from pipeline.catalogue.matching import CatalogueMatcher

Answer = TypeVar("Answer")


THREADS = {"confirm": 1, "change": 1, "rank": 1, "filter": 1, "answer": 4, "describe": 1, "load": 1}
"""Of each call: none waits for another kind's, above all not for one that waits for another process's lock, and a list
that takes long holds up no other list."""


async def rank_in_turns(
    thread: Executor,
    matcher: "CatalogueMatcher",
    queries: Sequence[Query],
    top_k: int | None,
    detail: Detail | None = None,
    filtered: "Rankable | None" = None,
) -> list[Ranking]:
    """Rank queries on a thread that many calls share, a few at a time, so that no call waits for the whole of another.

    Args:
        thread: a single one, which takes what is asked of it in order.
        matcher: ranks.
        queries: of one call.
        top_k: see `CatalogueMatcher.rank`.
        detail: see there.
        filtered: see there.
    """
    rankings: list[Ranking] = []
    while len(rankings) < len(queries):
        some = queries[len(rankings) : len(rankings) + matcher.at_once]
        ranked = partial(matcher.rank, some, top_k, detail, filtered)
        rankings += await asyncio.get_running_loop().run_in_executor(thread, ranked)
    return rankings


@serve.deployment
class Matcher:
    """Confirms, ranks, lists and changes; every replica answers with all that was committed before the call."""

    def __init__(self, settings: Settings, folder: ModelFolder, device: str) -> None:
        """Open the catalogue and take in the models folder's CSVs, once for each content.

        Args:
            settings: of the application.
            folder: names the CSVs and the embedders whose rows are ranked.
            device: where distances are computed.

        Raises:
            CatalogueFileError: a CSV holds a bad row; nothing of any was taken in.
            CatalogueOpenError: there is no catalogue, since a replica never makes one, or it cannot be opened.
        """
        from pipeline.catalogue.opening import load_catalogues

        log_with_serve()
        self._loaded = load_catalogues(settings.catalogue_url, folder, device)
        self._threads = {
            call: ThreadPoolExecutor(threads, thread_name_prefix=call) for call, threads in THREADS.items()
        }
        self._metrics = {stage: StageMetric(stage) for stage in ("confirm", "change", "rank", "answer")}
        settle_memory()

    async def confirm(
        self,
        catalogue: str,
        queries: Sequence[Query],
        actor: Actor,
        key: str,
        only_changes: bool,
        may_guess: bool = False,
    ) -> list[Failure | None]:
        """Store confirmed photos in one event: on disk when this returns; repeating it with its key changes nothing.

        Args:
            catalogue: its name.
            queries: each with an identity.
            actor: who confirms.
            key: of the request, by which a repeat is known also after a correction.
            only_changes: the key is the service's own, so it makes no event where nothing changes.
            may_guess: identities may be what the client was told; those are provisional.

        Returns:
            For each query why it was refused, None where it is stored; all others are.

        Raises:
            CatalogueUnavailableError: nothing was stored.
            KeyReusedError: the actor's key came with other confirmations; nothing was stored.
        """
        matcher = await self._matcher_of(catalogue)
        return await self._timed("confirm", lambda: matcher.confirm(queries, actor, key, only_changes, may_guess))

    async def rank(
        self, catalogue: str, queries: Sequence[Query], top_k: int | None, detail: Detail | None = None
    ) -> list[Ranking]:
        """Rank a catalogue's known individuals for each query, in order; see `CatalogueMatcher.rank`.

        A few at a time: calls that come meanwhile take turns with this one, and do not wait for its filters either.

        Raises:
            CatalogueUnavailableError: the catalogue cannot be read.
            NoSuchCatalogueError: there is none of this name.
        """
        matcher = await self._matcher_of(catalogue)
        start = time.perf_counter()
        try:
            filtered = None
            if detail is not None and detail.filters is not None:
                loop = asyncio.get_running_loop()
                filtered = await loop.run_in_executor(self._threads["filter"], matcher.filtered, detail.filters)
            return await rank_in_turns(self._threads["rank"], matcher, queries, top_k, detail, filtered)
        finally:
            self._metrics["rank"].observe(time.perf_counter() - start)

    async def answer(self, message: Request, permit: Permit) -> dict[str, Any]:
        """Answer a request that has one answer and changes nothing; see `pipeline.catalogue.permitted`."""
        from pipeline.catalogue.permitted import answer

        return await self._timed("answer", lambda: answer(self._loaded, message, permit))

    async def suggest(self, message: SuggestMerges, permit: Permit) -> dict[str, Any]:
        """Search for individuals that may be one, a few at a time, in turns with rankings; see `PairSearch`."""
        from pipeline.catalogue.suggesting import PairSearch

        assert permit.catalogue is not None
        search = PairSearch(await self._matcher_of(permit.catalogue), message)
        while not search.done:
            await asyncio.get_running_loop().run_in_executor(self._threads["rank"], search.go_on)
        return await self._timed("answer", search.answer)

    async def change(self, message: ChangeRequest | RightsChange, permit: Permit, only_changes: bool) -> dict[str, Any]:
        """Change the catalogue: on disk when this returns; see `pipeline.catalogue.permitted`.

        Repeating it, with the message's key where it has one, changes nothing.
        """
        from pipeline.catalogue.permitted import change

        return await self._timed("change", lambda: change(self._loaded, message, permit, only_changes))

    async def heads(self) -> dict[str, Any]:
        """Return the state of each catalogue by its name; see `pipeline.catalogue.answers.heads`."""
        from pipeline.catalogue.answers import heads

        return await self._timed("answer", lambda: heads(self._loaded.catalogue(DEFAULT_CATALOGUE)))

    async def describe(self) -> dict[str, Any]:
        """Return counts of what is in the catalogue `default`."""
        matcher = self._loaded.matcher(DEFAULT_CATALOGUE)
        status = await asyncio.get_running_loop().run_in_executor(self._threads["describe"], matcher.status)
        return {
            "catalogue": {
                "individuals": status.individuals,
                "photos": status.photos,
                "other_model_rows": status.other_model_rows,
            }
        }

    async def _matcher_of(self, catalogue: str) -> "CatalogueMatcher":
        """Find the matcher of a catalogue, in a thread of its own, since one that is not loaded takes a while."""
        if catalogue == DEFAULT_CATALOGUE:
            return self._loaded.matcher(catalogue)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads["load"], self._loaded.matcher, catalogue)

    async def _timed(self, stage: str, work: Callable[[], Answer]) -> Answer:
        start = time.perf_counter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[stage], work)
        finally:
            self._metrics[stage].observe(time.perf_counter() - start)

"""The matcher deployment: query embeddings in, ranked individuals out; the only writer of the catalogue."""

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
from pipeline.model_files import ModelFolder
from pipeline.protocol.filters import Detail
from pipeline.protocol.requests import Request
from pipeline.records import Actor, Failure, Query, Ranking
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.catalogue.matching import CatalogueMatcher

Answer = TypeVar("Answer")


async def rank_in_turns(
    thread: Executor,
    matcher: "CatalogueMatcher",
    queries: Sequence[Query],
    top_k: int | None,
    detail: Detail | None = None,
) -> list[Ranking]:
    """Rank queries on a thread that many calls share, a few at a time, so that no call waits for the whole of another.

    Args:
        thread: a single one, which takes what is asked of it in order.
        matcher: ranks.
        queries: of one call.
        top_k: see `CatalogueMatcher.rank`.
        detail: see there.
    """
    rankings: list[Ranking] = []
    while len(rankings) < len(queries):
        some = queries[len(rankings) : len(rankings) + matcher.at_once]
        ranked = partial(matcher.rank, some, top_k, detail)
        rankings += await asyncio.get_running_loop().run_in_executor(thread, ranked)
    return rankings


@serve.deployment
class Matcher:
    """Confirms and ranks; every replica answers with all that was committed before the call.

    Each of its calls has a thread of its own, so that rankings and health checks do not wait while a confirmation waits
    for another process's lock.
    """

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
        from pipeline.catalogue.opening import open_matcher

        log_with_serve()
        self._matcher = open_matcher(settings.catalogue_url, folder, device)
        self._threads = {
            call: ThreadPoolExecutor(1, thread_name_prefix=call)
            for call in ("confirm", "rank", "prepare", "answer", "describe")
        }
        self._metrics = {stage: StageMetric(stage) for stage in ("confirm", "rank", "answer")}
        settle_memory()

    async def confirm(
        self, queries: Sequence[Query], actor: Actor, key: str, only_changes: bool
    ) -> list[Failure | None]:
        """Store confirmed photos in one event: on disk when this returns; repeating it with its key changes nothing.

        Args:
            queries: each with an identity.
            actor: who confirms.
            key: of the request, by which a repeat is known also after a correction.
            only_changes: the key is the service's own, so it makes no event where nothing changes.

        Returns:
            For each query why it was refused, None where it is stored; all others are.

        Raises:
            CatalogueUnavailableError: nothing was stored.
            KeyReusedError: the actor's key came with other confirmations; nothing was stored.
        """
        return await self._timed("confirm", lambda: self._matcher.confirm(queries, actor, key, only_changes))

    async def rank(self, queries: Sequence[Query], top_k: int | None, detail: Detail | None = None) -> list[Ranking]:
        """Rank the known individuals for each query, in order; see `CatalogueMatcher.rank`.

        A few at a time: calls that come meanwhile take turns with this one, and do not wait for its filters either.

        Raises:
            CatalogueUnavailableError: the catalogue cannot be read.
        """
        start = time.perf_counter()
        try:
            if detail is not None and detail.filters is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads["prepare"], self._matcher.prepare, detail.filters)
            return await rank_in_turns(self._threads["rank"], self._matcher, queries, top_k, detail)
        finally:
            self._metrics["rank"].observe(time.perf_counter() - start)

    async def answer(self, message: Request, actor: Actor) -> dict[str, Any]:
        """Answer a request that has one answer; see `pipeline.catalogue.answers`.

        Raises:
            CatalogueUnavailableError: the catalogue cannot be read or written.
        """
        from pipeline.catalogue.answers import answer

        return await self._timed("answer", lambda: answer(self._matcher, message, actor))

    async def describe(self) -> dict[str, Any]:
        """Return counts of what is in the catalogue."""
        status = await asyncio.get_running_loop().run_in_executor(self._threads["describe"], self._matcher.status)
        return {
            "catalogue": {
                "individuals": status.individuals,
                "photos": status.photos,
                "other_model_rows": status.other_model_rows,
            }
        }

    async def _timed(self, stage: str, work: Callable[[], Answer]) -> Answer:
        start = time.perf_counter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[stage], work)
        finally:
            self._metrics[stage].observe(time.perf_counter() - start)

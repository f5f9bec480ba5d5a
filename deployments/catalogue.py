"""The catalogue deployment: everything that changes catalogues, and their lists; without torch, as `Matcher` has it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ray import serve

from deployments.logs import log_with_serve
from deployments.metrics import StageMetric
from deployments.model_worker import settle_memory
from pipeline.access import Permit
from pipeline.catalogue_url import catalogue_file
from pipeline.model_files import ModelFolder
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import ChangeRequest
from pipeline.protocol.rights_requests import RightsChange
from pipeline.records import Actor, Failure, Query
from pipeline.rights import DEFAULT_CATALOGUE
from pipeline.settings import Settings

T = TypeVar("T")

LISTS = 4
"""Threads of a replica for lists: one that takes long holds up no other."""

WRITERS = 4
"""Threads of a replica that write to a database server; to a file one does, since its writers take turns."""


@serve.deployment
class Catalogue:
    """Carries out confirmations and changes, and answers every request about catalogues but rankings."""

    def __init__(self, settings: Settings, folder: ModelFolder) -> None:
        """Open the catalogues and take in the models folder's CSVs, once for each content.

        Args:
            settings: of the application.
            folder: names the CSVs and the embedders whose embeddings are stored.

        Raises:
            CatalogueFileError: a CSV holds a bad row; nothing of any was taken in.
            CatalogueOpenError: there is no catalogue, since a replica never makes one, or it cannot be opened.
        """
        from pipeline.catalogue.opening import load_catalogues, take_in_csvs

        log_with_serve()
        self._loaded = load_catalogues(settings.catalogue_url, folder)
        take_in_csvs(self._loaded, folder)
        writers = WRITERS if catalogue_file(settings.catalogue_url) is None else 1
        threads = {"write": writers, "answer": LISTS, "look": 1}
        self._threads = {name: ThreadPoolExecutor(count, thread_name_prefix=name) for name, count in threads.items()}
        self._turns: defaultdict[str | None, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._metrics = {stage: StageMetric(stage) for stage in ("confirm", "change", "answer")}
        settle_memory()

    async def confirm(
        self,
        catalogue: str,
        queries: Sequence[Query],
        actor: Actor,
        key: str,
        only_changes: bool,
        guesses: Collection[int] = (),
    ) -> list[Failure | None]:
        """Store confirmed photos in one event: on disk when this returns; repeating it with its key changes nothing.

        Args:
            catalogue: its name.
            queries: each with an identity.
            actor: who confirms.
            key: of the request, by which a repeat is known also after a correction.
            only_changes: the key is the service's own, so it makes no event where nothing changes.
            guesses: places of identities that may be what the client was told; those are provisional.

        Returns:
            For each query why it was refused, None where it is stored; all others are.

        Raises:
            CatalogueUnavailableError: nothing was stored.
            KeyReusedError: the actor's key came with other confirmations; nothing was stored.
        """
        said = (catalogue, queries, actor, key, only_changes, guesses)
        return await self._write("confirm", catalogue, lambda: self._loaded.confirm(*said))

    async def change(self, message: ChangeRequest | RightsChange, permit: Permit, only_changes: bool) -> dict[str, Any]:
        """Change a catalogue: on disk when this returns; see `pipeline.catalogue.permitted`.

        Repeating it, with the message's key where it has one, changes nothing.
        """
        from pipeline.catalogue.permitted import change

        return await self._write(
            "change", permit.catalogue, lambda: change(self._loaded, message, permit, only_changes)
        )

    async def answer(self, message: Request, permit: Permit) -> dict[str, Any]:
        """Answer a request that has one answer and changes nothing; see `pipeline.catalogue.permitted`."""
        from pipeline.catalogue.permitted import answer

        return await self._timed("answer", "answer", lambda: answer(self._loaded, message, permit))

    async def heads(self) -> dict[str, Any]:
        """Return the state of each catalogue by its name; see `pipeline.catalogue.answers.heads`."""
        from pipeline.catalogue.answers import heads

        return await self._run("look", lambda: heads(self._loaded.catalogue(DEFAULT_CATALOGUE)))

    async def describe(self) -> dict[str, Any]:
        """Return counts of what is in the catalogue `default`."""
        return {"catalogue": await self._run("look", lambda: self._loaded.status(DEFAULT_CATALOGUE))}

    async def _write(self, stage: str, catalogue: str | None, work: Callable[[], T]) -> T:
        """Take turns with the others who write to the same catalogue: it has one lock, and others have threads left."""
        async with self._turns[catalogue]:
            return await self._timed(stage, "write", work)

    async def _timed(self, stage: str, threads: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return await self._run(threads, work)
        finally:
            self._metrics[stage].observe(time.perf_counter() - start)

    async def _run(self, threads: str, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads[threads], work)

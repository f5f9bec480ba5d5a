"""Photos in flight on one ingress replica: whose turn it is, and what became of each."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pipeline.errors import UnavailableError
from pipeline.records import Animals, Extracted, Failure, PhotoSource, Segmented
from pipeline.session.actions import ExtractPhoto
from pipeline.session.fair_queue import FairQueue

logger = logging.getLogger(__name__)

HandedOver = Any
"""A photo as the extractor port wants it back; opaque to the queue."""


class ExtractorPort(Protocol):
    """Where a photo is sent once it is its turn."""

    async def hand_over(self, source: PhotoSource) -> HandedOver:
        """Take a photo out of this process's memory, so that repeated attempts do not hold its bytes here."""
        ...

    def extract(self, photo: HandedOver, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        """Yield the steps of one photo; an attempt that is repeated yields `Segmented` again."""
        ...


class PhotoReports(Protocol):
    """Who is told how a photo fares."""

    def photo_started(self, request: int, index: int) -> None:
        """The photo left the queue."""

    def photo_segmented(self, request: int, index: int) -> None:
        """Its segmentation ended, found or not; called exactly once, before `photo_extracted`."""

    def photo_extracted(self, request: int, index: int, result: Extracted) -> None:
        """It is done; called exactly once unless the photo was stopped."""


@dataclass(slots=True, eq=False)
class _Job:
    """`source` is given up when the photo is handed over: it may be megabytes."""

    request: int
    index: int
    source: PhotoSource | None
    animals: Animals
    reports: PhotoReports


class PhotoQueue:
    """Takes photos from all connections of a replica and runs a bounded number of them, fairly."""

    def __init__(self, extractor: ExtractorPort, turns: FairQueue[_Job], on_change: Callable[[int], None]) -> None:
        """Open the queue.

        Args:
            extractor: does the work.
            turns: decides whose photo is next.
            on_change: told the number of photos queued or running whenever it changes.
        """
        self._extractor = extractor
        self._turns = turns
        self._on_change = on_change
        self._running: dict[Hashable, dict[asyncio.Task[None], int]] = {}

    @property
    def in_flight(self) -> int:
        """Photos queued or running."""
        return self._turns.running + self._turns.waiting

    def submit(self, client: Hashable, action: ExtractPhoto, reports: PhotoReports) -> None:
        """Queue one photo of a client."""
        self._turns.add(client, _Job(action.request, action.index, action.source, action.animals, reports))
        self._pump()

    def stop(self, client: Hashable, request: int) -> None:
        """Drop a request's queued photos and cancel its running ones; nothing more is reported about them."""
        self._turns.discard(client, lambda job: job.request == request)
        for task, owner in self._running.get(client, {}).items():
            if owner == request:
                task.cancel()
        self._pump()

    def _pump(self) -> None:
        while (turn := self._turns.take()) is not None:
            client, job = turn
            task = asyncio.create_task(self._run(job))
            self._running.setdefault(client, {})[task] = job.request
            task.add_done_callback(partial(self._ended, client))
        self._on_change(self.in_flight)

    def _ended(self, client: Hashable, task: asyncio.Task[None]) -> None:
        del self._running[client][task]
        if not self._running[client]:
            del self._running[client]
        self._turns.done(client)
        self._pump()

    async def _run(self, job: _Job) -> None:
        segmented = False
        result: Extracted | None = None
        try:
            async for step in self._steps(job):
                if isinstance(step, Extracted):
                    result = step
                elif not segmented:
                    segmented = True
                    job.reports.photo_segmented(job.request, job.index)
        except UnavailableError as error:
            result = _failed(error.code, str(error))
        except Exception:  # the edge: whatever a stage raises is this photo's outcome, and no other's
            logger.exception("photo %s of request %s failed", job.index, job.request)
            result = _failed("internal", "the photo failed inside the service; its log says why")
        if not segmented:
            job.reports.photo_segmented(job.request, job.index)
        job.reports.photo_extracted(job.request, job.index, result or _failed("internal", "the photo got no answer"))

    async def _steps(self, job: _Job) -> AsyncIterator[Segmented | Extracted]:
        assert job.source is not None  # each job runs once
        photo = await self._extractor.hand_over(job.source)
        job.source = None
        job.reports.photo_started(job.request, job.index)
        async for step in self._extractor.extract(photo, job.animals):
            yield step


def _failed(code: str, message: str) -> Extracted:
    return Extracted((), Failure(code, message), None)

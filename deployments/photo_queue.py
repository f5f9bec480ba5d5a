"""Photos in flight on one ingress replica: whose turn it is, and what becomes of each."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from pipeline.errors import UnavailableError
from pipeline.records import Animals, Extracted, Failure, Segmented
from pipeline.session.actions import AnySource, ExtractPhoto, PhotoStep, Started
from pipeline.session.fair_queue import FairQueue

logger = logging.getLogger(__name__)

HandedOver = Any
"""A photo as the extractor wants it back; opaque to the queue."""


class PhotoExtractor(Protocol):
    """Where a photo is sent once it is its turn."""

    async def hand_over(self, source: AnySource) -> HandedOver:
        """Take a photo out of this process's memory, so that repeated attempts do not hold its bytes here."""
        ...

    def extract(self, photo: HandedOver, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        """Yield the steps of one photo; an attempt that is repeated yields `Segmented` again."""
        ...


class PhotoMetrics(Protocol):
    """Counts photos."""

    def in_flight(self, photos: int) -> None:
        """Set the number of photos queued or running."""

    def photo_answered(self, outcome: str) -> None:
        """Count one photo; `outcome` is "ok" or an error code."""


class PhotoQueue:
    """Takes photos from all connections of a replica and runs a bounded number of them, fairly."""

    def __init__(
        self, extractor: PhotoExtractor, queue: FairQueue[asyncio.Future[None]], metrics: PhotoMetrics
    ) -> None:
        """Begin without photos.

        Args:
            extractor: does the work.
            queue: decides whose photo is next.
            metrics: told what is in flight and what became of each photo.
        """
        self._extractor = extractor
        self._queue = queue
        self._metrics = metrics

    @property
    def in_flight(self) -> int:
        """Photos queued or running."""
        return self._queue.running + self._queue.waiting

    async def extract(self, call: ExtractPhoto, client: Hashable) -> AsyncGenerator[PhotoStep, None]:
        """Wait for the photo's turn, then yield its steps; whatever happens to it, the last one is `Extracted`.

        Args:
            call: the photo.
            client: whose it is; clients take turns.
        """
        async with self.turn(client):
            async for step in self._answered(call):
                if isinstance(step, Extracted):
                    self._metrics.photo_answered(step.failure.code if step.failure else "ok")
                yield step

    async def _answered(self, call: ExtractPhoto) -> AsyncGenerator[PhotoStep, None]:
        answered = False
        failure = Failure("internal", "the photo got no answer")
        try:
            async for step in self._steps(call):  # to its end: one that is left early would be cancelled
                if not answered:
                    yield step
                answered = answered or isinstance(step, Extracted)
        except UnavailableError as error:
            failure = Failure.of(error)
        except Exception:  # the edge: whatever a stage raises is this photo's outcome, and no other's
            logger.exception("photo %s of a request failed", call.index)
            failure = Failure("internal", "the photo failed inside the service; its log says why")
        if not answered:
            yield Extracted((), failure, None)

    async def _steps(self, call: ExtractPhoto) -> AsyncIterator[PhotoStep]:
        photo = await self._extractor.hand_over(call.take_source())
        yield Started()
        async for step in self._extractor.extract(photo, call.animals):
            yield step

    @asynccontextmanager
    async def turn(self, client: Hashable) -> AsyncIterator[None]:
        """Wait for this client's turn, and hold one of the places for a photo."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.add(client, turn)
        self._give_turns()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._queue.done(client)
            else:
                self._queue.discard(client, lambda waiting: waiting is turn)
            self._give_turns()

    def _give_turns(self) -> None:
        while (taken := self._queue.take()) is not None:
            client, turn = taken
            if turn.cancelled():  # its photo was stopped, and has not been discarded yet
                self._queue.done(client)
            else:
                turn.set_result(None)
        self._metrics.in_flight(self.in_flight)

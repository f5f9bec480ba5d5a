"""One WebSocket: carries out what its session decides and reports back; knows no message of the protocol."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments.metrics import IngressMetrics
from deployments.photo_queue import PhotoQueue
from pipeline.errors import WhaleVisionError
from pipeline.protocol.requests import CloseCode
from pipeline.records import Extracted, Query, Ranking, SaveOutcome
from pipeline.session.actions import (
    Action,
    CloseConnection,
    ExtractPhoto,
    IdentifyItems,
    SavePhotos,
    SendText,
    StopRequest,
    StoreConfirmations,
)
from pipeline.session.session import Session

logger = logging.getLogger(__name__)


class MatcherPort(Protocol):
    """Stores confirmations and ranks individuals."""

    async def confirm(self, queries: Sequence[Query]) -> None:
        """Store queries, each of which carries an identity, in one transaction; safe to repeat."""
        ...

    async def rank(self, queries: Sequence[Query], top_k: int | None) -> Sequence[Ranking]:
        """Rank the known individuals for each query."""
        ...


class ExportPort(Protocol):
    """Copies photos into the export folder."""

    async def save(self, file: str, identity: str, local_peer: bool) -> SaveOutcome:
        """Copy one photo of a client that is on loopback or not."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Where a replica's connections send their work."""

    photos: PhotoQueue
    matcher: MatcherPort
    export: ExportPort


class Connection:
    """The shell around one session."""

    def __init__(
        self,
        websocket: WebSocket,
        session: Session,
        services: Services,
        metrics: IngressMetrics,
        local_peer: bool,
    ) -> None:
        """Wire an accepted WebSocket to the replica's services; `local_peer` says whether the client is on loopback."""
        self._websocket = websocket
        self._session = session
        self._photos = services.photos
        self._matcher = services.matcher
        self._export = services.export
        self._local_peer = local_peer
        self._metrics = metrics
        self._outbox: asyncio.Queue[SendText | CloseConnection] = asyncio.Queue()
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._draining = False

    async def serve(self) -> None:
        """Read until the client leaves or the session closes the connection; then stop all outstanding work."""
        self._set_alarm()
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._perform(self._session.disconnected())
            if self._alarm is not None:
                self._alarm.cancel()
            for task in (reader, writer):
                task.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
            for error in results:
                if isinstance(error, Exception):
                    logger.error("connection ended by an error", exc_info=error)

    def drain(self) -> None:
        """Close the connection as soon as no request of it is unfinished."""
        self._draining = True
        self._perform([])

    def cut_short(self) -> None:
        """End the requests that are unfinished with what is done of them; only after `drain`."""
        self._perform(self._session.cancel_all())

    # --- reports of the photo queue ---

    def photo_started(self, request: int, index: int) -> None:
        """See `PhotoReports`."""
        self._perform(self._session.photo_started(request, index))

    def photo_segmented(self, request: int, index: int) -> None:
        """See `PhotoReports`."""
        self._perform(self._session.photo_segmented(request, index))

    def photo_extracted(self, request: int, index: int, result: Extracted) -> None:
        """See `PhotoReports`."""
        self._metrics.photo_answered(result.failure.code if result.failure else "ok")
        self._perform(self._session.photo_extracted(request, index, result))

    # --- input and output ---

    async def _read(self) -> None:
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                self._receive(message)
        except WebSocketDisconnect:
            return

    def _receive(self, message: Any) -> None:
        text, content = message.get("text"), message.get("bytes")
        if text is not None:
            self._metrics.received(len(text))
            self._perform(self._session.receive_text(text))
        elif content is not None:
            self._metrics.received(len(content))
            self._perform(self._session.receive_bytes(content))

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            try:
                if isinstance(message, CloseConnection):
                    await self._websocket.close(message.code, message.reason)
                    return
                await self._websocket.send_text(message.text)
            except (WebSocketDisconnect, RuntimeError):  # the client left while this was on its way
                return

    # --- actions ---

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case SendText() | CloseConnection():
                    self._outbox.put_nowait(action)
                case ExtractPhoto():
                    self._photos.submit(self, action, self)
                case StoreConfirmations():
                    self._spawn(action.request, self._confirm(action))
                case IdentifyItems():
                    self._spawn(action.request, self._identify(action))
                case SavePhotos():
                    self._spawn(action.request, self._save(action))
                case StopRequest():
                    self._stop(action.request)
                case _:
                    assert_never(action)
        self._set_alarm()
        if self._draining and self._session.idle:
            self._draining = False
            self._perform(self._session.close(CloseCode.RESTART, "the service is stopping; connect again"))

    def _spawn(self, request: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guard(request, work))
        self._tasks[task] = request
        task.add_done_callback(self._tasks.pop)

    async def _guard(self, request: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except WhaleVisionError as error:
            self._perform(self._session.request_failed(request, error))
        except Exception:  # the edge: an unforeseen error ends this request, not the connection
            logger.exception("request %s failed", request)
            failure = WhaleVisionError("the request failed inside the service; its log says why")
            self._perform(self._session.request_failed(request, failure))

    def _stop(self, request: int) -> None:
        self._photos.stop(self, request)
        for task, owner in self._tasks.items():
            if owner == request:
                task.cancel()

    async def _confirm(self, action: StoreConfirmations) -> None:
        await self._matcher.confirm([item.query for item in action.queries])
        self._perform(self._session.confirmations_stored(action.request))

    async def _identify(self, action: IdentifyItems) -> None:
        rankings = await self._matcher.rank([item.query for item in action.queries], action.top_k)
        for item, ranking in zip(action.queries, rankings, strict=True):
            self._perform(self._session.item_identified(action.request, item.index, ranking))

    async def _save(self, action: SavePhotos) -> None:
        for item in action.items:
            outcome = await self._export.save(item.file, item.identity, self._local_peer)
            self._perform(self._session.photo_saved(action.request, item.index, outcome))

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        deadline = self._session.next_deadline()
        if deadline is not None:
            pause_s = max(0.0, deadline - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(pause_s, self._tick)

    def _tick(self) -> None:
        self._alarm = None
        self._perform(self._session.tick())

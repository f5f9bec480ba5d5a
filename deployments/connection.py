"""One WebSocket: carries out what its session decides and reports back; knows no message of the protocol."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Any, assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments.flow import REPORT_STEP_BYTES, Reports, size_of
from deployments.metrics import IngressMetrics
from deployments.outbox import LAST_WORDS_S, Outbox
from deployments.services import Client, Services
from deployments.upload_budget import UploadBudget, UploadShare
from pipeline.errors import ItemError, RequestError, WhaleVisionError
from pipeline.protocol.json_text import size_in_bytes
from pipeline.protocol.requests import CloseCode
from pipeline.session.actions import Action, Ask, CloseConnection, SendText, StopRequest
from pipeline.session.session import Session
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


class Connection:
    """The shell around one session."""

    def __init__(
        self,
        websocket: WebSocket,
        session: Session,
        services: Services,
        metrics: IngressMetrics,
        client: Client,
        settings: Settings,
        uploads: UploadBudget,
    ) -> None:
        """Wire an accepted WebSocket to what the replica can do for its client."""
        self._websocket = websocket
        self._session = session
        self._services = services
        self._metrics = metrics
        self._client = client
        self._share = UploadShare(uploads)
        self._reports = Reports.from_headers(websocket.scope["headers"])
        limits, timeouts = settings.limits, settings.timeouts
        windowed = self._reports is not None
        self._outbox = Outbox(windowed, limits.max_unsent_bytes, timeouts.unsent_timeout_s)
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._flowing = asyncio.Event()
        """The client keeps up: what it sends is looked at."""
        self._flowing.set()
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._draining = False

    async def serve(self) -> None:
        """Read until the client leaves or the session closes the connection; then stop all outstanding work."""
        self._set_alarm()
        work = [asyncio.create_task(step()) for step in (self._read, self._consume, self._write)]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._perform(self._session.disconnected())
            if self._alarm is not None:
                self._alarm.cancel()
            for task in work:
                task.cancel()
            try:
                for error in await asyncio.gather(*work, return_exceptions=True):
                    if isinstance(error, Exception):
                        logger.error("connection ended by an error", exc_info=error)
            finally:
                self._share.settle(0, 0)

    @property
    def token(self) -> str | None:
        """The sha256 of the token that it was let in with."""
        return self._client.peer.token

    def revoke(self) -> None:
        """Close the connection at once: its token is no longer valid."""
        self._perform(self._session.close(CloseCode.POLICY, "the token was revoked or has expired"))

    def drain(self) -> None:
        """Close the connection as soon as no request of it is unfinished."""
        self._draining = True
        self._perform([])

    def cut_short(self) -> None:
        """End the requests that are unfinished with what is done of them; only after `drain`."""
        self._perform(self._session.cancel_all())

    # --- input and output ---

    async def _read(self) -> None:
        """Take in what comes; the proxy sends no more than a window that is not consumed."""
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                taken = self._reports.read(message.get("bytes")) if self._reports else None
                if taken is None:
                    self._inbox.put_nowait(message)
                else:
                    self._outbox.taken(taken)
                    self._hold_or_go_on()
        except WebSocketDisconnect:
            return

    async def _consume(self) -> None:
        """Look at one message after the other; other connections go on between two."""
        consumed = reported = 0
        while True:
            message = await self._inbox.get()
            await self._wait_for_room(message.get("bytes"))
            try:
                self._receive(message)
            except Exception:  # the edge: a defect of the session ends this connection, and says so
                logger.exception("a message could not be dealt with")
                self._perform(self._session.close(CloseCode.INTERNAL, "the connection failed inside the service"))
            consumed += size_of(message)
            if self._reports and consumed - reported >= REPORT_STEP_BYTES:
                reported = consumed
                with suppress(WebSocketDisconnect, RuntimeError):  # it has been closed meanwhile
                    await self._websocket.send_bytes(self._reports.write(consumed))
            await asyncio.sleep(0)

    async def _wait_for_room(self, content: bytes | None) -> None:
        """Look at nothing while the client is slow to read, nor at a photo that begins while there is no memory."""
        begin_bytes = self._session.uploads.beginning_in(len(content)) if content else 0
        if self._flowing.is_set() and self._share.take_now(begin_bytes):
            return
        self._session.uploads.hold_back(True)
        try:
            await self._flowing.wait()
            await self._share.take(begin_bytes)
        finally:
            self._session.uploads.hold_back(False)

    def _receive(self, message: Any) -> None:
        text, content = message.get("text"), message.get("bytes")
        if text is not None:
            self._metrics.received(size_in_bytes(text))
            self._perform(self._session.receive_text(text))
        elif content is not None:
            self._metrics.received(len(content))
            self._perform(self._session.receive_bytes(content))

    async def _write(self) -> None:
        while True:
            try:
                message = await self._outbox.next()
                if isinstance(message, CloseConnection):
                    await self._close(message)
                    return
                async with asyncio.timeout(self._outbox.timeout_s):
                    await self._websocket.send_text(message.text)
            except TimeoutError:
                self._perform(self._session.close(CloseCode.POLICY, "what was sent has not been read for too long"))
                await self._close(self._outbox.closing)
                return
            except (WebSocketDisconnect, RuntimeError):  # the client left while this was on its way
                return
            self._hold_or_go_on()

    async def _close(self, message: CloseConnection | None) -> None:
        assert message is not None  # the session has closed the connection
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._websocket.close(message.code, message.reason)

    def _hold_or_go_on(self) -> None:
        """Begin nothing, and look at nothing, while more waits for the client than may."""
        if self._outbox.overfull and self._flowing.is_set():
            self._flowing.clear()
            self._perform(self._session.hold(True))
        elif not self._outbox.overfull and not self._flowing.is_set():
            self._flowing.set()
            self._perform(self._session.hold(False))

    # --- actions ---

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case SendText() | CloseConnection():
                    self._outbox.put(action)
                case Ask():
                    task = asyncio.create_task(self._carry_out(action))
                    self._tasks[task] = action.request
                    task.add_done_callback(self._tasks.pop)
                case StopRequest():
                    self._stop(action.request)
                case _:
                    assert_never(action)
        self._share.settle(self._session.uploads.begun_bytes, self._session.uploads.unfinished_bytes)
        self._hold_or_go_on()
        self._set_alarm()
        if self._draining and self._session.idle:
            self._draining = False
            self._perform(self._session.close(CloseCode.RESTART, "the service is stopping; connect again"))

    async def _carry_out(self, ask: Ask[Any]) -> None:
        try:
            async with aclosing(self._services.carry_out(ask.call, self._client)) as steps:
                async for step in steps:
                    self._perform(self._session.report(ask, step))
        except (RequestError, ItemError) as error:
            self._perform(self._session.failed(ask, error))
        except Exception:  # the edge: an unforeseen error ends this request, not the connection
            logger.exception("request %s failed", ask.request)
            failure = WhaleVisionError("the request failed inside the service; its log says why")
            self._perform(self._session.failed(ask, failure))

    def _stop(self, request: int) -> None:
        for task, owner in self._tasks.items():
            if owner == request:
                task.cancel()

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

"""One WebSocket: carries out what its session decides and reports back; knows no message of the protocol."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect

from deployments.metrics import IngressMetrics
from deployments.services import Client, Services
from pipeline.errors import WhaleVisionError
from pipeline.protocol.requests import CloseCode
from pipeline.session.actions import Action, Ask, CloseConnection, SendText, StopRequest
from pipeline.session.session import Session

logger = logging.getLogger(__name__)


class Connection:
    """The shell around one session."""

    def __init__(
        self, websocket: WebSocket, session: Session, services: Services, metrics: IngressMetrics, client: Client
    ) -> None:
        """Wire an accepted WebSocket to what the replica can do for its client."""
        self._websocket = websocket
        self._session = session
        self._services = services
        self._metrics = metrics
        self._client = client
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
            self._metrics.received(len(text.encode("utf-8", "surrogatepass")))
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
                case Ask():
                    task = asyncio.create_task(self._carry_out(action))
                    self._tasks[task] = action.request
                    task.add_done_callback(self._tasks.pop)
                case StopRequest():
                    self._stop(action.request)
                case _:
                    assert_never(action)
        self._set_alarm()
        if self._draining and self._session.idle:
            self._draining = False
            self._perform(self._session.close(CloseCode.RESTART, "the service is stopping; connect again"))

    async def _carry_out(self, ask: Ask[Any]) -> None:
        try:
            async with aclosing(self._services.carry_out(ask.call, self._client)) as steps:
                async for step in steps:
                    self._perform(self._session.report(ask, step))
        except WhaleVisionError as error:
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

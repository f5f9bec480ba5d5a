"""Flow control between Serve's proxy and a replica: neither holds more of a WebSocket than a window.

Serve passes WebSocket messages on in both directions without ever pushing back: what a client does not read piles up
in the proxy, what a replica has not looked at in the replica. So a middleware in the proxy (`WindowedSockets`, put
there by `proxy_middlewares`, which the start command names to Serve) tells the replica how many bytes the client's
socket has taken, and passes on no more of what the client sends than the replica has consumed and a window. Both
reports are binary messages that begin with a secret of the connection, which the client never sees.

Without the start command (plain `serve run`) there are no reports; then nothing is bounded that a client does not read.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partialmethod
from typing import Any

from starlette.middleware import Middleware

FLOW_HEADER = b"x-whale-vision-flow"
"""Carries the connection's secret from the proxy to the replica."""

WINDOW_BYTES = 2**20
"""Sent and not taken by the client's socket; received and not consumed. A longer message goes alone."""

REPORT_STEP_BYTES = WINDOW_BYTES // 8
MESSAGE_OVERHEAD_BYTES = 512
"""What a message costs beside its content: tiny ones fill a window, too."""

_COUNT_BYTES = 8

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def size_of(message: Message) -> int:
    """Return what a message counts, in bytes."""
    return len(message.get("text") or message.get("bytes") or b"") + MESSAGE_OVERHEAD_BYTES


class Reports:
    """Reads and writes the reports of one connection."""

    def __init__(self, secret: bytes) -> None:
        """Take the connection's secret."""
        self._secret = secret

    @classmethod
    def from_headers(cls, headers: list[tuple[bytes, bytes]]) -> "Reports | None":
        """Return what the proxy's middleware has announced; None where there is none."""
        value = dict(headers).get(FLOW_HEADER)
        return cls(bytes.fromhex(value.decode("ascii"))) if value else None

    def write(self, count: int) -> bytes:
        """Return a report of so many bytes in all."""
        return self._secret + count.to_bytes(_COUNT_BYTES, "big")

    def read(self, content: bytes | None) -> int | None:
        """Return the bytes that a report names, None where this is not one."""
        if not content or len(content) != len(self._secret) + _COUNT_BYTES or not content.startswith(self._secret):
            return None
        return int.from_bytes(content[-_COUNT_BYTES:], "big")


class WindowedSockets:
    """ASGI middleware of the proxy: windows for every WebSocket."""

    def __init__(self, app: App) -> None:
        """Wrap Serve's proxy."""
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Leave HTTP alone."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        secret = secrets.token_bytes(16)
        headers = [header for header in scope["headers"] if header[0].lower() != FLOW_HEADER]
        headers.append((FLOW_HEADER, secret.hex().encode("ascii")))
        socket = _Socket(receive, send, Reports(secret))
        try:
            await self._app({**scope, "headers": headers}, socket.receive, socket.send)
        finally:
            socket.close()


class _Socket:
    """One WebSocket as Serve's proxy sees it."""

    def __init__(self, receive: Receive, send: Send, reports: Reports) -> None:
        self._receive = receive
        self._send = send
        self._reports = reports
        self._taken = 0
        self._reported = 0
        self._passed_on = 0
        self._consumed = 0
        self._news = asyncio.Event()
        """A message has come, a report is due, or the replica has consumed something."""
        self._incoming: asyncio.Future[Any] | None = None

    async def send(self, message: Message) -> None:
        """Send what the replica says; uvicorn waits here while the client's socket takes no more."""
        consumed = self._reports.read(message.get("bytes"))
        if consumed is not None:
            self._consumed = consumed
            self._news.set()
            return
        await self._send(message)
        self._taken += size_of(message)
        if self._taken - self._reported >= REPORT_STEP_BYTES:
            self._news.set()

    async def receive(self) -> Message:
        """Return a report that is due, else the client's next message, when the replica has room for it."""
        while True:
            if self._taken - self._reported >= REPORT_STEP_BYTES:
                self._reported = self._taken
                return {"type": "websocket.receive", "bytes": self._reports.write(self._taken)}
            has_room = self._passed_on - self._consumed < WINDOW_BYTES
            if has_room and self._incoming is None:
                self._incoming = asyncio.ensure_future(self._receive())
                self._incoming.add_done_callback(lambda _: self._news.set())
            if has_room and self._incoming is not None and self._incoming.done():
                message: Message = self._incoming.result()
                self._incoming = None
                self._passed_on += size_of(message)
                return message
            await self._news.wait()
            self._news.clear()

    def close(self) -> None:
        """Give up what is waited for."""
        if self._incoming is not None:
            self._incoming.cancel()


def proxy_middlewares() -> list[Middleware]:
    """Called by Serve in each proxy before it listens: windows for sockets, and no compression.

    16 KiB of compressed zeros are 16 MiB of message; no client of ours compresses.
    """
    import uvicorn

    config: Any = uvicorn.Config  # Serve has no option for it
    config.__init__ = partialmethod(config.__init__, ws_per_message_deflate=False)
    return [Middleware(WindowedSockets)]

"""One WebSocket to the server, shared by the requests that run at the same time; reopened when it is asked for."""

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from pipeline.client.errors import BadAnswerError, ClientClosedError, ClientError, LinkLostError, RequestFailedError
from pipeline.client.handshake import explain_close, open_socket
from pipeline.client.options import ClientOptions
from pipeline.client.results import JsonObject
from pipeline.client.window import Window

logger = logging.getLogger(__name__)

_CANCEL_TIMEOUT_S = 1.0

_LONGEST_HANDSHAKE_S = 10.0
"""A full proxy leaves handshakes hanging: better to hang up and knock again."""


def encode(message: JsonObject) -> str:
    """Return the message's text: ASCII only, so that its length is its bytes and any file name survives."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


class Channel:
    """One request's part of a connection."""

    def __init__(self, identifier: str, connection: "Connection") -> None:
        self.identifier = identifier
        self.ready: asyncio.Future[frozenset[int]] = asyncio.get_running_loop().create_future()
        self.ended = False
        self._connection = connection
        self._inbox: asyncio.Queue[JsonObject | BaseException] = asyncio.Queue()
        self._unacknowledged_bytes = 0
        self._heard_s = 0.0
        self._uploading = False

    @property
    def empty(self) -> bool:
        """Whether `receive` would wait."""
        return self._inbox.empty()

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one text message of this request.

        Raises:
            LinkLostError, ConnectionRejectedError: the connection is closed.
        """
        await self._connection.send(encode({"type": kind, "id": self.identifier, **fields}))

    async def begin_upload(self) -> None:
        """Wait for the right to send binary messages: they belong to the oldest upload that still lacks bytes."""
        await self._connection.uploading.acquire()
        self._uploading = True

    def end_upload(self) -> None:
        """Let the next request send its binary messages."""
        if self._uploading:
            self._uploading = False
            self._connection.uploading.release()

    async def make_room(self, length: int) -> None:
        """Wait until the server has taken in enough for `length` bytes more, and count them."""
        await self._connection.window.take(length)
        self._unacknowledged_bytes += length

    async def send_bytes(self, content: bytes) -> None:
        """Send one binary message, for which there is room.

        Raises:
            LinkLostError, ConnectionRejectedError: the connection is closed.
        """
        await self._connection.send(content)

    async def receive(self, silence_s: float) -> JsonObject:
        """Return the next message of this request; progress, items, the list, or `complete`.

        Raises:
            LinkLostError: the connection ended, or nothing was heard for `silence_s`.
            RequestFailedError: the server refused the request.
            ConnectionRejectedError, BadAnswerError: see there.
        """
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(self._heard_s + silence_s):
                    message = await self._inbox.get()
                break
            except TimeoutError as error:
                # Acknowledged bytes of an upload count as news, though they are not received here.
                if loop.time() >= self._heard_s + silence_s:
                    await self._connection.close()
                    raise LinkLostError(f"nothing was heard of a request for {silence_s:g} s") from error
        if isinstance(message, BaseException):
            raise message
        return message

    def deliver(self, message: JsonObject) -> None:
        """Take a message in from the connection."""
        self._heard_s = asyncio.get_running_loop().time()
        match message.get("type"):
            case "ready":
                if not self.ready.done():
                    self.ready.set_result(frozenset(message.get("skip") or ()))
            case "received":
                self._acknowledge(int(message.get("bytes") or 0))
            case "error":
                self.ended = True
                self.fail(RequestFailedError(str(message.get("code")), str(message.get("message"))))
            case kind:
                self.ended = self.ended or kind == "complete"
                self._inbox.put_nowait(message)

    def fail(self, error: BaseException) -> None:
        """Make `receive` raise, once it has returned what came before."""
        self._inbox.put_nowait(error)

    def _acknowledge(self, length: int) -> None:
        taken = min(length, self._unacknowledged_bytes)
        self._unacknowledged_bytes -= taken
        self._connection.window.give(taken)

    async def close(self) -> None:
        """Leave the connection; a request that still runs, or still owes bytes, is cancelled on the server."""
        self.ready.cancel()
        try:
            if not self.ended or self._uploading:
                async with asyncio.timeout(_CANCEL_TIMEOUT_S):
                    await self.send("cancel")
        except TimeoutError:
            await self._connection.close()
        except ClientError:
            logger.debug("the connection ended before the request was cancelled")
        finally:
            # Only now: the bytes of other uploads must not come before the `cancel`, after which the server expects
            # none of this one, nor will it acknowledge those it has.
            self._acknowledge(self._unacknowledged_bytes)
            self.end_upload()


class Connection:
    """An open socket with the requests that run on it."""

    def __init__(self, socket: ClientConnection, url: str, window_bytes: int) -> None:
        self.window = Window(window_bytes)
        self.uploading = asyncio.Lock()
        """Held by the request that sends binary messages."""
        self._socket = socket
        self._url = url
        self._channels: dict[str, Channel] = {}
        self._numbers = itertools.count(1)
        self._ended: ClientError | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        """Whether requests can be sent."""
        return self._ended is None

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncGenerator[Channel]:
        """Open a channel for one request; leaving the block early cancels the request."""
        channel = Channel(str(next(self._numbers)), self)
        self._channels[channel.identifier] = channel
        try:
            yield channel
        finally:
            del self._channels[channel.identifier]
            await channel.close()

    async def send(self, content: str | bytes) -> None:
        """Send one message; waits while the network takes no more.

        Raises:
            LinkLostError, ConnectionRejectedError: the connection is closed.
        """
        if self._ended is not None:
            raise self._ended
        try:
            await self._socket.send(content)
        except ConnectionClosed as error:
            raise self._end(explain_close(self._url, error)) from error

    async def close(self) -> None:
        """Close the socket and end the requests on it."""
        self._end(LinkLostError("the client closed the connection"))
        await self._socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while True:
                self._dispatch(await self._socket.recv())
        except ConnectionClosed as error:
            self._end(explain_close(self._url, error))
        except (BadAnswerError, TypeError, ValueError) as error:
            stranger = f"what answers at {self._url} does not speak this client's protocol"
            self._end(error if isinstance(error, BadAnswerError) else BadAnswerError(stranger))
            await self._socket.close()

    def _dispatch(self, raw: str | bytes) -> None:
        if isinstance(raw, str) and raw.startswith("error:"):
            raise BadAnswerError(f"{self._url} could not read a request: {raw}")
        message = json.loads(raw)
        if not isinstance(message, dict):
            raise TypeError("not a JSON object")
        channel = self._channels.get(str(message.get("id")))
        if channel is not None:
            channel.deliver(message)
        else:
            logger.debug("message about a request that has ended: %s", message.get("type"))

    def _end(self, error: ClientError) -> ClientError:
        """Note why the connection ended, the first time, and tell every request."""
        if self._ended is None:
            self._ended = error
            for channel in self._channels.values():
                channel.fail(error)
        return self._ended


class Link:
    """The connection to one server: opened when first needed, and again when it was lost."""

    def __init__(self, url: str, token: str | None, options: ClientOptions) -> None:
        self.url = url
        self.was_connected = False
        self.options = options
        self._token = token
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def connection(self) -> Connection:
        """Return an open connection.

        Raises:
            LinkLostError: it could not be opened; trying again may help.
            AccessDeniedError, ConnectionRejectedError: trying again would not help.
            ClientClosedError: `close` was called.
        """
        async with self._opening:
            if self._closed:
                raise ClientClosedError("the client is closed; make another")
            if self._connection is None or not self._connection.alive:
                timeout_s = min(max(self.options.connect_s, 1.0), _LONGEST_HANDSHAKE_S)
                socket = await open_socket(self.url, self._token, timeout_s, was_connected=self.was_connected)
                self._connection = Connection(socket, self.url, self.options.window_bytes)
                self.was_connected = True
            return self._connection

    async def close(self) -> None:
        """Close the connection, if one is open, for good."""
        self._closed = True
        async with self._opening:
            if self._connection is not None:
                await self._connection.close()

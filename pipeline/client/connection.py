"""The WebSocket to one server: opened when it is first needed, shared by all running requests, reopened when lost."""

import asyncio
import itertools
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from pipeline.client.errors import (
    AccessDeniedError,
    BadAnswerError,
    ClientClosedError,
    ClientError,
    ConnectionLostError,
    ConnectionRejectedError,
)
from pipeline.client.options import ClientOptions

logger = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_RETRYABLE_STATUS = (408, 425, 429)
_FATAL_CLOSE_CODES = (1002, 1003, 1007, 1008, 1009, 1010)

_LONGEST_HANDSHAKE_S = 10.0
"""A full proxy leaves handshakes hanging: better to hang up and knock again."""

Deliver = Callable[[dict[str, Any] | ClientError], None]
"""Takes a message of the server about one request, or the error that ended the connection; the error comes last."""


class UploadWindow:
    """Counts the bytes of uploads that were sent on a connection and that the server has not taken in yet."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._outstanding_bytes = 0
        self._changed = asyncio.Event()

    async def reserve(self, length: int) -> None:
        """Wait until `length` bytes more may be sent, and count them as sent."""
        while self._outstanding_bytes and self._outstanding_bytes + length > self._limit_bytes:
            self._changed.clear()
            await self._changed.wait()
        self._outstanding_bytes += length

    def release(self, length: int) -> None:
        """Note that the server has taken in so many bytes."""
        self._outstanding_bytes -= length
        self._changed.set()


class Connection:
    """An open WebSocket; hands each message of the server to the request whose `id` it carries.

    Attributes:
        upload_window: bounds the bytes under way, over all requests.
        uploading: held by the one request that may send binary messages.
    """

    def __init__(self, socket: ClientConnection, url: str, window_bytes: int) -> None:
        self.upload_window = UploadWindow(window_bytes)
        self.uploading = asyncio.Lock()
        self._socket = socket
        self._url = url
        self._requests: dict[str, Deliver] = {}
        self._numbers = itertools.count(1)
        self._ended: ClientError | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        """Whether requests can be sent."""
        return self._ended is None

    def register(self, deliver: Deliver) -> str:
        """Return a new request's `id`; what the server says about it goes to `deliver` from now on."""
        identifier = str(next(self._numbers))
        self._requests[identifier] = deliver
        return identifier

    def unregister(self, identifier: str) -> None:
        """Deliver nothing more about this request."""
        del self._requests[identifier]

    async def send(self, content: str | bytes) -> None:
        """Send one message; waits while the network takes no more.

        Raises:
            ConnectionLostError, ConnectionRejectedError: the connection is closed.
        """
        if self._ended is not None:
            raise self._ended
        try:
            await self._socket.send(content)
        except ConnectionClosed as error:
            raise self._end(_explain_close(self._url, error)) from error

    async def close(self) -> None:
        """Close the socket and end the requests on it."""
        self._end(ConnectionLostError("the client closed the connection"))
        await self._socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while True:
                self._dispatch(await self._socket.recv())
        except ConnectionClosed as error:
            self._end(_explain_close(self._url, error))
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
        deliver = self._requests.get(str(message.get("id")))
        if deliver is not None:
            deliver(message)
        else:
            logger.debug("message about a request that has ended: %s", message.get("type"))

    def _end(self, error: ClientError) -> ClientError:
        """Note why the connection ended, the first time, and tell every request."""
        if self._ended is None:
            self._ended = error
            for deliver in self._requests.values():
                deliver(error)
        return self._ended


class Server:
    """One server by its address: connected to when first needed, and again after the connection was lost.

    Attributes:
        url: its address.
        token: what the client shows; None where it has none.
        options: limits of the client.
        was_connected: it has been reached before.
    """

    def __init__(self, url: str, token: str | None, options: ClientOptions) -> None:
        self.url = url
        self.options = options
        self.was_connected = False
        self.token = token
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def connection(self) -> Connection:
        """Return an open connection.

        Raises:
            ConnectionLostError: it could not be opened; trying again may help.
            AccessDeniedError, ConnectionRejectedError: trying again would not help.
            ClientClosedError: `close` was called.
        """
        async with self._opening:
            if self._closed:
                raise ClientClosedError("the client is closed; make another")
            if self._connection is None or not self._connection.alive:
                socket = await self._open_socket()
                self._connection = Connection(socket, self.url, self.options.window_bytes)
                self.was_connected = True
            return self._connection

    async def close(self) -> None:
        """Close the connection, if one is open, for good."""
        self._closed = True
        async with self._opening:
            if self._connection is not None:
                await self._connection.close()

    async def _open_socket(self) -> ClientConnection:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            host = urlsplit(self.url).hostname
            return await connect(
                self.url,
                additional_headers=headers,
                open_timeout=min(max(self.options.connect_s, 1.0), _LONGEST_HANDSHAKE_S),
                # Embeddings and photos hardly shrink, and a single answer may be long: every individual for each query.
                compression=None,
                max_size=None,
                # A machine that computes embeddings on all its cores answers pings late.
                ping_timeout=120.0,
                close_timeout=2.0,
                # A company proxy set in the environment cannot reach this machine's own service.
                proxy=None if host in LOOPBACK else True,
            )
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            raise _explain_handshake(self.url, error, self.was_connected) from error


def _explain_handshake(url: str, error: Exception, was_connected: bool) -> ClientError:
    """Return `ConnectionLostError` where a new try may succeed, else the error that tells the caller what is wrong."""
    if isinstance(error, InvalidStatus):
        return _explain_status(url, error.response.status_code, was_connected)
    if isinstance(error, InvalidURI | ValueError) and not isinstance(error, ssl.SSLError):
        return ConnectionRejectedError(f"{url} is not an address like ws://127.0.0.1:8765 ({error})")
    if isinstance(error, ssl.SSLError):
        return ConnectionRejectedError(f"{url}: no secure connection ({error})")
    if isinstance(error, OSError | EOFError | InvalidMessage | InvalidProxyMessage | InvalidProxyStatus):
        return ConnectionLostError(f"cannot connect to {url}: {str(error) or type(error).__name__}")
    return ConnectionRejectedError(f"what answers at {url} is not this service ({error})")


def _explain_status(url: str, status: int, was_connected: bool) -> ClientError:
    if status in (401, 403):
        return AccessDeniedError(f"{url} refuses this client (HTTP {status}): give a valid token, or ask its operator")
    # Where the service has answered before, 404 is one that restarts and not a wrong path.
    if status >= 500 or status in _RETRYABLE_STATUS or (status == 404 and was_connected):
        return ConnectionLostError(f"{url} is not ready (HTTP {status})")
    return ConnectionRejectedError(f"there is no such service at {url} (HTTP {status}): check the address and its path")


def _explain_close(url: str, error: ConnectionClosed) -> ClientError:
    """Return `ConnectionLostError` where a new connection may do (1000, 1001, 1006, 1011, 1012, 1013, ...).

    And `ConnectionRejectedError` where the server closed it for what this client did or is (1008, 1009, ...).
    """
    if error.rcvd is None:
        return ConnectionLostError(f"the connection to {url} broke")
    code, reason = error.rcvd.code, error.rcvd.reason
    said = f"{url} closed the connection ({code}{': ' + reason if reason else ''})"
    return ConnectionRejectedError(said) if code in _FATAL_CLOSE_CODES else ConnectionLostError(said)

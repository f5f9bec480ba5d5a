"""One request that runs on a connection: what is sent for it, and the entries of its answer as they come."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pipeline.client.connection import Connection
from pipeline.client.errors import BadAnswerError, ClientError, ConnectionLostError, RequestFailedError
from pipeline.client.results import JsonObject, OnProgress, Progress

logger = logging.getLogger(__name__)

_CANCEL_TIMEOUT_S = 1.0

_ACK_EVERY = 64
"""Items taken before they are acknowledged while more are waiting; the server pauses at 256."""


def encode(message: JsonObject) -> str:
    """Return the message's text: ASCII only, so that its length is its bytes and any file name survives."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


class CallProgress:
    """Adds up the progress of a call's requests, and tells the caller of each advance, once.

    A call may take several requests, and a request may be repeated: a stage never goes back all the same.
    """

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress = on_progress
        self._total = total
        self._before = 0
        self._done: dict[str, int] = {}

    def begin_request(self, left: int) -> None:
        """Note that a request begins while `left` items of the call have no answer."""
        self._before = self._total - left

    def report(self, stage: str, done: int) -> None:
        """Note that `done` items of the running request have passed a stage."""
        done = min(self._before + done, self._total)
        if self._on_progress is not None and done > self._done.get(stage, 0):
            self._done[stage] = done
            self._on_progress(Progress(stage, done, self._total))

    def finish(self, stage: str) -> None:
        """Report that all items have passed a stage."""
        self._before = 0
        self.report(stage, self._total)


class OpenRequest:
    """A request between its first message and its end; made by `open_request`."""

    def __init__(self, connection: Connection) -> None:
        self.upload_ready: asyncio.Future[frozenset[int]] = asyncio.get_running_loop().create_future()
        """The server waits for the bytes of the announced photos, but for those at these places."""
        self._connection = connection
        self._inbox: asyncio.Queue[JsonObject | BaseException] = asyncio.Queue()
        self._unacknowledged_bytes = 0
        self._heard_s = 0.0
        self._uploading = False
        self._ended = False
        self._identifier = connection.register(self._deliver)

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one text message of this request.

        Raises:
            ConnectionLostError, ConnectionRejectedError: the connection is closed.
        """
        await self._connection.send(encode({"type": kind, "id": self._identifier, **fields}))

    async def begin_upload(self) -> None:
        """Wait for the right to send binary messages: they belong to the oldest upload that still lacks bytes."""
        await self._connection.uploading.acquire()
        self._uploading = True

    def end_upload(self) -> None:
        """Let the next request send its binary messages."""
        if self._uploading:
            self._uploading = False
            self._connection.uploading.release()

    async def reserve(self, length: int) -> None:
        """Wait until the server has taken in enough for `length` bytes more, and count them as sent."""
        await self._connection.upload_window.reserve(length)
        self._unacknowledged_bytes += length

    async def send_bytes(self, content: bytes) -> None:
        """Send one binary message, whose length was reserved.

        Raises:
            ConnectionLostError, ConnectionRejectedError: the connection is closed.
        """
        await self._connection.send(content)

    async def entries(
        self, places: list[int], progress: CallProgress, silence_s: float
    ) -> AsyncGenerator[tuple[int, JsonObject]]:
        """Yield the entries of the answer until it is complete, acknowledging those that are streamed.

        Args:
            places: the call's index of each item of the request.
            progress: told what the server says about it.
            silence_s: the connection counts as lost when nothing is heard of the request for so long.

        Yields:
            The call's index of the item, and the entry.

        Raises:
            BadAnswerError: an entry is about no item of the request.
            ConnectionLostError, ConnectionRejectedError: the connection ended.
            RequestFailedError: the server refused the request.
        """
        unacknowledged = 0
        while (message := await self._receive(silence_s)).get("type") != "complete":
            if message.get("type") == "progress":
                progress.report(str(message.get("stage")), int(message.get("done") or 0))
            if "item" in message:
                unacknowledged += 1
                if self._inbox.empty() or unacknowledged >= _ACK_EVERY:
                    await self.send("ack", items=unacknowledged)
                    unacknowledged = 0
                yield _placed(message["item"], -1, places)
            else:
                for position, entry in enumerate(message.get("data") or ()):
                    yield _placed(entry, position, places)

    async def answers(self, silence_s: float) -> AsyncGenerator[JsonObject]:
        """Yield the `data` of each answer until the request is complete; none where the server stops before.

        Raises:
            BadAnswerError: an answer is no object.
            ConnectionLostError, ConnectionRejectedError: the connection ended, or nothing was heard for `silence_s`.
            RequestFailedError: the server refused the request.
        """
        while (message := await self._receive(silence_s)).get("type") != "complete":
            if not isinstance(message.get("data"), dict):
                raise BadAnswerError(f"the server's answer to {message.get('type')} cannot be read")
            yield message["data"]

    async def _receive(self, silence_s: float) -> JsonObject:
        """Return the next message; raises what `entries` says."""
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
                    raise ConnectionLostError(f"nothing was heard of a request for {silence_s:g} s") from error
        if isinstance(message, BaseException):
            raise message
        return message

    def _deliver(self, message: JsonObject | ClientError) -> None:
        if isinstance(message, ClientError):
            self.fail(message)
            return
        self._heard_s = asyncio.get_running_loop().time()
        match message.get("type"):
            case "ready":
                if not self.upload_ready.done():
                    self.upload_ready.set_result(frozenset(message.get("skip") or ()))
            case "received":
                self._release(int(message.get("bytes") or 0))
            case "error":
                self._ended = True
                self.fail(RequestFailedError(str(message.get("code")), str(message.get("message"))))
            case kind:
                self._ended = self._ended or kind == "complete"
                self._inbox.put_nowait(message)

    def fail(self, error: BaseException) -> None:
        """Make `entries` raise, once it has yielded what came before."""
        self._inbox.put_nowait(error)

    def _release(self, length: int) -> None:
        taken = min(length, self._unacknowledged_bytes)
        self._unacknowledged_bytes -= taken
        self._connection.upload_window.release(taken)

    async def leave(self) -> None:
        """Leave the connection; a request that still runs, or still owes bytes, is cancelled on the server."""
        self._connection.unregister(self._identifier)
        self.upload_ready.cancel()
        try:
            if not self._ended or self._uploading:
                async with asyncio.timeout(_CANCEL_TIMEOUT_S):
                    await self.send("cancel")
        except TimeoutError:
            await self._connection.close()
        except ClientError:
            logger.debug("the connection ended before the request was cancelled")
        finally:
            # Only now: the bytes of other uploads must not come before the `cancel`, after which the server expects
            # none of this one, nor will it acknowledge those it has.
            self._release(self._unacknowledged_bytes)
            self.end_upload()


@asynccontextmanager
async def open_request(connection: Connection) -> AsyncGenerator[OpenRequest]:
    """Open a request on a connection; leaving the block before its answer is complete cancels it."""
    request = OpenRequest(connection)
    try:
        yield request
    finally:
        await request.leave()


def _placed(entry: JsonObject, position: int, places: list[int]) -> tuple[int, JsonObject]:
    try:
        place: int = entry.get("index", position)
        if not 0 <= place < len(places):
            raise IndexError(place)
        return places[place], entry
    except (AttributeError, IndexError, TypeError) as error:
        raise BadAnswerError("the server answered about an item that was not asked for") from error

"""Asks for a call's items in as few requests as it takes, again and again until each has its final answer."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import uuid4

from pipeline.client.connection import Connection, Server
from pipeline.client.errors import ConnectionLostError, RequestFailedError
from pipeline.client.open_request import CallProgress, encode, open_request
from pipeline.client.options import ClientOptions
from pipeline.client.results import ItemFailure, JsonObject, OnProgress
from pipeline.client.retrying import TRANSIENT, Retries, pause_s

T = TypeVar("T")
R = TypeVar("R")

NO_ANSWER = ItemFailure("unavailable", "the server ended the request without an answer to this item; ask again")

_ENVELOPE_BYTES = 1024
"""Room in a message for everything but its items."""

_PASSING = ("unavailable", "cancelled")
"""Outcomes of an item that pass by themselves. The caller's own cancelling leaves the request, so a `cancelled` that is
read here is the server's: it was stopped while the request ran."""


class Unanswered(Generic[T]):
    """The items of one call that have no final answer yet, in the order of asking."""

    def __init__(self, items: Mapping[int, T], options: ClientOptions) -> None:
        """Hold the items, by their index in the call."""
        self._items = dict(items)
        self._attempts = options.attempts
        self._max_items = options.max_photos
        self._times_unavailable: dict[int, int] = {}
        self._keys: dict[int, str] = {}
        self._repeated: set[str] = set()
        """Keys that were sent more than once: whether the first time was stored is not known."""

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, index: int) -> bool:
        return index in self._items

    def times_unavailable(self, index: int) -> int:
        """Return how often the item came back as unavailable, or cancelled by the server."""
        return self._times_unavailable.get(index, 0)

    def next_batch(self, size_of: Callable[[T], int], max_bytes: int) -> dict[int, T]:
        """Return the first items that one request may carry, at least one; empty when all are answered.

        Items that were unavailable go in batches of their own, after the others, so that they alone wait; but those
        that share a key stay together.

        Args:
            size_of: bytes that an item takes in the request's text.
            max_bytes: bytes that the items of one request may take together.
        """
        key = self._keys.get(next(iter(self._items), -1))
        if key is not None:
            same = [index for index in self._items if self._keys.get(index) == key]
            return {index: self._items[index] for index in same[: self._max_items]}
        batch: dict[int, T] = {}
        total_bytes, times = 0, math.inf
        for index, item in self._items.items():
            total_bytes += size_of(item)
            times = self.times_unavailable(index) if not batch else times
            full = len(batch) == self._max_items or (batch and total_bytes > max_bytes)
            if full or index in self._keys or self.times_unavailable(index) != times:
                break
            batch[index] = item
        return batch

    def key_of(self, batch: Iterable[int]) -> str:
        """Return the key of the request that confirms these items: the same one when they are asked for again.

        The server does a request whose key it has seen no second time, and refuses a key that comes with more than
        before. So from now on these items go in one request until each has its answer.
        """
        indexes = list(batch)
        key = self._keys.get(indexes[0])
        if key is None:
            key = uuid4().hex
            self._keys.update(dict.fromkeys(indexes, key))
        else:
            self._repeated.add(key)
        return key

    def renew_key(self, batch: Iterable[int]) -> bool:
        """Let a request whose key was refused as reused have another one; return False where that cannot help.

        A request of unknown outcome that turned out too long goes in parts under its key. If the server refuses a
        part, it knows the key from an earlier part alone: the whole was never stored, so this part is new.
        """
        indexes = list(batch)
        if self._keys.get(indexes[0]) not in self._repeated:
            return False
        for index in indexes:
            self._keys.pop(index, None)
        return True

    def take_answer(self, index: int, failure: ItemFailure | None = None) -> bool:
        """Note an answer; return whether it is final, or else the item was put off to be asked again."""
        if failure is not None and failure.code in _PASSING:
            self._times_unavailable[index] = self.times_unavailable(index) + 1
            if self._times_unavailable[index] < self._attempts:
                self._items[index] = self._items.pop(index)
                return False
        self._items.pop(index, None)
        return True

    def take_silence(self, indexes: Iterable[int]) -> list[int]:
        """Note that a request ended without a word about these items; return those not to be asked for again."""
        return [index for index in sorted(indexes) if index in self._items and self.take_answer(index, NO_ANSWER)]

    def halve_batches(self, refused: Collection[int]) -> bool:
        """Ask for at most half as many items as were refused from now on; return False when one was already too many.

        Nothing was done of what was refused, so each half is a request with a key of its own; but where the same
        request was sent before, that one may have been stored, and its parts keep the key by which they are known.
        """
        self._max_items = max(1, len(refused) // 2)
        for index in refused:
            if self._keys.get(index) not in self._repeated:
                self._keys.pop(index, None)
        return len(refused) > 1


AskBatch = Callable[[Connection, dict[int, T]], AsyncGenerator[R]]
"""Sends one request for a batch and yields final answers, each after the `Unanswered` has taken it."""


async def ask_until_answered(
    server: Server, unanswered: Unanswered[T], size_of: Callable[[T], int], ask_batch: AskBatch[T, R]
) -> AsyncGenerator[R]:
    """Yield the answers to all items, as they come, across lost connections.

    Args:
        server: whom to ask.
        unanswered: what to ask for; empty at the end.
        size_of: bytes that an item takes in the request's text.
        ask_batch: sends one request.

    Raises:
        ServerUnreachableError: there was no answer for too long.
        AccessDeniedError, ConnectionRejectedError, BadAnswerError, RequestFailedError: see there.
    """
    retries = Retries(server)
    while batch := unanswered.next_batch(size_of, server.options.max_message_bytes - _ENVELOPE_BYTES):
        if times := max(map(unanswered.times_unavailable, batch)):
            await asyncio.sleep(pause_s(times, server.options))
        try:
            async with aclosing(ask_batch(await server.connection(), batch)) as answers:
                async for answer in answers:
                    retries.answered()
                    yield answer
        except ConnectionLostError as error:
            await retries.wait(error)
        except RequestFailedError as error:
            if error.code == "too_many_photos" and unanswered.halve_batches(batch):
                continue
            if error.code == "key_reused" and unanswered.renew_key(batch):
                continue
            if error.code not in TRANSIENT:
                raise
            await retries.wait(error)


@dataclass(frozen=True, slots=True)
class ItemRequest(Generic[R]):
    """A kind of request whose items fit a message each and have one answer each: identify, save.

    Attributes:
        kind: the message's `type`.
        items_field: the message's field that holds the items.
        fields: its other fields.
        stage: the stage reported as progress.
        read: reads the answer's entry about the item of this index: the result, and its failure if it is one.
    """

    kind: str
    items_field: str
    fields: dict[str, Any]
    stage: str
    read: Callable[[JsonObject, int], tuple[R, ItemFailure | None]]


async def ask_for_items(
    server: Server, request: ItemRequest[R], items: dict[int, JsonObject], on_progress: OnProgress | None
) -> dict[int, R]:
    """Ask about all items, in as many requests as it takes.

    Args:
        server: whom to ask.
        request: what to ask.
        items: by index, as they go over the wire.
        on_progress: told of each advance.

    Returns:
        The results by index.
    """
    unanswered = Unanswered(items, server.options)
    progress = CallProgress(on_progress, len(items))

    async def ask_batch(connection: Connection, batch: dict[int, JsonObject]) -> AsyncGenerator[tuple[int, R]]:
        progress.begin_request(len(unanswered))
        put_off = set()
        confirms = any("identity" in item for item in batch.values())
        key = {"key": unanswered.key_of(batch)} if confirms else {}
        async with open_request(connection) as running:
            await running.send(request.kind, **{request.items_field: list(batch.values())}, **request.fields, **key)
            async for index, entry in running.entries(list(batch), progress, server.options.silence_s):
                result, failure = request.read(entry, index)
                if index in unanswered and unanswered.take_answer(index, failure):
                    yield index, result
                else:
                    put_off.add(index)
        for index in unanswered.take_silence(batch.keys() - put_off):
            yield index, request.read(NO_ANSWER.to_json(), index)[0]

    asked = ask_until_answered(server, unanswered, lambda item: len(encode(item)) + 1, ask_batch)
    async with aclosing(asked) as answers:
        results = {index: result async for index, result in answers}
    progress.finish(request.stage)
    return results


async def ask_for_answer(server: Server, kind: str, fields: JsonObject) -> JsonObject:
    """Ask for what has one answer, again and again until it is there; the request must be safe to repeat.

    Args:
        server: whom to ask.
        kind: the message's `type`.
        fields: its other fields.

    Returns:
        The answer's `data`.

    Raises:
        ServerUnreachableError: there was no answer for too long.
        AccessDeniedError, ConnectionRejectedError, BadAnswerError, RequestFailedError: see there.
    """
    async with aclosing(ask_for_answers(server, kind, lambda: fields)) as answers:
        *_, last = [data async for data in answers]
        return last


async def ask_for_answers(
    server: Server, kind: str, fields: Callable[[], JsonObject], endless: bool = False
) -> AsyncGenerator[JsonObject]:
    """Yield the `data` of each answer to a request, asking again where it ended with the connection, or without any.

    Args:
        server: whom to ask.
        kind: the message's `type`.
        fields: gives its other fields, anew each time it is asked.
        endless: whoever ends the request, and however long nothing is heard of it, go on.

    Raises:
        ServerUnreachableError: there was no answer for too long.
        AccessDeniedError, ConnectionRejectedError, BadAnswerError, RequestFailedError: see there.
    """
    retries, answered = Retries(server), False
    silence_s = math.inf if endless else server.options.silence_s
    while True:
        try:
            async with open_request(await server.connection()) as running:
                await running.send(kind, **fields())
                async with aclosing(running.answers(silence_s)) as answers:
                    async for data in answers:
                        answered = True
                        retries.answered()
                        yield data
            if answered and not endless:
                return
            await retries.wait(RequestFailedError(NO_ANSWER.code, NO_ANSWER.message))
        except ConnectionLostError as error:
            await retries.wait(error)
        except RequestFailedError as error:
            if error.code not in TRANSIENT:
                raise
            await retries.wait(error)

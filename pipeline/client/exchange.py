"""Asks for a call's items, batch by batch, until each has its final answer, across lost connections."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from pipeline.client.errors import LinkLostError, RequestFailedError
from pipeline.client.link import Connection, Link
from pipeline.client.patience import Patience, pause_s
from pipeline.client.pending import Pending

T = TypeVar("T")
R = TypeVar("R")

_ENVELOPE_BYTES = 1024
"""Room in a message for everything but its items."""

_TRANSIENT = ("ack_timeout", "too_many_requests", "unavailable")
"""Refusals of a whole request that pass by themselves; nothing was done for what is still unanswered."""

Ask = Callable[[Connection, dict[int, T]], AsyncGenerator[R]]
"""Sends one request for a batch and yields final answers, after settling each with the `Pending`."""


async def ask_until_answered(
    link: Link, pending: Pending[T], size_of: Callable[[T], int], ask: Ask[T, R]
) -> AsyncGenerator[R]:
    """Yield the answers to all pending items, as they come.

    Args:
        link: where to ask.
        pending: what to ask for; empty at the end.
        size_of: bytes that an item takes in the request's text.
        ask: one request.

    Raises:
        ServerUnreachableError: there was no answer for too long.
        AccessDeniedError, ConnectionRejectedError, BadAnswerError, RequestFailedError: see there.
    """
    patience = Patience(link.url, link.options)
    while batch := pending.next_batch(size_of, link.options.max_message_bytes - _ENVELOPE_BYTES):
        if missed := pending.times_missed(next(iter(batch))):
            await asyncio.sleep(pause_s(missed, link.options))
        try:
            async with aclosing(ask(await link.connection(), batch)) as answers:
                async for answer in answers:
                    patience.progressed()
                    yield answer
        except LinkLostError as error:
            await patience.wait(error, was_connected=link.was_connected)
        except RequestFailedError as error:
            if error.code == "too_many_photos" and pending.halve_batches(len(batch)):
                continue
            if error.code not in _TRANSIENT:
                raise
            await patience.wait(error, was_connected=True)

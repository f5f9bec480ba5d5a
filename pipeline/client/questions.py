"""Identify and save calls: items that fit a message each, with one answer each."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.client.entries import entries
from pipeline.client.exchange import ask_until_answered
from pipeline.client.link import Connection, Link, encode
from pipeline.client.pending import NO_ANSWER, Pending
from pipeline.client.progress import ProgressReport
from pipeline.client.results import ItemFailure, JsonObject, OnProgress

R = TypeVar("R")

Read = Callable[[JsonObject, int], tuple[R, ItemFailure | None]]
"""Reads an entry of the answer about the item of this index: the result, and its failure if it is one."""


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """What to ask, and how to read what comes back.

    Attributes:
        kind: the message's `type`.
        field: the message's field that holds the items.
        manner: its other fields.
        stage: the stage reported as progress.
        read: reads an entry of the answer.
    """

    kind: str
    field: str
    manner: dict[str, Any]
    stage: str
    read: Read[R]


async def ask(
    link: Link, question: Question[R], items: dict[int, JsonObject], on_progress: OnProgress | None
) -> dict[int, R]:
    """Ask about all items, in as many requests as it takes.

    Args:
        link: where to ask.
        question: what to ask.
        items: by index, as they go over the wire.
        on_progress: told of each advance.

    Returns:
        The results by index.
    """
    pending = Pending(items, link.options)
    progress = ProgressReport(on_progress, len(items))

    async def ask_batch(connection: Connection, batch: dict[int, JsonObject]) -> AsyncGenerator[tuple[int, R]]:
        progress.begin(len(pending))
        put_off = set()
        async with connection.channel() as channel:
            await channel.send(question.kind, **{question.field: list(batch.values())}, **question.manner)
            async for index, entry in entries(channel, progress, link.options.silence_s, list(batch)):
                result, failure = question.read(entry, index)
                if index in pending and pending.settle(index, failure):
                    yield index, result
                else:
                    put_off.add(index)
        for index in pending.give_up(batch.keys() - put_off):
            yield index, question.read(NO_ANSWER.to_json(), index)[0]

    async with aclosing(ask_until_answered(link, pending, lambda item: len(encode(item)) + 1, ask_batch)) as answers:
        results = {index: result async for index, result in answers}
    progress.finish(question.stage)
    return results

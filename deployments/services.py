"""What one ingress replica can do for its clients: a table from each call of a session to what carries it out."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from deployments.photo_queue import PhotoQueue
from pipeline.access import Peer
from pipeline.protocol.filters import Detail
from pipeline.protocol.requests import Request
from pipeline.records import Actor, Failure, Query, Ranking, SaveOutcome
from pipeline.session.actions import (
    Answer,
    Call,
    ExtractPhoto,
    LetOthersGo,
    RankQueries,
    SavePhoto,
    Step,
    StoreConfirmations,
)


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """Whom a call is carried out for: one connection; photos of different clients take turns."""

    peer: Peer


Handler = Callable[[Any, Client], AsyncGenerator[Any, None]]
"""Carries out one kind of call: takes the call and its client, yields the call's steps."""


class Catalogue(Protocol):
    """Stores confirmations, ranks individuals, and answers every request about the catalogue."""

    async def confirm(self, queries: Sequence[Query], actor: Actor, key: str | None) -> Sequence[Failure | None]:
        """Store queries, each of which carries an identity, in one event; safe to repeat.

        Returns:
            For each query why it was refused, None where it is stored.
        """
        ...

    async def rank(
        self, queries: Sequence[Query], top_k: int | None, detail: Detail | None = None
    ) -> Sequence[Ranking]:
        """Rank the known individuals for each query; `detail` says what else the rankings hold."""
        ...

    async def answer(self, message: Request, actor: Actor) -> dict[str, Any]:
        """Answer a request that has one answer."""
        ...


class Export(Protocol):
    """Copies photos into the export folder."""

    def save(self, file: str, identity: str, local_peer: bool) -> SaveOutcome:
        """Copy one photo; blocks."""
        ...


class Services:
    """Carries out calls. A call of a new kind is a row of the table."""

    def __init__(self, photos: PhotoQueue, catalogue: Catalogue, export: Export) -> None:
        """Wire the table.

        Args:
            photos: extracts photos.
            catalogue: confirms, ranks and answers.
            export: copies photos; it blocks, so it is called in a thread.
        """
        self._catalogue = catalogue
        self._export = export
        self._handlers: Mapping[type[Call[Any]], Handler] = {
            ExtractPhoto: photos.extract,
            StoreConfirmations: _once(self._confirm),
            RankQueries: _once(self._rank),
            SavePhoto: _once(self._save),
            Answer: _once(self._answer),
            LetOthersGo: _once(self._let_others_go),
        }

    def carry_out(self, call: Call[Step], client: Client) -> AsyncGenerator[Step, None]:
        """Yield the steps of a call.

        Raises:
            WhaleVisionError: it cannot be carried out.
        """
        return self._handlers[type(call)](call, client)

    async def _confirm(self, call: StoreConfirmations, client: Client) -> tuple[Failure | None, ...]:
        refused = await self._catalogue.confirm(call.queries, client.peer.actor, call.key)
        return tuple(refused)

    async def _rank(self, call: RankQueries, _: Client) -> tuple[Ranking, ...]:
        return tuple(await self._catalogue.rank(call.queries, call.top_k, call.detail))

    async def _save(self, call: SavePhoto, client: Client) -> SaveOutcome:
        return await asyncio.to_thread(self._export.save, call.file, call.identity, client.peer.is_local)

    async def _let_others_go(self, _: LetOthersGo, __: Client) -> None:
        await asyncio.sleep(0)

    async def _answer(self, call: Answer, client: Client) -> dict[str, Any]:
        return await self._catalogue.answer(call.message, client.peer.actor)


def _once(carry_out: Callable[[Any, Client], Awaitable[Any]]) -> Handler:
    """Make a handler of what gives one step."""

    async def handler(call: Any, client: Client) -> AsyncGenerator[Any, None]:
        yield await carry_out(call, client)

    return handler

"""What one ingress replica can do for its clients: a table from each call of a session to what carries it out."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from deployments.head_watch import HeadWatch
from deployments.photo_library import PhotoLibrary
from deployments.photo_queue import PhotoQueue
from deployments.rights import Rights
from pipeline.access import Peer, Permit, permit
from pipeline.errors import PhotoNotFoundError
from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_replies import Head
from pipeline.protocol.filters import Detail
from pipeline.records import Actor, Extracted, Failure, Query, Ranking, SaveOutcome
from pipeline.rights import Right, rounded
from pipeline.session.actions import (
    Answer,
    AwaitChange,
    Call,
    ExtractPhoto,
    LetOthersGo,
    PhotoStep,
    RankInSeveral,
    RankQueries,
    SavePhoto,
    Step,
    StoreConfirmations,
)
from pipeline.stored_photos import StoreSource


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """Whom a call is carried out for: one connection; photos of different clients take turns."""

    peer: Peer


Handler = Callable[[Any, Client, Permit], AsyncGenerator[Any, None]]
"""Carries out one kind of call: takes the call, its client and what that may do, yields the call's steps."""


class Catalogue(Protocol):
    """Stores confirmations, ranks individuals, and answers every request about the catalogue."""

    async def confirm(
        self, catalogue: str, queries: Sequence[Query], actor: Actor, key: str | None, may_guess: bool
    ) -> Sequence[Failure | None]:
        """Store queries, each of which carries an identity, in one event; safe to repeat.

        Args:
            catalogue: its name.
            queries: what is confirmed.
            actor: who confirms.
            key: the client's, of the request.
            may_guess: identities may be what the client was told; those are provisional.

        Returns:
            For each query why it was refused, None where it is stored.
        """
        ...

    async def rank(
        self, catalogue: str, queries: Sequence[Query], top_k: int | None, detail: Detail | None
    ) -> Sequence[Ranking]:
        """Rank a catalogue's known individuals for each query; `detail` says what else the rankings hold."""
        ...

    async def rank_in_several(
        self, catalogues: Mapping[str, bool], queries: Sequence[Query], top_k: int | None, detail: Detail | None
    ) -> Sequence[Ranking]:
        """Rank the individuals of several catalogues together.

        Args:
            catalogues: by name, whether the client may view more of it than names and rounded distances.
            queries: without identity.
            top_k: candidates of all catalogues together.
            detail: as of `rank`.
        """
        ...

    async def heads(self) -> Mapping[str, Head]:
        """Return the state of each catalogue by its name."""
        ...

    async def answer(self, message: Request, permit: Permit) -> dict[str, Any]:
        """Answer a request that has one answer; a change is on disk then, and safe to repeat."""
        ...


class Export(Protocol):
    """Copies photos into the export folder."""

    def save(self, file: str, identity: str, local_peer: bool) -> SaveOutcome:
        """Copy one photo; blocks."""
        ...


class Services:
    """Carries out calls. A call of a new kind is a row of the table."""

    def __init__(
        self, photos: PhotoQueue, catalogue: Catalogue, export: Export, rights: Rights, library: PhotoLibrary
    ) -> None:
        """Wire the table.

        Args:
            photos: extracts photos.
            catalogue: confirms, ranks and answers.
            export: copies photos; it blocks, so it is called in a thread.
            rights: what each client may do, looked up for every call.
            library: which catalogue has which photo of the store.
        """
        self._photos = photos
        self._library = library
        self._catalogue = catalogue
        self._export = export
        self._rights = rights
        self._watch = HeadWatch(catalogue.heads)
        self._handlers: Mapping[type[Call[Any]], Handler] = {
            ExtractPhoto: self._extract,
            StoreConfirmations: _once(self._confirm),
            RankQueries: _once(self._rank),
            RankInSeveral: _once(self._rank_in_several),
            SavePhoto: _once(self._save),
            Answer: _once(self._answer),
            AwaitChange: _once(self._await_change),
            LetOthersGo: _once(self._let_others_go),
        }

    async def carry_out(self, call: Call[Step], client: Client) -> AsyncGenerator[Step, None]:
        """Yield the steps of a call.

        Raises:
            WhaleVisionError: it cannot be carried out, or the client has no right to it.
        """
        permitted = permit(await self._rights.standing(client.peer), call.need)
        async with aclosing(self._handlers[type(call)](call, client, permitted)) as steps:
            async for step in steps:
                yield step

    async def _extract(self, call: ExtractPhoto, client: Client, permit: Permit) -> AsyncGenerator[PhotoStep, None]:
        if isinstance(call.source, StoreSource):
            assert permit.catalogue is not None
            try:
                await self._library.require(permit.catalogue, call.source.sha256)
            except PhotoNotFoundError as error:
                yield Extracted((), Failure.of(error), None)
                return
        async with aclosing(self._photos.extract(call, client)) as steps:
            async for step in steps:
                yield step

    async def _confirm(self, call: StoreConfirmations, _: Client, permit: Permit) -> tuple[Failure | None, ...]:
        assert permit.catalogue is not None
        said = (permit.catalogue, call.queries, permit.actor, call.key, call.may_guess)
        return tuple(await self._catalogue.confirm(*said))

    async def _rank(self, call: RankQueries, _: Client, permit: Permit) -> tuple[Ranking, ...]:
        assert permit.catalogue is not None
        rankings = await self._catalogue.rank(permit.catalogue, call.queries, call.top_k, call.detail)
        return tuple(rankings) if permit.held.right.includes(Right.VIEW) else tuple(map(rounded, rankings))

    async def _rank_in_several(self, call: RankInSeveral, _: Client, permit: Permit) -> tuple[Ranking, ...]:
        held = {name: permit.standing.held[name] for name in call.catalogues}
        views = {name: each.right.includes(Right.VIEW) for name, each in held.items()}
        return tuple(await self._catalogue.rank_in_several(views, call.queries, call.top_k, call.detail))

    async def _save(self, call: SavePhoto, client: Client, _: Permit) -> SaveOutcome:
        return await asyncio.to_thread(self._export.save, call.file, call.identity, client.peer.is_local)

    async def _let_others_go(self, _: LetOthersGo, __: Client, ___: Permit) -> None:
        await asyncio.sleep(0)

    async def _await_change(self, call: AwaitChange, _: Client, permit: Permit) -> None:
        assert permit.catalogue is not None
        await self._watch.changed(permit.catalogue, call.known)

    async def _answer(self, call: Answer, _: Client, permit: Permit) -> dict[str, Any]:
        return await self._catalogue.answer(call.message, permit)


def _once(carry_out: Callable[[Any, Client, Permit], Awaitable[Any]]) -> Handler:
    """Make a handler of what gives one step."""

    async def handler(call: Any, client: Client, permit: Permit) -> AsyncGenerator[Any, None]:
        yield await carry_out(call, client, permit)

    return handler

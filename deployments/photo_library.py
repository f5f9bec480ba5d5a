"""The photo store as clients reach it over HTTP: photos are taken in, looked for, and shown as smaller pictures."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from pipeline.errors import ItemError, PhotoNotFoundError
from pipeline.photo_store.room import StoreRoom
from pipeline.photo_store.store import PhotoStore
from pipeline.records import Actor
from pipeline.settings import Settings
from pipeline.stored_photos import PhotoFacts, PhotoRecord, Picture

if TYPE_CHECKING:
    from pipeline.catalogue.photos import CataloguePhotos

logger = logging.getLogger(__name__)

T = TypeVar("T")

THREADS = 8
"""Of a replica, for the store and the database: a store that hangs holds up nothing else."""

WIDTHS_PX = (160, 320, 640, 1280, 2560)
"""The widths that there are: the store keeps few pictures of a photo, whatever is asked for."""

PAD_STEP = 0.05


class Looker(Protocol):
    """Looks at photos of the store where they may be decoded."""

    async def inspect(self, incoming: str, name: str) -> PhotoFacts:
        """Say what a photo on its way into the store is.

        Raises:
            ItemError: it cannot be decoded as a photo.
        """
        ...

    async def render(self, sha256: str, picture: Picture) -> bytes:
        """Make a picture of a photo of the store.

        Raises:
            ItemError: the photo is not there, or cannot be decoded any more.
        """
        ...


Turn = Callable[[Hashable], AbstractAsyncContextManager[None]]
"""Waits for a client's turn to have a photo decoded; see `PhotoQueue.turn`."""


class PhotoLibrary:
    """One ingress replica's way to the photos; who may see them was decided before."""

    def __init__(
        self,
        store: PhotoStore,
        open_photos: "Callable[[], CataloguePhotos]",
        looker: Looker,
        turn: Turn,
        max_bytes: int | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            store: where the photos are.
            open_photos: opens the database that says which catalogue has which photo; blocks.
            looker: decodes them.
            turn: photos that are shown take turns with those that are extracted.
            max_bytes: that all photos of the store may take together; None: as much as there is.
        """
        self._store = store
        self._open_photos = open_photos
        self._looker = looker
        self._turn = turn
        self._room = StoreRoom(max_bytes, lambda: self._photos.total_bytes())
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="photo-store")

    @cached_property
    def _photos(self) -> "CataloguePhotos":
        return self._open_photos()

    def clean(self) -> None:
        """Delete what killed processes have left in the store, without waiting for it; an error is in the log."""

        def clean() -> None:
            with suppress(ItemError):
                self._store.clean()

        self._threads.submit(clean)

    async def has(self, catalogue: str, sha256: str) -> bool:
        """Whether a catalogue has a photo, and the store its file."""
        return await self._is_of(catalogue, sha256) and await self._run(lambda: self._store.has(sha256))

    async def require(self, catalogue: str, sha256: str) -> None:
        """Check that a catalogue has a photo.

        Raises:
            PhotoNotFoundError: it has not.
        """
        if not await self._is_of(catalogue, sha256):
            raise PhotoNotFoundError(f"{sha256}: the catalogue has no such photo; upload it")

    async def take(
        self,
        catalogue: str,
        sha256: str,
        name: str | None,
        size_bytes: int,
        content: AsyncIterator[bytes],
        actor: Actor,
    ) -> tuple[PhotoFacts, bool]:
        """Take a photo into the store, and say that a catalogue has it; on disk when this returns.

        Doing so again changes nothing. What fails or is cancelled leaves nothing behind that is ever read.

        Args:
            catalogue: its name.
            sha256: that the photo's file has to have, hex.
            name: of the file at its sender.
            size_bytes: how long it is at most.
            content: the file, piece by piece.
            actor: who sends it.

        Returns:
            What the photo is, and whether it is new to the catalogue.

        Raises:
            HashMismatchError: the bytes are others.
            ItemError: it is not a photo that can be decoded, or the store cannot take it.
            CatalogueUnavailableError: the database cannot be written.
        """
        if await self._run(lambda: self._store.has(sha256)):
            return await self._take(catalogue, sha256, name, content, actor)  # takes no more room than it has
        await self._hold_room(size_bytes)
        is_kept = False
        try:
            taken = await self._take(catalogue, sha256, name, content, actor)
            is_kept = True
            return taken
        finally:
            await asyncio.shield(self._run(lambda: self._room.settle(size_bytes, is_kept)))

    async def _hold_room(self, size_bytes: int) -> None:
        taking = asyncio.get_running_loop().run_in_executor(self._threads, self._room.take, size_bytes)
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:  # its thread goes on, and what it takes is nobody's
            give_back = partial(self._threads.submit, self._room.settle, size_bytes, is_kept=False)
            taking.add_done_callback(lambda taken: None if taken.exception() else give_back())
            raise

    async def _take(
        self, catalogue: str, sha256: str, name: str | None, content: AsyncIterator[bytes], actor: Actor
    ) -> tuple[PhotoFacts, bool]:
        incoming = await self._run(self._store.receive)
        try:
            async for piece in content:
                await self._run(partial(incoming.write, piece))
            await self._run(lambda: incoming.close(sha256))
            async with self._turn(actor):
                facts = await self._looker.inspect(incoming.name, name or sha256)
            await self._run(lambda: incoming.keep(sha256))
            photo = PhotoRecord(sha256, incoming.size_bytes, facts, name)
            is_there = partial(self._store.has, sha256)
            return facts, await self._run(lambda: self._photos.add(catalogue, photo, actor, is_there))
        finally:
            await asyncio.shield(self._run(incoming.discard))

    async def picture(self, catalogue: str, sha256: str, width_px: int | None, actor: Actor) -> tuple[Picture, bytes]:
        """Return a whole photo as a picture.

        Args:
            catalogue: that has it.
            sha256: of the photo.
            width_px: at least this wide, as far as the photo and `WIDTHS_PX` go; None for the largest.
            actor: who asks.

        Raises:
            PhotoNotFoundError: the catalogue has no such photo.
            ItemError: it cannot be shown.
        """
        await self.require(catalogue, sha256)
        picture = Picture(step_of(width_px))
        return picture, await self._made(sha256, picture, actor)

    async def crop(
        self, catalogue: str, annotation: int, width_px: int | None, pad: float, actor: Actor
    ) -> tuple[Picture, bytes]:
        """Return an annotation's animal as a picture; see `picture`.

        Args:
            catalogue: that has it.
            annotation: its number.
            width_px: see `picture`.
            pad: share of the box's width (height) around it, 0 to 1.
            actor: who asks.
        """
        place = await self._run(lambda: self._photos.place_of(catalogue, annotation))
        if place is None:
            raise PhotoNotFoundError("the catalogue has no such annotation, or no photo of it with its box")
        sha256, box_px = place
        picture = Picture(step_of(width_px), box_px, round(pad / PAD_STEP) * PAD_STEP)
        return picture, await self._made(sha256, picture, actor)

    async def _made(self, sha256: str, picture: Picture, actor: Actor) -> bytes:
        found = await self._run(lambda: self._store.read_derived(sha256, picture.kind))
        if found is not None:
            return found
        async with self._turn(actor):
            made = await self._looker.render(sha256, picture)
        try:
            await self._run(lambda: self._store.write_derived(sha256, picture.kind, made))
        except ItemError:  # it is in the log; the picture can be made again
            logger.warning("a picture of photo %s was not kept", sha256)
        return made

    async def _is_of(self, catalogue: str, sha256: str) -> bool:
        return await self._run(lambda: self._photos.find(catalogue, sha256)) is not None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def step_of(width_px: int | None) -> int:
    """Return the width that a picture has which is to be at least so wide, as far as there are such."""
    wanted_px = WIDTHS_PX[-1] if width_px is None else width_px
    return next((step for step in WIDTHS_PX if step >= wanted_px), WIDTHS_PX[-1])


def library_of(settings: Settings, database: str, looker: Looker, turn: Turn) -> PhotoLibrary:
    """Return the way to the photos under these settings.

    Args:
        settings: name the store and the database.
        database: its id, whose the store is.
        looker: decodes photos of the store.
        turn: see `PhotoLibrary`.
    """

    def open_stored() -> "CataloguePhotos":
        from pipeline.catalogue.photos import open_photos  # here: a replica that nobody asks for photos needs none

        return open_photos(settings.catalogue_url)

    store = PhotoStore(settings.photo_store, database)
    return PhotoLibrary(store, open_stored, looker, turn, settings.limits.max_store_bytes)

"""How a photo is decoded and held: the port of `pipeline.extraction`, and its plain form in this process's threads."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pipeline.photos.images import Photo, crop, decode_photo, detector_input, render
from pipeline.records import BoundingBox, UInt8Array
from pipeline.stored_photos import Picture, Taken

ReadPhoto = Callable[[], bytes]
"""Returns a photo's whole file; may block, and raises what `PhotoFiles.read` raises."""


class HeldPhoto(Protocol):
    """A decoded photo, held until it is closed."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the upright photo."""
        ...

    @property
    def sha256(self) -> str:
        """Of the photo's file, hex."""
        ...

    @property
    def taken(self) -> Taken:
        """When and where the photo was taken, as its file says."""
        ...

    @property
    def squashed(self) -> UInt8Array:
        """The whole photo squashed to the detector's input, (s, s, 3) uint8 RGB."""
        ...

    async def crop(self, box_px: BoundingBox, margin: float, size_px: int) -> UInt8Array:
        """Cut out a box; see `pipeline.photos.images.crop`."""
        ...

    async def render(self, picture: Picture) -> bytes:
        """Make a picture of the photo; see `pipeline.photos.images.render`."""
        ...

    def close(self) -> None:
        """Let go of the photo; it cannot be cropped any more."""
        ...


class Decoder(Protocol):
    """Decodes photos."""

    async def decode(self, read: ReadPhoto, name: str, squashed_px: int, max_pixels: int) -> HeldPhoto:
        """Read and decode one photo.

        Args:
            read: called once, off the event loop, when there is room for the photo.
            name: as the client sent it; for messages.
            squashed_px: side of the detector's input.
            max_pixels: limit on the photo's pixels.

        Raises:
            ItemError: the photo cannot be read, is no photo, is damaged or takes too much.
        """
        ...


class ThreadDecoder:
    """Decodes in threads of this process: for photos that are trusted not to hang or crash a decoder."""

    def __init__(self, executor: Executor | None = None) -> None:
        """Take the threads; None takes the event loop's own."""
        self._executor = executor

    async def decode(self, read: ReadPhoto, name: str, squashed_px: int, max_pixels: int) -> "PhotoInThread":
        """See `Decoder.decode`."""
        step = partial(self._decode, read, name, squashed_px, max_pixels)
        return await asyncio.get_running_loop().run_in_executor(self._executor, step)

    def _decode(self, read: ReadPhoto, name: str, squashed_px: int, max_pixels: int) -> "PhotoInThread":
        content = read()
        photo = decode_photo(content, name, max_pixels)
        sha256 = hashlib.sha256(content).hexdigest()
        return PhotoInThread(photo, sha256, detector_input(photo, squashed_px), self._executor)


@dataclass(slots=True)
class PhotoInThread:
    """A decoded photo in this process; see `HeldPhoto`."""

    photo: Photo | None
    sha256: str
    squashed: UInt8Array
    executor: Executor | None

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the upright photo."""
        assert self.photo is not None, "closed"
        return self.photo.size_px

    @property
    def taken(self) -> Taken:
        """See `HeldPhoto.taken`."""
        assert self.photo is not None, "closed"
        return self.photo.taken

    async def crop(self, box_px: BoundingBox, margin: float, size_px: int) -> UInt8Array:
        """See `HeldPhoto.crop`."""
        assert self.photo is not None, "closed"
        step = partial(crop, self.photo, box_px, margin, size_px)
        return await asyncio.get_running_loop().run_in_executor(self.executor, step)

    async def render(self, picture: Picture) -> bytes:
        """See `HeldPhoto.render`."""
        assert self.photo is not None, "closed"
        step = partial(render, self.photo, picture)
        return await asyncio.get_running_loop().run_in_executor(self.executor, step)

    def close(self) -> None:
        """See `HeldPhoto.close`."""
        self.photo = None

"""Decodes each photo in a process of its own, so that one that hangs or crashes a decoder is that photo's outcome only.

A decoder is forked off a small process, holds its photo until the crops are made, and goes on with the next one. After
anything unexpected it is killed: another one costs a millisecond.
"""

import asyncio
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from pipeline.errors import NoAnimalError, SettingsError
from pipeline.names import shown_name
from pipeline.photos.bounds import BYTES_PER_DECODED_PIXEL, BYTES_PER_DECODING_PIXEL, HEADER_BYTES
from pipeline.photos.budget import MemoryBudget, Share
from pipeline.photos.decoder_processes import DecoderProcess, DecoderServer
from pipeline.photos.decoding import ReadPhoto
from pipeline.records import BoundingBox, UInt8Array
from pipeline.settings import Limits
from pipeline.stored_photos import Picture, Taken

SMALL_PHOTOS_SHARE = 0.25
"""Part of `decoding_memory_bytes` that only small photos take, so that they never wait for a large one."""

SMALL_PIXELS = 4_000_000
"""A photo up to this size is decoded as soon as it is opened; for a larger one more memory has to be taken first."""

SMALL_BYTES = HEADER_BYTES + BYTES_PER_DECODING_PIXEL * SMALL_PIXELS
"""Memory that is taken before a file is read: enough for the file and its header, and for all of a small photo."""

_MOST_IDLE = 4
_THREADS = 32  # they only wait for the decoders


def check_memory(limits: Limits) -> None:
    """Check that there is memory to decode one largest photo.

    Raises:
        SettingsError: there is too little; says how much it takes.
    """
    least_bytes = math.ceil(BYTES_PER_DECODING_PIXEL * limits.max_photo_pixels / (1 - SMALL_PHOTOS_SHARE))
    if limits.decoding_memory_bytes < least_bytes:
        raise SettingsError(
            f"args.limits: decoding_memory_bytes ({limits.decoding_memory_bytes}) is too little to decode a photo of"
            f" max_photo_pixels; make it at least {least_bytes}, or lower max_photo_pixels"
        )


class ProcessDecoder:
    """Decodes photos in processes, within a time and an amount of memory; see `pipeline.photos.decoding.Decoder`."""

    def __init__(self, memory_bytes: int, timeout_s: float) -> None:
        """Start the process that decoders are forked off.

        Args:
            memory_bytes: what all photos may take together. A part of it is for small photos alone, so that they never
                wait for a large one; the rest holds at least one largest photo.
            timeout_s: longest time that decoding one photo may take.
        """
        small_bytes = int(memory_bytes * SMALL_PHOTOS_SHARE)
        self.small, self.large = MemoryBudget(small_bytes), MemoryBudget(memory_bytes - small_bytes)
        self.timeout_s = timeout_s
        self._server = DecoderServer()
        self._idle: list[DecoderProcess] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="decode")

    async def decode(self, read: ReadPhoto, name: str, squashed_px: int, max_pixels: int) -> "PhotoInProcess":
        """See `Decoder.decode`."""
        process, share = self._take_idle(), Share()
        try:
            await share.take(self.small, SMALL_BYTES)
            answer, squashed = await self._open(process, read, name, squashed_px, max_pixels)
            if "pixels" in answer:
                share.shrink(0)
                needed_bytes = HEADER_BYTES + BYTES_PER_DECODING_PIXEL * answer["pixels"]
                is_small = needed_bytes <= self.small.total_bytes // 2
                await share.take(self.small if is_small else self.large, needed_bytes)
                message = {"do": "decode", "memory_bytes": share.size_bytes}
                answer, squashed = await self.ask(process, message, lambda: b"", name)
        except BaseException:  # also a cancellation: nobody waits for this decoder
            process.kill()
            share.shrink(0)
            raise
        width_px, height_px = answer["size_px"]
        share.shrink(BYTES_PER_DECODED_PIXEL * width_px * height_px)
        at, *rest = answer["taken"]
        taken = Taken(None if at is None else datetime.fromisoformat(at), *rest)
        pixels = _array(squashed, squashed_px)
        return PhotoInProcess(self, process, name, (width_px, height_px), answer["sha256"], taken, pixels, share)

    async def ask(
        self, process: DecoderProcess, message: Mapping[str, object], payload: ReadPhoto, name: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a decoder a message from a thread, and wait for its answer; see `DecoderProcess.ask`."""

        def step() -> tuple[dict[str, Any], bytes]:
            return process.ask(message, payload(), self.timeout_s, shown_name(name))

        return await asyncio.get_running_loop().run_in_executor(self._threads, step)

    async def _open(
        self, process: DecoderProcess, read: ReadPhoto, name: str, squashed_px: int, max_pixels: int
    ) -> tuple[dict[str, Any], bytes]:
        message = {
            "do": "open",
            "name": name,
            "max_pixels": max_pixels,
            "decode_pixels": min(max_pixels, SMALL_PIXELS),
            "squashed_px": squashed_px,
            "memory_bytes": min(SMALL_BYTES, self.small.total_bytes),
        }
        return await self.ask(process, message, read, name)

    def take_back(self, process: DecoderProcess) -> None:
        """Take a decoder back from its photo, for the next one."""
        if len(self._idle) < _MOST_IDLE and process.forget():
            self._idle.append(process)
        else:
            process.kill()

    def close(self) -> None:
        """End all processes."""
        self._server.close()
        self._threads.shutdown(wait=False)

    def _take_idle(self) -> DecoderProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive():
                return process
            process.kill()
        return DecoderProcess(self._server)


@dataclass(slots=True)
class PhotoInProcess:
    """A photo that a decoder holds; see `pipeline.photos.decoding.HeldPhoto`."""

    decoder: ProcessDecoder
    process: DecoderProcess | None
    name: str
    size_px: tuple[int, int]
    sha256: str
    taken: Taken
    squashed: UInt8Array
    share: Share

    async def crop(self, box_px: BoundingBox, margin: float, size_px: int) -> UInt8Array:
        """See `HeldPhoto.crop`."""
        message = {"do": "crop", "box_px": box_px.xyxy(), "margin": margin, "size_px": size_px}
        return _array(await self._ask(message), size_px)

    async def render(self, picture: Picture) -> bytes:
        """See `HeldPhoto.render`."""
        box_px = None if picture.box_px is None else picture.box_px.xyxy()
        return await self._ask({"do": "render", "width_px": picture.width_px, "box_px": box_px, "pad": picture.pad})

    async def _ask(self, message: Mapping[str, object]) -> bytes:
        assert self.process is not None, "closed"
        try:
            _, made = await self.decoder.ask(self.process, message, lambda: b"", self.name)
        except NoAnimalError:
            raise
        except BaseException:  # also a cancellation: an answer that nobody takes would be the next photo's
            self.process.kill()
            raise
        return made

    def close(self) -> None:
        """See `HeldPhoto.close`."""
        if self.process is not None:
            self.decoder.take_back(self.process)
            self.share.shrink(0)
            self.process = None


def _array(pixels: bytes, side_px: int) -> UInt8Array:
    """Return (side_px, side_px, 3) pixels that may be written, so that tensors can share their memory."""
    return np.frombuffer(bytearray(pixels), np.uint8).reshape(side_px, side_px, 3)

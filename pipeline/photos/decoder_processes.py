"""Decodes each photo in a process of its own, so that one that hangs or crashes a decoder is that photo's outcome only.

A decoder is forked off a small process (`decoder_main`), holds its photo until the crops are made, and goes on with the
next one. After anything unexpected it is killed: another one costs a millisecond.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import NoAnimalError, UnavailableError, UnreadablePhotoError
from pipeline.names import shown_name
from pipeline.photos.bounds import HEADER_BYTES
from pipeline.photos.budget import MemoryBudget, Share
from pipeline.photos.decoding import ReadPhoto
from pipeline.records import BoundingBox, Failure, UInt8Array
from pipeline.settings import BYTES_PER_DECODED_PIXEL, BYTES_PER_DECODING_PIXEL, SMALL_PHOTOS_SHARE

READ_AT_ONCE = 2
"""Photos whose files are read at the same time; others hold no memory until it is their turn."""

_HEADER_SHARE = 0.25  # of the time that decoding may take
_MOST_IDLE = 4
_THREADS = 32  # they only wait for the decoders
_START_TIMEOUT_S = 30.0
_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "OPENBLAS_NUM_THREADS": "1",  # a process that forks should have no other threads
    "MALLOC_MMAP_THRESHOLD_": str(2**18),  # a photo's memory goes back to the system
    "MALLOC_TRIM_THRESHOLD_": str(2**20),
    "MALLOC_ARENA_MAX": "2",
}

_Result = TypeVar("_Result")


class DecoderServer:
    """The process that decoders are forked off; started anew where it ended. Threads may share it."""

    def __init__(self) -> None:
        """Start the process; does not wait until it is ready."""
        self._lock = Lock()
        self._process, self._control = self._start()

    def fork(self) -> tuple[Connection, int]:
        """Start a decoder; returns its connection and a pidfd.

        Raises:
            OSError: no process can be started.
            EOFError: the process ended while it was asked.
        """
        with self._lock:
            if self._process.poll() is not None:
                self._control.close()
                self._process, self._control = self._start()
            return self._fork()

    def close(self) -> None:
        """End the process, and with it every decoder."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "pipeline.photos.decoder_main", str(theirs.fileno())]
            process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=os.environ | _ENVIRONMENT)
        return process, ours

    def _fork(self) -> tuple[Connection, int]:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"d"], [theirs.fileno()])
        connection = Connection(ours.detach())
        if not connection.poll(_START_TIMEOUT_S):
            self._process.kill()
            raise OSError("the process that decoders are forked off does not answer")
        return connection, os.pidfd_open(int(connection.recv_bytes()))


class DecoderProcess:
    """One decoder, started with its first message. Its methods block; `kill` may be called from any thread."""

    def __init__(self, server: DecoderServer) -> None:
        """Name where to start it."""
        self._server = server
        self._lock = Lock()
        self._connection: Connection | None = None
        self._pidfd: int | None = None
        self._killed = False

    def ask(
        self, message: Mapping[str, object], payload: bytes, timeout_s: float, shown: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a message and wait for its answer.

        Raises:
            ItemError: what is wrong with the photo; or it made the decoder hang or crash; or there is no decoder.
        """
        connection = self._connection or self._start(shown)
        try:
            _send(connection, message, payload)
            if not connection.poll(timeout_s):
                self.kill()
                raise UnreadablePhotoError(
                    f"{shown}: took longer than {timeout_s:g} s to decode; it is damaged, or raise"
                    " timeouts.decode_timeout_s"
                )
            answer, result = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (OSError, EOFError) as error:
            raise UnreadablePhotoError(
                f"{shown}: made the decoder crash; it is damaged, so copy it again from the camera or card"
            ) from error
        if "failure" in answer:
            raise Failure(*answer["failure"]).as_error()
        return answer, result

    def forget(self) -> bool:
        """Have the decoder let go of its photo; returns False where it is dead."""
        try:
            if self._killed or self._connection is None:
                return False
            _send(self._connection, {"do": "forget"}, b"")
        except OSError:
            return False
        return True

    def is_alive(self) -> bool:
        """Tell whether the decoder still waits for messages; one that is idle has nothing to say but that it ended."""
        try:
            return self._connection is not None and not self._killed and not self._connection.poll(0)
        except OSError:
            return False

    def kill(self) -> None:
        """End the decoder, whatever it does; the connection is closed with the last reference to it."""
        with self._lock:
            self._killed = True
            self._signal()

    def _start(self, shown: str) -> Connection:
        try:
            connection, pidfd = self._server.fork()
        except (OSError, EOFError) as error:
            raise UnavailableError(f"{shown}: the server cannot start a decoder ({error}); send it again") from error
        with self._lock:
            self._connection, self._pidfd = connection, pidfd
            if self._killed:
                self._signal()
        return connection

    def _signal(self) -> None:
        if self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(self._pidfd)
                self._pidfd = None


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
        self._turns = asyncio.Semaphore(READ_AT_ONCE)
        self._idle: list[DecoderProcess] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="decode")

    async def decode(self, read: ReadPhoto, name: str, squashed_px: int, max_pixels: int) -> "PhotoInProcess":
        """See `Decoder.decode`."""
        process = self._take_idle()
        share = Share()
        try:
            message = {"do": "open", "name": name, "max_pixels": max_pixels, "memory_bytes": HEADER_BYTES}
            async with self._turns:
                header = await self.in_thread(partial(self._open, process, read, message))
            needed_bytes = HEADER_BYTES + BYTES_PER_DECODING_PIXEL * header["pixels"]
            await share.take(self.small if needed_bytes <= self.small.total_bytes // 2 else self.large, needed_bytes)
            message = {"do": "decode", "squashed_px": squashed_px, "memory_bytes": share.size_bytes}
            step = partial(process.ask, message, b"", self.timeout_s, shown_name(name))
            answer, squashed = await self.in_thread(step)
        except BaseException:  # also a cancellation: nobody waits for this decoder
            process.kill()
            share.shrink(0)
            raise
        width_px, height_px = answer["size_px"]
        share.shrink(BYTES_PER_DECODED_PIXEL * width_px * height_px)
        pixels = _array(squashed, squashed_px)
        return PhotoInProcess(self, process, name, (width_px, height_px), answer["sha256"], pixels, share)

    async def in_thread(self, step: Callable[[], _Result]) -> _Result:
        """Run a step that waits for a decoder."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, step)

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

    def _open(self, process: DecoderProcess, read: ReadPhoto, message: Mapping[str, Any]) -> dict[str, Any]:
        return process.ask(message, read(), self.timeout_s * _HEADER_SHARE, shown_name(message["name"]))[0]


@dataclass(slots=True)
class PhotoInProcess:
    """A photo that a decoder holds; see `pipeline.photos.decoding.HeldPhoto`."""

    decoder: ProcessDecoder
    process: DecoderProcess | None
    name: str
    size_px: tuple[int, int]
    sha256: str
    squashed: UInt8Array
    share: Share

    async def crop(self, box_px: BoundingBox, margin: float, size_px: int) -> UInt8Array:
        """See `HeldPhoto.crop`."""
        assert self.process is not None, "closed"
        message = {"do": "crop", "box_px": box_px.xyxy(), "margin": margin, "size_px": size_px}
        step = partial(self.process.ask, message, b"", self.decoder.timeout_s, shown_name(self.name))
        try:
            _, pixels = await self.decoder.in_thread(step)
        except NoAnimalError:
            raise
        except BaseException:  # also a cancellation: an answer that nobody takes would be the next photo's
            self.process.kill()
            raise
        return _array(pixels, size_px)

    def close(self) -> None:
        """See `HeldPhoto.close`."""
        if self.process is not None:
            self.decoder.take_back(self.process)
            self.share.shrink(0)
            self.process = None


def _send(connection: Connection, message: Mapping[str, object], payload: bytes) -> None:
    connection.send_bytes(json.dumps(message).encode())
    connection.send_bytes(payload)


def _array(pixels: bytes, side_px: int) -> UInt8Array:
    """Return (side_px, side_px, 3) pixels that may be written, so that tensors can share their memory."""
    return np.frombuffer(bytearray(pixels), np.uint8).reshape(side_px, side_px, 3)

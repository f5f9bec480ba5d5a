"""The decoding processes' side: decodes one photo at a time for the parent, which is `process_decoder`.

`python -m pipeline.photos.decoder_main FD` is a small process that forks a decoder for each socket that it is sent. It
has one thread and has imported all that decoding needs, so that a decoder starts within a millisecond. It ends when the
parent does, because its socket closes, and the decoders with it, whatever they do.

On its socket a decoder answers each message, a JSON object and bytes, with another:

    {"do": "open", "name", "max_pixels", "decode_pixels", "squashed_px", "memory_bytes"}, the file -> {"pixels"}
    {"do": "decode", "memory_bytes"}                    -> {"size_px", "sha256", "taken"}, the squashed photo
    {"do": "crop", "box_px", "margin", "size_px"}       -> {}, the crop
    {"do": "render", "width_px", "box_px", "pad"}       -> {}, a JPEG

or with {"failure": [code, message]}. A photo of at most `decode_pixels` is decoded when it is opened, and answered so.
`memory_bytes` is what a step may take beside what the process has. {"do": "forget"} lets go of the photo and is not
answered.
"""

import ctypes
import hashlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pillow_heif.as_plugin  # noqa: F401  (here, so that no decoder has to)

from pipeline.errors import ItemError
from pipeline.photos.images import Photo, PhotoFile, crop, detector_input, render
from pipeline.records import BoundingBox, Failure
from pipeline.stored_photos import Picture

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_PAGE_BYTES = resource.getpagesize()
_STATM = Path("/proc/self/statm")

Message = dict[str, Any]
Handlers = dict[str, Callable[[Message, bytes], tuple[Message, bytes]]]


class Decoder:
    """Holds at most one photo; each method answers one kind of message."""

    def __init__(self) -> None:
        """Start with no photo."""
        self._content = b""
        self._squashed_px = 0
        self._file: PhotoFile | None = None
        self._photo: Photo | None = None

    def open(self, message: Message, content: bytes) -> tuple[Message, bytes]:
        """Read a photo's header, and decode one that is small."""
        self._file = PhotoFile(content, message["name"], message["max_pixels"])
        self._content, self._squashed_px = content, message["squashed_px"]
        if self._file.pixels <= message["decode_pixels"]:
            return self.decode()
        return {"pixels": self._file.pixels}, b""

    def decode(self, *_: object) -> tuple[Message, bytes]:
        """Decode the opened photo, and squash it to the detector's input."""
        assert self._file is not None
        self._photo = self._file.decode()
        sha256 = hashlib.sha256(self._content).hexdigest()
        self._file, self._content = None, b""
        pixels = detector_input(self._photo, self._squashed_px)
        taken = self._photo.taken
        at = None if taken.at is None else taken.at.isoformat()
        told = (at, taken.utc_offset_min, taken.latitude, taken.longitude, taken.camera)
        return {"size_px": self._photo.size_px, "sha256": sha256, "taken": told}, pixels.tobytes()

    def crop(self, message: Message, _: bytes) -> tuple[Message, bytes]:
        """Cut a box out of the decoded photo."""
        assert self._photo is not None
        box_px = BoundingBox(*message["box_px"])
        return {}, crop(self._photo, box_px, message["margin"], message["size_px"]).tobytes()

    def render(self, message: Message, _: bytes) -> tuple[Message, bytes]:
        """Make a picture of the decoded photo."""
        assert self._photo is not None
        box_px = None if message["box_px"] is None else BoundingBox(*message["box_px"])
        return {}, render(self._photo, Picture(message["width_px"], box_px, message["pad"]))

    def forget(self) -> None:
        """Let go of the photo."""
        self._file, self._photo, self._content = None, None, b""


def serve(connection: Connection) -> None:
    """Answer the parent's messages until it closes the connection; an unexpected error ends the process instead."""
    decoder = Decoder()
    handlers: Handlers = {
        "open": decoder.open,
        "decode": decoder.decode,
        "crop": decoder.crop,
        "render": decoder.render,
    }
    while True:
        try:
            message, content = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (EOFError, OSError):
            return
        if message["do"] == "forget":
            decoder.forget()
            continue
        limit_memory(message.get("memory_bytes"))
        try:
            answer, payload = handlers[message["do"]](message, content)
        except ItemError as error:
            failure = Failure.of(error)
            answer, payload = {"failure": [failure.code, failure.message]}, b""
        limit_memory(None)
        del content
        connection.send_bytes(json.dumps(answer).encode())
        connection.send_bytes(payload)


def limit_memory(more_bytes: int | None) -> None:
    """Let this process take so much memory more than it has; None lifts the limit."""
    soft = resource.RLIM_INFINITY
    if more_bytes is not None:
        data_pages = int(_STATM.read_text(encoding="ascii").split()[5])
        soft = data_pages * _PAGE_BYTES + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.RLIM_INFINITY))


def main(control: socket.socket) -> None:
    """Fork a decoder for each socket that comes, until the parent closes this one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the decoders
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            _decode_for(descriptors[0], control)
        os.close(descriptors[0])


def _decode_for(descriptor: int, control: socket.socket) -> None:
    """Be a decoder: never returns, so that nothing of the forking process runs twice."""
    log = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # what libraries say of damaged files fills no log
    status = 1
    try:
        control.close()
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        connection = Connection(descriptor)
        connection.send_bytes(str(os.getpid()).encode())
        serve(connection)
        status = 0
    finally:
        if status:
            traceback.print_exc(file=log)
            log.flush()
        os._exit(status)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))

"""Sending photos over the wire, chunk by chunk, whatever happens to the files meanwhile."""

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.client.open_request import OpenRequest
from pipeline.client.results import ItemFailure


@dataclass(frozen=True, slots=True)
class LocalPhoto:
    """A photo on this machine, as it was when the call began."""

    path: Path
    size_bytes: int


def inspect_photo(path: Path) -> LocalPhoto | ItemFailure:
    """Look at a file before it is announced to the server; what cannot be sent fails here, by itself."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ItemFailure("not_found", f"{path}: there is no such file on this machine")
    except (OSError, ValueError) as error:
        return ItemFailure("unreadable", f"{path}: cannot be read ({error})")
    if not stat.S_ISREG(status.st_mode):
        return ItemFailure("unsupported", f"{path}: is not a file; name a photo, not a folder or a device")
    if not os.access(path, os.R_OK):
        return ItemFailure("unreadable", f"{path}: cannot be read; check the file's permissions")
    if status.st_size == 0:
        return ItemFailure("unreadable", f"{path}: the file is empty; copy it from the camera again")
    return LocalPhoto(path, status.st_size)


async def send_photo(photo: LocalPhoto, request: OpenRequest, chunk_bytes: int) -> ItemFailure | None:
    """Send exactly the announced number of bytes.

    The protocol counts bytes, so a photo that has become shorter or unreadable is filled up with zeros: the photos
    after it must not suffer. The caller puts the returned failure in place of the server's answer.

    Args:
        photo: as announced.
        request: whose photo it is.
        chunk_bytes: longest message.

    Returns:
        Why the bytes sent are not the photo's; None when they are.
    """
    try:
        file = await asyncio.to_thread(photo.path.open, "rb")
    except OSError as error:
        source = _Source(photo, None, unreadable(photo, error))
        await _send_all(source, request, chunk_bytes)
        return source.failure
    with file:
        source = _Source(photo, file, None)
        await _send_all(source, request, chunk_bytes)
    return source.failure


async def _send_all(source: "_Source", request: OpenRequest, chunk_bytes: int) -> None:
    left_bytes = source.photo.size_bytes
    while left_bytes:
        length = min(chunk_bytes, left_bytes)
        left_bytes -= length
        await request.reserve(length)
        await request.send_bytes(await asyncio.to_thread(source.read, length, not left_bytes))


@dataclass(slots=True)
class _Source:
    """The bytes of one photo, or zeros once it turns out not to be what was announced."""

    photo: LocalPhoto
    file: BinaryIO | None
    failure: ItemFailure | None

    def read(self, length: int, last: bool) -> bytes:
        """Return exactly `length` bytes; runs in a thread."""
        content = b""
        if self.file is not None and self.failure is None:
            try:
                # One byte more than announced, at the end, tells a file that has grown.
                content = self.file.read(length + last)
            except OSError as error:
                self.failure = unreadable(self.photo, error)
        if self.failure is None and len(content) != length:
            self.failure = changed(self.photo)
        return content[:length].ljust(length, b"\0")


def unreadable(photo: LocalPhoto, error: OSError) -> ItemFailure:
    """Return the failure of a file that cannot be read."""
    return ItemFailure("unreadable", f"{photo.path}: cannot be read ({error.strerror or error})")


def changed(photo: LocalPhoto) -> ItemFailure:
    """Return the failure of a file that is no longer what was announced."""
    return ItemFailure("unreadable", f"{photo.path}: the file changed while it was being sent; send it again")

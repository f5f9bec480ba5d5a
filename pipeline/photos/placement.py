"""Puts a file into a folder under a name that was free: never over another file, never half of it.

The folder is an open descriptor, so that nothing renamed or linked meanwhile can lead elsewhere.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from pathlib import PurePosixPath

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE_NEW = os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO})  # a symbolic link; a socket


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the bytes are.

    Attributes:
        name: of the file in the folder.
        skipped: the same bytes were there already.
    """

    name: str
    skipped: bool


class _Found(Enum):
    NOTHING = auto()
    SAME_BYTES = auto()
    OTHER = auto()


def place(content: bytes, name: str, folder: int) -> Placed:
    """Store bytes under a name, or under `stem-2.suffix`, `stem-3.suffix` ... where other bytes have it.

    Atomic: written under a temporary name, synced to disk, then named; a crash leaves at most a `.part` file.

    Args:
        content: the whole file.
        name: one safe component.
        folder: descriptor of an open folder.

    Raises:
        OSError: the disk is full, the folder is read-only, ...; nothing is left behind.
    """
    for candidate in _numbered(name):
        while (found := _look(candidate, content, folder)) is _Found.NOTHING:
            if _write_new(candidate, content, folder):
                return Placed(candidate, skipped=False)
        if found is _Found.SAME_BYTES:
            return Placed(candidate, skipped=True)
    raise AssertionError("numbers do not end")


def _numbered(name: str) -> Iterator[str]:
    yield name
    path = PurePosixPath(name)
    for number in count(2):
        yield f"{path.stem}-{number}{path.suffix}"


def _look(name: str, content: bytes, folder: int) -> _Found:
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        return _Found.NOTHING
    except OSError as error:
        if error.errno in _NO_FILE:
            return _Found.OTHER
        raise
    try:
        return _Found.SAME_BYTES if _holds(descriptor, content) else _Found.OTHER
    finally:
        os.close(descriptor)


def _holds(descriptor: int, content: bytes) -> bool:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != len(content):
        return False
    view, place_bytes, chunk_bytes = memoryview(content), 0, 2**20
    while chunk := os.read(descriptor, chunk_bytes):
        if chunk != view[place_bytes : place_bytes + len(chunk)]:
            return False
        place_bytes += len(chunk)
    return place_bytes == len(content)


def _write_new(name: str, content: bytes, folder: int) -> bool:
    """Write the file; returns False where the name was taken meanwhile."""
    temporary = f".{secrets.token_hex(8)}.part"
    try:
        with os.fdopen(os.open(temporary, _WRITE_NEW, 0o666, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        named = _name(temporary, name, folder)
    finally:
        _remove(temporary, folder)
    os.fsync(folder)
    return named


def _name(temporary: str, name: str, folder: int) -> bool:
    """Give the temporary file its name unless somebody has taken it."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _reserve_and_replace(temporary, name, folder)
    return True


def _reserve_and_replace(temporary: str, name: str, folder: int) -> bool:
    """The way of disks without hard links (exFAT): take the name with an empty file, then replace that one file."""
    try:
        os.close(os.open(name, _WRITE_NEW, 0o666, dir_fd=folder))
    except FileExistsError:
        return False
    try:
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _remove(name, folder)
        raise
    return True


def _remove(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)

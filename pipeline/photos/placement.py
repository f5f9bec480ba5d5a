"""Puts a file into a folder under a name that was free: never over another file, never half of it.

The folder is an open descriptor, so that nothing renamed or linked meanwhile can lead elsewhere.
"""

import errno
import math
import os
import re
import secrets
import stat
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain, count
from pathlib import PurePosixPath
from threading import Lock

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE_NEW = os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO})  # a symbolic link; a socket


_MOST_RUNS = 1000
_SAMPLE_BYTES = 256

PART_IS_STALE_S = 600.0
"""Age at which a temporary file is taken for one that a killed process left behind."""

_PART = re.compile(r"\.[0-9a-f]{16}\.part")

Fingerprint = tuple[int, bytes]
"""A file's length and a few bytes from its middle: files of different fingerprints differ."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the bytes are.

    Attributes:
        name: of the file in the folder.
        skipped: the same bytes were there already.
    """

    name: str
    skipped: bool


@dataclass(slots=True)
class _Run:
    """What is known of `name`, `name-2`, `name-3` ... in one folder.

    Only ever a hint: every file that it names is looked at again, and nothing is written over.

    Attributes:
        known: how many of the names are taken; 0 before the first look.
        places: which of them may hold a file of a fingerprint, 0 for `name` itself.
    """

    known: int = 0
    places: dict[Fingerprint, list[int]] = field(default_factory=dict)

    def add(self, place: int, fingerprint: Fingerprint | None) -> None:
        if fingerprint is not None:
            self.places.setdefault(fingerprint, []).append(place)
        self.known = max(self.known, place + 1)


class Placement:
    """Puts files into folders, and remembers which numbered names it found taken. Threads may share one."""

    def __init__(self) -> None:
        """Start with no knowledge of any folder."""
        self._runs: OrderedDict[tuple[int, int, str], _Run] = OrderedDict()
        self._cleaned: dict[tuple[int, int], float] = {}
        self._lock = Lock()

    def place(self, content: bytes, name: str, folder: int) -> Placed:
        """Store bytes under a name, or under `stem-2.suffix`, `stem-3.suffix` ... where other bytes have it.

        Atomic: written under a temporary name, synced to disk, then named; a crash leaves at most a `.part` file, which
        a later call removes. A photo costs the same however many of its name are there, since the process remembers
        them.

        Args:
            content: the whole file.
            name: one safe component.
            folder: descriptor of an open folder.

        Raises:
            OSError: the disk is full, the folder is read-only, ...; nothing is left behind.
        """
        status = os.fstat(folder)
        self._clean(folder, (status.st_dev, status.st_ino))
        run = self._run((status.st_dev, status.st_ino, name), folder)
        known = run.known  # before `places`, which may grow meanwhile
        fingerprint = (len(content), content[len(content) // 2 :][:_SAMPLE_BYTES])
        for place in chain(tuple(run.places.get(fingerprint, ())), count(known)):
            candidate = _numbered(name, place)
            found, its_fingerprint = _look(candidate, content, folder)
            while found is _Found.NOTHING and place >= known:
                if _write_new(candidate, content, folder):
                    run.add(place, fingerprint)
                    return Placed(candidate, skipped=False)
                found, its_fingerprint = _look(candidate, content, folder)
            if place >= known:
                run.add(place, its_fingerprint)
            if found is _Found.SAME_BYTES:
                return Placed(candidate, skipped=True)
        raise AssertionError("numbers do not end")

    def _run(self, key: tuple[int, int, str], folder: int) -> _Run:
        """Return what is known of a name; nothing where the last of its numbers is gone, so that they begin anew."""
        with self._lock:
            run = self._runs.pop(key, None)
            if run is None or not _is_there(_numbered(key[2], run.known - 1), folder):
                run = _Run()
            self._runs[key] = run
            if len(self._runs) > _MOST_RUNS:
                self._runs.popitem(last=False)
            return run

    def _clean(self, folder: int, key: tuple[int, int]) -> None:
        """Remove what killed processes left in a folder, when it was not looked through lately."""
        now = time.monotonic()
        with self._lock:
            if now - self._cleaned.get(key, -math.inf) < PART_IS_STALE_S:
                return
            self._cleaned[key] = now
        with suppress(OSError):  # a folder that cannot be listed may still be written
            for name in filter(_PART.fullmatch, os.listdir(folder)):
                _remove_stale(name, folder)


class _Found(Enum):
    NOTHING = auto()
    SAME_BYTES = auto()
    OTHER = auto()


def _numbered(name: str, place: int) -> str:
    path = PurePosixPath(name)
    return name if place == 0 else f"{path.stem}-{place + 1}{path.suffix}"


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _remove_stale(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > PART_IS_STALE_S:
            os.unlink(name, dir_fd=folder)


def _look(name: str, content: bytes, folder: int) -> tuple[_Found, Fingerprint | None]:
    """Tell what has a name; the fingerprint is that of a file of other or the same bytes."""
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        return _Found.NOTHING, None
    except OSError as error:
        if error.errno in _NO_FILE:
            return _Found.OTHER, None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _Found.OTHER, None
        fingerprint = (status.st_size, os.pread(descriptor, _SAMPLE_BYTES, status.st_size // 2))
        return _Found.SAME_BYTES if _holds(descriptor, content) else _Found.OTHER, fingerprint
    finally:
        os.close(descriptor)


def _holds(descriptor: int, content: bytes) -> bool:
    if os.fstat(descriptor).st_size != len(content):
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

"""Opens the photo that a client named, and nothing else: no other folder, no device, no pipe that would never end."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pipeline.errors import (
    OutsideRootsError,
    PhotoNotFoundError,
    PhotoTooLargeError,
    UnreadablePhotoError,
    UnsupportedPhotoError,
)
from pipeline.names import shown_name
from pipeline.photos.path_map import PathMap, is_windows_path
from pipeline.records import PathSource, ReadableSource, UploadSource
from pipeline.settings import Settings

MAX_BYTES = 64 * 2**20

MAX_PATH_BYTES = 4096
"""Linux's own limit; to look at a longer path is work for nothing."""

OPEN_DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux tells which file an open descriptor really is."""

# O_NONBLOCK: a pipe put in the photo's place between the two checks must not hang the replica.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM})
_NOT_THERE = {
    errno.ENOENT: "no such file on the server",
    errno.ENOTDIR: "no such file on the server: part of the path is a file, not a folder",
    errno.ENAMETOOLONG: "no such file on the server: the path is too long",
    errno.ELOOP: "no such file on the server: its links lead in a circle",
}


class PhotoFiles:
    """The photos that clients may name, under the rules of serve_config.yaml. Blocking: call it in a thread."""

    def __init__(
        self,
        roots: Sequence[Path] = (),
        path_map: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        uploads_only: bool = False,
    ) -> None:
        """Set the rules.

        Args:
            roots: folders that photos may be in; empty means any for loopback peers and none for others.
            path_map: client path prefix -> server path prefix.
            max_bytes: limit on one photo's file.
            uploads_only: refuse every path.
        """
        self._roots = tuple(root.resolve() for root in roots)
        self._path_map = PathMap(path_map or {})
        self._max_bytes = max_bytes
        self._uploads_only = uploads_only

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the rules from the service's settings."""
        return cls(settings.photo_roots, settings.path_map, settings.limits.max_photo_bytes, settings.uploads_only)

    def read(self, source: ReadableSource) -> bytes:
        """Return the whole file of a photo, uploaded or on disk.

        Args:
            source: relative paths count from the service's working directory, as in the original.

        Raises:
            OutsideRootsError: the path, or what a link in it leads to, is not in a folder that may be read.
            PhotoNotFoundError: no such file, or a Windows path that `path_map` does not translate.
            UnsupportedPhotoError: a folder, device, pipe or socket.
            UnreadablePhotoError: no permission, or the disk fails.
            PhotoTooLargeError: above the limit; found before anything is read.
            UnavailableError: an upload was lost on its way.
        """
        if isinstance(source, PathSource):
            return self._read_path(source)
        content = source.content if isinstance(source, UploadSource) else source.fetch()
        self._check_size(len(content), shown_name(source.name))
        return content

    def server_path(self, path: str) -> str:
        """Return the path on the server of a path that a client sent; says nothing about whether it may be read."""
        return self._path_map.server_path(path)

    def _read_path(self, source: PathSource) -> bytes:
        shown = shown_name(source.path)
        self._check_peer(source, shown)
        path = self._checked_path(source.path, shown)
        with _file_errors(shown):
            self._check_roots(os.path.realpath(path), shown)  # fails where a link is replaced at this moment
            _check_kind(Path(path).stat(), shown)  # before opening: to open a device can have effects
            descriptor = os.open(path, _FLAGS)
        with os.fdopen(descriptor, "rb") as file, _file_errors(shown):
            status = os.fstat(descriptor)
            _check_kind(status, shown)
            self._check_roots(_opened_path(descriptor, path), shown)
            self._check_size(status.st_size, shown)
            return file.read(status.st_size)

    def _check_peer(self, source: PathSource, shown: str) -> None:
        if self._uploads_only:
            raise OutsideRootsError(f"{shown}: this server reads no files of its own; upload the photo")
        if not self._roots and not source.local_peer:
            raise OutsideRootsError(
                f"{shown}: this server reads no files for clients on other machines; upload the photo"
                " (or let the operator set photo_roots)"
            )

    def _checked_path(self, sent: str, shown: str) -> str:
        _check_length(sent, shown)
        path = self.server_path(sent)
        if is_windows_path(path):
            raise PhotoNotFoundError(
                f"{shown}: is a Windows path, which this server cannot open; translate its folder with path_map in"
                r" serve_config.yaml, for example 'C:\Photos': /mnt/c/Photos"
            )
        if not path or "\0" in path:
            raise PhotoNotFoundError(f"{shown}: is not a path")
        return path

    def _check_roots(self, resolved: str, shown: str) -> None:
        if self._roots and not any(Path(resolved).is_relative_to(root) for root in self._roots):
            raise OutsideRootsError(
                f"{shown}: is outside the folders that this server may read;"
                " move it into one of photo_roots, or upload it"
            )

    def _check_size(self, size_bytes: int, shown: str) -> None:
        if size_bytes > self._max_bytes:
            raise PhotoTooLargeError(
                f"{shown}: has {size_bytes / 1e6:.1f} MB (the limit is {self._max_bytes / 1e6:.1f} MB);"
                " send a smaller version or raise limits.max_photo_bytes"
            )


def _check_length(sent: str, shown: str) -> None:
    if len(sent) > MAX_PATH_BYTES:
        raise _not_found(shown, errno.ENAMETOOLONG)
    try:
        encoded = os.fsencode(sent)
    except UnicodeEncodeError as error:
        raise PhotoNotFoundError(f"{shown}: is not a path that this server's disk could have") from error
    if len(encoded) > MAX_PATH_BYTES:
        raise _not_found(shown, errno.ENAMETOOLONG)


def _check_kind(status: os.stat_result, shown: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnsupportedPhotoError(f"{shown}: is a folder; name the photos in it")
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedPhotoError(f"{shown}: is a device, pipe or socket, not a photo")


def _opened_path(descriptor: int, path: str) -> str:
    """Return where the file that was really opened is, whatever was put in the path's place meanwhile."""
    try:
        return str((OPEN_DESCRIPTORS / str(descriptor)).readlink())
    except OSError:
        resolved = os.path.realpath(path)
        same_file = os.path.samestat(Path(resolved).stat(), os.fstat(descriptor))
        return resolved if same_file else os.devnull  # replaced at this moment: in no root


def _not_found(shown: str, code: int) -> PhotoNotFoundError:
    return PhotoNotFoundError(f"{shown}: {_NOT_THERE[code]}; check the path")


@contextmanager
def _file_errors(shown: str) -> Iterator[None]:
    """Translate what the operating system says into a photo's outcome."""
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise _not_found(shown, error.errno) from error
        if error.errno in _NO_PERMISSION:
            raise UnreadablePhotoError(
                f"{shown}: the service has no permission to read it; allow its user to read the file and its folders"
            ) from error
        raise UnreadablePhotoError(
            f"{shown}: cannot be read ({error.strerror or error}); check the disk or network folder and try again"
        ) from error

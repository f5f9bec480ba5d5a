"""A file system that fsspec knows: files appear whole or not at all, and its errors are outcomes of ours."""

import errno
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import SettingsError, StorageFullError, UnavailableError, WhaleVisionError

_log = logging.getLogger(__name__)

LEFT_OVER_S = 3600.0
"""A file on its way that has not grown for so long is nobody's any more."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_INCOMING = "incoming"


class StoreFiles:
    """Files below one URL, by their path parts. Blocks; threads and processes may share it.

    Every method raises UnavailableError where the file system fails, and StorageFullError where it is full.
    """

    def __init__(self, url: str) -> None:
        """Find the file system; nothing is read or written yet.

        Args:
            url: as fsspec has it, for example file:///var/lib/whale-vision/photos, s3://bucket/photos or memory://photos.

        Raises:
            SettingsError: the URL names no file system, or one whose package is not installed.
        """
        self.url = url
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise SettingsError(
                f"args.photo_store: {url!r} cannot be used ({error}); write file:///folder, or pip install what its "
                "kind needs on every node (s3fs for s3://)"
            ) from error
        self._root = PurePosixPath(root)

    def read(self, *parts: str) -> bytes | None:
        """Return a whole file; None where there is none."""
        with self.translated("read"):
            try:
                content: bytes = self._files.cat_file(self.place(*parts))
            except FileNotFoundError:
                return None
            return content

    def size_bytes(self, *parts: str) -> int | None:
        """Return how long a file is; None where there is none."""
        with self.translated("read"):
            try:
                return int(self._files.size(self.place(*parts)))
            except FileNotFoundError:
                return None

    def has_any(self, *parts: str) -> bool:
        """Whether there is a file in a folder, or in one within it."""
        with self.translated("read"):
            return bool(self._files.find(self.place(*parts)))

    def found(self, *folder: str) -> dict[str, int]:
        """Return how many bytes each file in a folder has, and those in folders within it, by its path from there."""
        with self.translated("read"):
            root = self.place(*folder)
            self._files.invalidate_cache(root)  # object stores remember what they listed
            files = self._files.find(root, detail=True)
            return {place.removeprefix(root).lstrip("/"): int(info["size"]) for place, info in files.items()}

    def age_s(self, *parts: str) -> float | None:
        """Return how long ago a file was written; None where there is none."""
        with self.translated("read"):
            try:
                return datetime.now(UTC).timestamp() - float(self._files.modified(self.place(*parts)).timestamp())
            except FileNotFoundError:
                return None

    def delete(self, *parts: str) -> None:
        """Delete a file; one that is not there is no error."""
        with self.translated("written"), suppress(FileNotFoundError):
            self._files.rm_file(self.place(*parts))

    def write(self, content: bytes, *parts: str) -> None:
        """Write a small file, in place of one that is there."""
        name, file = self.begin()
        try:
            with self.translated("written"):
                file.write(content)
                self.finish(file)
            self.move(name, *parts)
        except BaseException:
            self.discard(name, file)
            raise

    # --- files on their way ---

    def begin(self) -> tuple[str, Any]:
        """Open a file on its way; returns its name and the file, to be written."""
        name = uuid.uuid4().hex
        with self.translated("written"):
            self._make_parent(_INCOMING, name)
            return name, self._files.open(self.place(_INCOMING, name), "wb")

    def finish(self, file: Any) -> None:
        """Have all of a file on its way on disk."""
        with self.translated("written"):
            file.flush()
            if isinstance(self._files, LocalFileSystem):
                os.fsync(file.f.fileno())
            file.close()

    def read_incoming(self, name: str) -> bytes | None:
        """Return a finished file that is still on its way; None where there is none."""
        return self.read(_INCOMING, name)

    def move(self, name: str, *parts: str) -> None:
        """Put a finished file in its place in one step: by a rename, or by a copy that appears whole."""
        source, target = self.place(_INCOMING, name), self.place(*parts)
        with self.translated("written"):
            self._make_parent(*parts)
            if isinstance(self._files, LocalFileSystem):
                Path(source).replace(target)
                self._sync_folders(target)
            else:
                self._files.mv(source, target)

    def discard(self, name: str, file: Any) -> None:
        """Delete a file on its way; one that is in its place already stays."""
        with suppress(Exception):  # the disk may be full or gone; `clean` deletes what stays now
            file.close()
        with suppress(Exception):
            self._files.rm_file(self.place(_INCOMING, name))

    def left_over(self) -> list[str]:
        """Return the names of files on their way that killed processes have left."""
        return [name for name in self.found(_INCOMING) if (self.age_s(_INCOMING, name) or 0.0) > LEFT_OVER_S]

    def clean(self) -> int:
        """Delete what killed processes have left on its way; returns how many files."""
        names = self.left_over()
        for name in names:
            self.delete(_INCOMING, name)
        return len(names)

    # --- all of them ---

    def place(self, *parts: str) -> str:
        """Return the path of a file in its file system."""
        return str(self._root.joinpath(*parts))

    @contextmanager
    def translated(self, action: str) -> Iterator[None]:
        """Translate what a file system says.

        Args:
            action: what could not be done: "read", "written".
        """
        try:
            yield
        except WhaleVisionError:
            raise
        except Exception as error:  # fsspec has no error of its own: whatever the library of a file system raises
            _log.error("the photo store at %s could not be %s: %r", self.url, action, error)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise StorageFullError("the photo store is full; tell the service's operator to make room") from error
            raise UnavailableError(f"the photo store could not be {action}; try again later") from error

    def _make_parent(self, *parts: str) -> None:
        self._files.makedirs(self.place(*parts[:-1]), exist_ok=True)

    def _sync_folders(self, target: str) -> None:
        """Have the entries of a file and of the folders above it on disk, up to the store's own folder."""
        for folder in PurePosixPath(target).parents:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if folder == self._root:
                return

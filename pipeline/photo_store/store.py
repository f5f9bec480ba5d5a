"""The photo store: each photo once, by the hash of its file; never changed, and deleted only by its operators.

    store.json              which catalogue database the store belongs to
    photos/ab/<sha256>      a photo's file, as it came
    incoming/<random>       a file on its way; what a process that was killed has left is cleaned away
    derived/ab/<sha256>-*   previews and crops; may be deleted at any time

Everything blocks: call it in a thread.
"""

import hashlib
import json
import logging
import re
from typing import Any

from pipeline.errors import HashMismatchError, PhotoNotFoundError, PhotoTooLargeError, UnavailableError
from pipeline.photo_store.files import StoreFiles

_log = logging.getLogger(__name__)

MARKER = "store.json"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class PhotoStore:
    """The store of one catalogue database; threads and processes may share it.

    Every method raises UnavailableError where the file system fails, and StorageFullError where it is full.
    """

    def __init__(self, url: str, database: str | None = None) -> None:
        """Find the file system; nothing is read or written yet.

        Args:
            url: see `StoreFiles`.
            database: id of the catalogue database that it belongs to; None for who reads or writes the marker only.

        Raises:
            SettingsError: the URL names no file system, or one whose package is not installed.
        """
        self._files, self._database = StoreFiles(url), database

    @property
    def marker(self) -> str:
        """Where the object is that says whose the store is."""
        return self._files.place(MARKER)

    def read_marker(self) -> str | None:
        """Return the id of the database that the store belongs to; None where it has no marker."""
        content = self._files.read(MARKER)
        try:
            return None if content is None else str(json.loads(content)["database"])
        except (ValueError, KeyError, TypeError) as error:
            raise UnavailableError(f"the photo store's marker {self.marker} is damaged: restore it") from error

    def write_marker(self, database: str) -> None:
        """Make the store, for the database of this id."""
        self._files.write(json.dumps({"format": 1, "database": database}).encode(), MARKER)

    def is_empty(self) -> bool:
        """Whether the store holds no photo."""
        return not self._files.has_any("photos")

    def check(self) -> None:
        """Check that the store is there and its database's: a disk that is not mounted looks empty.

        Raises:
            UnavailableError: it is not.
        """
        found = self.read_marker()
        if found is None or found != self._database:
            _log.error("the photo store at %s is that of database %s, not %s", self._files.url, found, self._database)
            what = "is not there (not mounted?)" if found is None else "belongs to another catalogue"
            raise UnavailableError(f"the photo store {what}; tell the service's operator")

    def receive(self) -> "IncomingPhoto":
        """Begin to take in a photo; whoever does must `keep` or `discard` it."""
        self.check()
        return IncomingPhoto(self._files)

    def has(self, sha256: str) -> bool:
        """Whether the store holds a photo of this hash."""
        found = self._files.size_bytes(*_photo(sha256)) is not None
        if not found:
            self.check()
        return found

    def read(self, sha256: str, max_bytes: int) -> bytes:
        """Return a photo's file.

        Raises:
            PhotoNotFoundError: the store has none of this hash.
            PhotoTooLargeError: it has more than `max_bytes`: the limit was higher when it came.
            UnavailableError: the photo has changed in the store since it was written, or cannot be read.
        """
        size_bytes = self._files.size_bytes(*_photo(sha256))
        if size_bytes is not None and size_bytes > max_bytes:
            raise PhotoTooLargeError(f"{sha256}: has {size_bytes} bytes; raise limits.max_photo_bytes ({max_bytes})")
        content = None if size_bytes is None else self._files.read(*_photo(sha256))
        if content is None:
            self.check()
            raise PhotoNotFoundError(f"{sha256}: the photo store has no such photo; upload it")
        if not self._is_whole(sha256, content):
            raise UnavailableError(f"{sha256}: is damaged in the photo store; its operator can restore it")
        return content

    def _is_whole(self, sha256: str, content: bytes) -> bool:
        if hashlib.sha256(content).hexdigest() == sha256:
            return True
        _log.error("photo %s is damaged in the store at %s: restore it from a backup", sha256, self._files.url)
        return False

    def read_incoming(self, name: str) -> bytes:
        """Return a file that has come in whole (`IncomingPhoto.name`) and is neither kept nor discarded yet."""
        content = self._files.read_incoming(name)
        if content is None:
            raise UnavailableError("the photo was lost on its way; send it again")
        return content

    def read_derived(self, sha256: str, kind: str) -> bytes | None:
        """Return a picture that was made of a photo before; None where it is to be made."""
        return self._files.read(*_derived(sha256, kind))

    def write_derived(self, sha256: str, kind: str, content: bytes) -> None:
        """Keep a picture that was made of a photo."""
        self._files.write(content, *_derived(sha256, kind))

    def clean(self) -> int:
        """Delete what killed processes have left on its way; returns how many files."""
        return self._files.clean()

    # --- for those who look after the store ---

    def sizes(self) -> dict[str, int]:
        """Return how many bytes the file of each photo has, by its hash; what is no photo is left out."""
        found = ((path.split("/"), size_bytes) for path, size_bytes in self._files.found("photos").items())
        return {
            parts[-1]: size_bytes for parts, size_bytes in found if _SHA256.fullmatch(parts[-1]) and _is_place(parts)
        }

    def pictures(self) -> dict[str, int]:
        """Return how many bytes the pictures of each photo take together, by its hash."""
        sizes: dict[str, int] = {}
        for path, size_bytes in self._files.found("derived").items():
            sha256 = path.rpartition("/")[2].partition("-")[0]
            if _SHA256.fullmatch(sha256):
                sizes[sha256] = sizes.get(sha256, 0) + size_bytes
        return sizes

    def count_left_over(self) -> int:
        """Return how many files killed processes have left on their way."""
        return len(self._files.left_over())

    def find_whole(self, sha256: str) -> bytes | None:
        """Return a photo's file; None where the store has none or cannot read this one, or other bytes under its hash.

        The log tells which.

        Raises:
            UnavailableError: the store as a whole cannot be read, or is another database's.
        """
        try:
            content = self._files.read(*_photo(sha256))
        except UnavailableError:
            self.check()
            _log.error("%s: this photo's file cannot be read, others can", sha256)
            return None
        return content if content is not None and self._is_whole(sha256, content) else None

    def age_s(self, sha256: str) -> float | None:
        """Return how long ago a photo's file came into the store; None where it has none."""
        return self._files.age_s(*_photo(sha256))

    def put(self, sha256: str, content: bytes) -> None:
        """Put a photo's file into the store, in place of one that is damaged."""
        self._files.write(content, *_photo(sha256))

    def delete(self, sha256: str) -> None:
        """Delete a photo's file and the pictures of it; what is not there is no error."""
        self.delete_pictures(sha256)
        self._files.delete(*_photo(sha256))

    def delete_pictures(self, sha256: str) -> None:
        """Delete the pictures that were made of a photo."""
        folder = ("derived", sha256[:2])
        for name in self._files.found(*folder):
            if name.startswith(f"{sha256}-"):
                self._files.delete(*folder, name)


class IncomingPhoto:
    """A photo on its way into the store; made by `PhotoStore.receive`.

    Attributes:
        name: by which the store knows it until it is kept or discarded.
        size_bytes: what has come so far.
    """

    def __init__(self, files: StoreFiles) -> None:
        """Open the file."""
        self.size_bytes = 0
        self._files = files
        self._hash = hashlib.sha256()
        self._file: Any
        self.name, self._file = files.begin()

    def write(self, content: bytes) -> None:
        """Take in the next bytes."""
        with self._files.translated("written"):
            self._file.write(content)
        self._hash.update(content)
        self.size_bytes += len(content)

    def close(self, sha256: str) -> None:
        """Have the whole file on disk, where it can be read by its name.

        Raises:
            HashMismatchError: it is not the file of this hash.
        """
        found = self._hash.hexdigest()
        if found != sha256:
            raise HashMismatchError(
                f"{sha256}: what came ({self.size_bytes} bytes) has the hash {found}; read the file again and send it"
            )
        self._files.finish(self._file)

    def keep(self, sha256: str) -> None:
        """Make it the photo of this hash, after `close`, in place of a file that is there: that one may be damaged."""
        self._files.move(self.name, *_photo(sha256))

    def discard(self) -> None:
        """Delete what was not kept."""
        self._files.discard(self.name, self._file)


def _photo(sha256: str) -> tuple[str, ...]:
    return ("photos", sha256[:2], sha256)


def _is_place(parts: list[str]) -> bool:
    """Whether a file lies where the photo of its name does; `parts` are those below `photos`."""
    return ("photos", *parts) == _photo(parts[-1])


def _derived(sha256: str, kind: str) -> tuple[str, ...]:
    return ("derived", sha256[:2], f"{sha256}-{kind}")

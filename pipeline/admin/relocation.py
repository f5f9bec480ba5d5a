"""Finds the photos of a folder that moved: by their names within it, and by their hash where that is known."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline.catalogue.views import AnnotationEntry
from pipeline.errors import ChangeRefusedError
from pipeline.photos.path_map import PathMap, is_windows_path

_HASHED = "sha256:"


@dataclass(slots=True)
class Plan:
    """What is to become of the photos of the old folder.

    Attributes:
        paths: new paths, by annotation.
        missing: paths of photos that were not found in the new folder.
        differing: paths in whose place the new folder has another photo.
    """

    paths: dict[int, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


class Relocation:
    """A folder that moved.

    Args:
        old: the folder as the catalogue's paths begin.
        new: what they shall begin with.
        file_of: gives the file of this machine that a client's path names.
        unseen: also move photos that are not found, where clients see what this machine does not.

    Raises:
        ChangeRefusedError: both are the same, or this machine has no such folder.
    """

    def __init__(self, old: str, new: str, file_of: Callable[[str], str], unseen: bool = False) -> None:
        self._map, self._new, self._file_of, self._unseen = PathMap({old: new}), new, file_of, unseen
        if old == new:
            raise ChangeRefusedError(f"{new}: is where the photos are already")
        if not unseen and not Path(file_of(new)).is_dir():
            raise ChangeRefusedError(
                f"{new}: is no folder of this machine; run this where it is one, or with --unseen, which believes you"
            )

    def plan(self, entries: Iterable[AnnotationEntry]) -> Plan:
        """Find out where the photos of the old folder are now; others are left out."""
        plan = Plan()
        found: dict[tuple[str, str], str | None] = {}
        for entry in entries:
            target = self._target(entry.path)
            if target == entry.path:
                continue
            photo = (entry.source_key, entry.path)
            if photo not in found:
                found[photo] = self._find(entry, target, plan)
            path = found[photo]
            if path is not None:
                plan.paths[entry.id] = path
        plan.missing, plan.differing = list(dict.fromkeys(plan.missing)), list(dict.fromkeys(plan.differing))
        return plan

    def _find(self, entry: AnnotationEntry, target: str, plan: Plan) -> str | None:
        sha256, file = self._known_hash(entry), self._file_of(target)
        there = None if sha256 is None else _hash(file)
        if there == sha256 and (sha256 is not None or is_file(file)):
            return target
        elsewhere = None if sha256 is None else self._by_hash.get(sha256)
        if elsewhere is not None:
            return elsewhere
        if there is None and self._unseen:
            return target
        (plan.missing if there is None else plan.differing).append(entry.path)
        return None

    def _known_hash(self, entry: AnnotationEntry) -> str | None:
        """Return what the catalogue knows the photo by, else what its old file has where that is still there."""
        if entry.source_key.startswith(_HASHED):
            return entry.source_key.removeprefix(_HASHED)
        return _hash(self._file_of(entry.path))

    @cached_property
    def _by_hash(self) -> dict[str, str]:
        """New paths of all files in the new folder; read only where a photo is not where it should be."""
        folder = Path(self._file_of(self._new))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        hashes = {path: _hash(str(path)) for path in reversed(files)}
        return {
            sha256: self._join(path.relative_to(folder).parts) for path, sha256 in hashes.items() if sha256 is not None
        }

    def _target(self, path: str) -> str:
        moved = self._map.server_path(path)
        return moved if moved == path else self._as_new(moved)

    def _join(self, parts: tuple[str, ...]) -> str:
        return self._as_new("/".join((self._new.rstrip("/\\"), *parts)))

    def _as_new(self, path: str) -> str:
        return path.replace("/", "\\") if is_windows_path(self._new) else path


def is_file(file: str) -> bool:
    """Whether there is such a file, whatever the path is."""
    try:
        return Path(file).is_file()
    except (OSError, ValueError):  # a path with a NUL is a ValueError, one that is too long an OSError
        return False


def _hash(file: str) -> str | None:
    """Return a file's sha256 (hex); None where it cannot be read."""
    try:
        with Path(file).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, ValueError):
        return None

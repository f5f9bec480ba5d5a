"""`save`: copies photos into one folder an individual, and never anywhere else."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Self

from pipeline.errors import BadIdentityError, ExportError, ItemError
from pipeline.names import normalise_name, shown_name, why_unsafe
from pipeline.photos.files import PhotoFiles
from pipeline.photos.placement import Placement
from pipeline.records import Failure, PathSource, SaveOutcome
from pipeline.settings import Settings

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and save again",
    errno.EDQUOT: "the disk quota is used up; free some space and save again",
    errno.EACCES: "the service has no permission to write there; allow its user to, or change export_dir",
    errno.EPERM: "the service has no permission to write there; allow its user to, or change export_dir",
    errno.EROFS: "the disk is read-only; change export_dir",
    errno.ENAMETOOLONG: "the name is too long; shorten it",
    errno.ELOOP: "a symbolic link or a file has the place of the individual's folder; move it away",
    errno.ENOTDIR: "a symbolic link or a file has the place of the individual's folder; move it away",
}


class PhotoExport:
    """The export folder: `<export_dir>/<identity>/<photo>`. Blocking: call it in a thread."""

    def __init__(self, folder: Path, files: PhotoFiles) -> None:
        """Name the folder; it is made when the first photo is saved.

        Args:
            folder: `export_dir`.
            files: the rules by which the photos to copy are read.
        """
        self._folder = folder.absolute()
        self._files = files
        self._placement = Placement()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take folder and rules from the service's settings."""
        return cls(settings.export_dir, PhotoFiles.from_settings(settings))

    def save(self, file: str, identity: str, local_peer: bool) -> SaveOutcome:
        """Copy one photo into the folder of its individual; a photo that is there already is left alone.

        Args:
            file: as the client sent it.
            identity: name of the individual.
            local_peer: whether the client is on loopback.

        Returns:
            Where the copy is, or why there is none. Raises nothing that a photo or a disk can cause.
        """
        try:
            return self._save(PathSource(file, local_peer), identity)
        except ItemError as error:
            return SaveOutcome(None, failure=Failure.of(error))

    def _save(self, source: PathSource, identity: str) -> SaveOutcome:
        folder_name = _folder_name(identity)
        content = self._files.read(source)
        file_name = _file_name(self._files.server_path(source.path), shown_name(source.path))
        with _export_errors(shown_name(source.path), self._folder / folder_name):
            descriptor = self._open_folder(folder_name)
            try:
                placed = self._placement.place(content, file_name, descriptor)
            finally:
                os.close(descriptor)
        return SaveOutcome(str(self._folder / folder_name / placed.name), skipped=placed.skipped)

    def _open_folder(self, name: str) -> int:
        """Open the folder of an individual, made where it is missing; a symbolic link in its place is not followed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        parent = os.open(self._folder, _OPEN_FOLDER)
        try:
            try:
                os.mkdir(name, dir_fd=parent)
            except FileExistsError:
                pass
            else:
                os.fsync(parent)
            return os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        finally:
            os.close(parent)


def _folder_name(identity: str) -> str:
    name = normalise_name(identity)
    reason = why_unsafe(name)
    if reason is not None:
        raise BadIdentityError(f'the identity "{shown_name(name)}" {reason}, so no folder can have its name; change it')
    return name


def _file_name(path: str, shown: str) -> str:
    name = PurePosixPath(path).name
    reason = why_unsafe(name)
    if reason is not None:
        raise ExportError(f"{shown}: its file name {reason}, so not every disk can hold it; rename the file")
    return name


@contextmanager
def _export_errors(shown: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; check the disk and save again")
        raise ExportError(f"{shown}: cannot be copied into {folder}: {reason}") from error

"""Finding the photos that a person means by files and folders."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline.client.results import ItemFailure

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif"})
"""Of the files in a folder, those with these endings are taken for photos; a file named by itself always is."""

RAW_SUFFIXES = frozenset(
    """.3fr .arw .cap .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .ptx
    .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .x3f""".split()  # noqa: SIM905
)
"""Camera raws, which the service refuses: left out of folders, where they mostly lie beside their JPEGs.

A test compares the list with the service's own (`pipeline.photos.camera_raw`), of which the client imports nothing.
"""


@dataclass(frozen=True, slots=True)
class FoundPhotos:
    """What files and folders come to.

    Attributes:
        photos: paths to send, without repetitions.
        failures: folders and files that could not be looked at, with why.
        raws: camera raws in the folders, left out.
    """

    photos: tuple[str, ...]
    failures: tuple[tuple[str, ItemFailure], ...] = ()
    raws: tuple[str, ...] = ()


def absolute(path: str | Path) -> str:
    """Return a path as the server should get it.

    A path that exists here, or is relative, is made absolute, for the server may run in another folder. One that does
    not exist and is absolute on Windows or on POSIX is the server's own, and stays as it is.
    """
    local = Path(path)
    foreign = PureWindowsPath(path).is_absolute() or PurePosixPath(path).is_absolute()
    return str(path) if foreign and not os.path.lexists(local) else str(local.absolute())


def find_photos(paths: Iterable[str | Path]) -> FoundPhotos:
    """Expand folders, recursively and sorted; hidden files and folders are left out.

    Args:
        paths: files, folders, or paths that only the server knows.
    """
    photos: dict[str, None] = {}
    failures: dict[str, ItemFailure] = {}
    raws: dict[str, None] = {}
    for path in paths:
        if not Path(path).is_dir():
            photos[absolute(path)] = None
            continue
        for file in _files(Path(path).absolute(), failures):
            if file.suffix.lower() in PHOTO_SUFFIXES:
                photos[str(file)] = None
            elif file.suffix.lower() in RAW_SUFFIXES:
                raws[str(file)] = None
    return FoundPhotos(tuple(photos), tuple(failures.items()), tuple(raws))


def _files(folder: Path, failures: dict[str, ItemFailure]) -> list[Path]:
    """Return the visible files under a folder, sorted; note the folders that cannot be listed."""

    def note(error: OSError) -> None:
        name = str(error.filename or folder)
        failures[name] = ItemFailure("unreadable", f"{name}: the folder cannot be listed ({error.strerror})")

    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(files)

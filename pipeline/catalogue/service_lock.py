"""One service a catalogue file: the start command holds a lock beside it, which ends with its process in any case.

The lock is not on the file itself: a backup may be put in its place, and SQLite has locks of its own there. A catalogue
on a database server has none: services on several machines may share it.
"""

import fcntl
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from pipeline.catalogue_url import catalogue_file
from pipeline.errors import CatalogueHeldError

logger = logging.getLogger(__name__)


@contextmanager
def held_catalogues(urls: Iterable[str]) -> Iterator[None]:
    """Hold the catalogues' files, also in what this process becomes by `exec`; its children do not hold them.

    Where no lock can be had, as in a folder that may only be read, a warning says so.

    Args:
        urls: of the catalogues; several may be the same.

    Raises:
        CatalogueHeldError: another service holds one.
    """
    with ExitStack() as stack:
        for path in _lock_files(urls):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("a+", encoding="utf-8"))
                _lock(file, path)
                if os.geteuid() == 0:  # an operator, after whom the service's own user holds it
                    owner = path.parent.stat()
                    os.chown(path, owner.st_uid, owner.st_gid)
                os.set_inheritable(file.fileno(), True)
                _say_who_holds(file)
            except OSError as error:
                logger.warning("%s: cannot tell whether another service runs on it: %s", path, error.strerror)
        yield


def check_not_held(urls: Iterable[str]) -> None:
    """Check that no other service holds one of the catalogues' files; changes nothing.

    Raises:
        CatalogueHeldError: one does.
    """
    for path in _lock_files(urls):
        try:
            with path.open(encoding="utf-8") as file:
                _lock(file, path)
        except OSError:  # nobody has made it yet, or the start will say what is wrong with it
            continue


def _lock_files(urls: Iterable[str]) -> list[Path]:
    """Return the file beside each catalogue once, by whatever links its URL names it."""
    files = {Path(os.path.realpath(file)) for file in map(catalogue_file, urls) if file is not None}
    return [file.with_name(f"{file.name}-service") for file in sorted(files)]


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read(200).strip() or "another process"
        catalogue = path.with_name(path.name.removesuffix("-service"))
        raise CatalogueHeldError(
            f"the catalogue {catalogue} is in use by another service ({holder}): stop that one first, or give this one "
            "a catalogue_url of its own"
        ) from error


def _say_who_holds(file: IO[str]) -> None:
    os.ftruncate(file.fileno(), 0)
    os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())

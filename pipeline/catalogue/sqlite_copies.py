"""Copies of a SQLite file, made while others write, and put in its place while others have it open."""

import fcntl
import logging
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from pipeline.catalogue import sqlite
from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.database import Database
from pipeline.catalogue.service_lock import check_not_held
from pipeline.catalogue_url import catalogue_file
from pipeline.errors import CatalogueHeldError

_log = logging.getLogger(__name__)

FILE = "catalogue.sqlite"

_BESIDE = ("-wal", "-shm")  # of the file that is moved away; they would damage another


@contextmanager
def copying(engine: Engine, target: Path) -> Iterator[Connection]:
    """See `Copies`; the copy is read whole, so that a damaged database is no backup."""
    try:
        sqlite.copy_into(engine, target)
    except (sqlite3.Error, SQLAlchemyError) as error:
        raise BackupError(f"the catalogue cannot be copied: {error}") from error
    copy = Database(sqlite.make_engine(URL.create("sqlite", database=str(target)), make=False), sqlite)
    try:
        with copy.reading() as connection:
            damage = sqlite.find_damage(connection)
            if damage:
                raise BackupError(f"the catalogue is damaged ({damage[0]}): restore the last backup instead")
            yield connection
    finally:
        copy.close()
    with closing(sqlite3.connect(target)) as last:  # the one file is all of it: nothing is left in a log
        last.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def holding(url: str, work: str, needed: bool) -> Iterator[Callable[[], None]]:
    """See `Copies`: a lock of the system's on a file beside the catalogue, as `service_lock` has one."""
    file = _file_of(url)
    path = file.with_name(f"{file.name}-upkeep")
    with ExitStack() as stack:
        if not file.exists():  # nobody can be at work on it, and a wrong path is not to leave a file
            yield lambda: None
            return
        try:
            lock = stack.enter_context(path.open("a+", encoding="utf-8"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _give_as(path, file.parent)
            lock.truncate(0)
            print(f"{work}, process {os.getpid()} on {socket.gethostname()}", file=lock, flush=True)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(200).strip() or "another process"
            raise BackupError(f"{file}: {holder}, is at work on its photos: try again when that has ended") from error
        except OSError as error:
            if needed:
                raise BackupError(f"{path}: cannot be locked, so nothing is done: {error.strerror}") from error
            _log.warning("%s: cannot be locked (%s): see that no photos are deleted meanwhile", path, error.strerror)
        yield lambda: None


def who_uses(url: str) -> str | None:
    """See `Copies`."""
    try:
        check_not_held([url])
    except CatalogueHeldError as error:
        return str(error)
    return None


def put_in_place(url: str, source: Path, stamp: str) -> str | None:
    """See `Copies`: between two renames there is no file, and services refuse to read and write."""
    file = _file_of(url)
    coming, kept = (
        file.with_name(f"{file.name}.restoring"),
        file.with_name(f"{file.stem}.replaced-{stamp}{file.suffix}"),
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, coming)
        _give_as(coming, file if file.exists() else file.parent)
        _sync(coming)
        replaced = _move_away(file, kept)
        try:
            coming.rename(file)
        except OSError:
            if replaced:
                _move(kept, file)
            raise
        _sync(file.parent)
    except OSError as error:
        raise BackupError(f"{file}: cannot be replaced, so it stays as it is: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            coming.unlink(missing_ok=True)
    return str(kept) if replaced else None


def _file_of(url: str) -> Path:
    named = catalogue_file(url)
    if named is None:
        raise BackupError(f"{url}: names no file")
    return named.resolve()


def _move_away(file: Path, kept: Path) -> bool:
    """Give the file that is there another name; returns False where there is none."""
    if kept.exists():
        raise BackupError(f"{kept}: is there already: wait a second and try again")
    if not file.exists():
        for ending in _BESIDE:
            if file.with_name(f"{file.name}{ending}").exists():
                raise BackupError(f"{file}{ending}: is there without its file: find that, or move this away")
        return False
    _move(file, kept)
    return True


def _move(file: Path, to: Path) -> None:
    """Give a file and its log another name, all or none; the file first, since whoever misses it begins no log."""
    moved: list[tuple[Path, Path]] = []
    try:
        for ending in ("", *_BESIDE):
            one, other = file.with_name(f"{file.name}{ending}"), to.with_name(f"{to.name}{ending}")
            if one.exists():
                one.rename(other)
                moved.append((one, other))
    except OSError:
        for one, other in reversed(moved):
            other.rename(one)
        raise


def _give_as(coming: Path, file: Path) -> None:
    """Let the service read and write the copy, which an operator may make as another user."""
    if file.is_file():
        shutil.copymode(file, coming)
    if os.geteuid() == 0:
        owner = file.stat()
        os.chown(coming, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

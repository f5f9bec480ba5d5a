"""How databases are copied and put back: each kind is a module of its own."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine

from pipeline.errors import WhaleVisionError


class BackupError(WhaleVisionError):
    """A backup cannot be made, read or restored; says why and what to do."""

    code = "backup"


class Copies(Protocol):
    """All that differs from one kind of database to the other where backups are concerned.

    Every method raises BackupError where it cannot do its work; the database is as it was then.
    """

    @property
    def FILE(self) -> str:  # noqa: N802 - a constant of the module
        """Name of the copy in a backup's folder."""
        ...

    def copying(self, engine: Engine, target: Path) -> AbstractContextManager[Connection]:
        """Copy the database into a new file; gives a connection that sees exactly what is in the copy."""
        ...

    def holding(self, url: str, work: str, needed: bool) -> AbstractContextManager[Callable[[], None]]:
        """Keep others from work on the same database's photos; it ends with this process, however that ends.

        Args:
            url: of the database.
            work: "backup", "collect" or what it is; told to whoever comes meanwhile.
            needed: False goes on with a warning where no lock can be had, as on a full or read-only disk.

        Returns:
            What checks that the lock is still held; raises BackupError where it was lost.

        Raises:
            BackupError: somebody else holds it; says who.
        """
        ...

    def who_uses(self, url: str) -> str | None:
        """Say which service uses the database; None where none does."""
        ...

    def put_in_place(self, url: str, source: Path, stamp: str) -> str | None:
        """Put a copy in the database's place in one step, and keep what it replaces.

        Args:
            url: of the database; it may be empty, or not there yet.
            source: the copy.
            stamp: goes into the name of what is kept.

        Returns:
            Where what was replaced is kept; None where there was nothing.
        """
        ...

"""Copies of a PostgreSQL database by the server's own programs, pg_dump and pg_restore."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, make_url, text

from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.database import open_database
from pipeline.catalogue.schema import schema_versions

FILE = "catalogue.dump"

_DEBIAN = Path("/usr/lib/postgresql")  # where Debian keeps each version's programs
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'whale-vision' AND pid <> pg_backend_pid()"
)


@contextmanager
def copying(engine: Engine, target: Path) -> Iterator[Connection]:
    """See `Copies`: pg_dump reads in the snapshot of the connection that is given."""
    with engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True).begin() as connection:
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        url = engine.url.render_as_string(hide_password=False)
        _run("pg_dump", url, "--format=custom", f"--snapshot={snapshot}", f"--file={target}")
        yield connection


def who_uses(url: str) -> str | None:
    """See `Copies`: whoever is connected as a service of ours."""
    database = open_database(url)
    try:
        with database.looking() as connection:
            others = connection.execute(_OTHERS).scalar_one()
    finally:
        database.close()
    return f"{others} connections of a service are open" if others else None


def put_in_place(url: str, source: Path, stamp: str) -> str | None:
    """See `Copies`: the old tables go and the new ones come in one transaction; the old ones are dumped first."""
    kept = source.absolute().parent.with_name(f"{source.absolute().parent.name}.replaced-{stamp}.dump")
    database = open_database(url)
    try:
        with database.looking() as connection:
            has_tables = inspect(connection).has_table(schema_versions.name)
    finally:
        database.close()
    if has_tables:
        _run("pg_dump", url, "--format=custom", f"--file={kept}")
    clean = ("--clean", "--if-exists") if has_tables else ()
    _run("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", *clean, str(source))
    return str(kept) if has_tables else None


def _run(program: str, url: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on a database; no password is among its arguments, which others can read."""
    parsed = make_url(url).set(drivername="postgresql")
    password = {} if parsed.password is None else {"PGPASSWORD": str(parsed.password)}
    where = parsed.set(password=None).render_as_string(hide_password=False)
    command = [_find(program), f"--dbname={where}", *arguments]
    done = subprocess.run(command, env={**os.environ, **password}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {' '.join(done.stderr.split()) or f'exit status {done.returncode}'}")


def _find(program: str) -> str:
    """Return the path of a program: that of the PATH, else the newest that Debian has."""
    found = shutil.which(program)
    if found is not None:
        return found
    versions = sorted(_DEBIAN.glob(f"*/bin/{program}"), key=lambda path: float(path.parts[4]))
    if not versions:
        raise BackupError(f"{program} is not installed: install PostgreSQL's client programs (postgresql-client)")
    return str(versions[-1])

"""Copies of a PostgreSQL database by the server's own programs, pg_dump and pg_restore."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.database import open_database
from pipeline.catalogue.schema import schema_versions

FILE = "catalogue.dump"

_DEBIAN = Path("/usr/lib/postgresql")  # where Debian keeps each version's programs
_WORK = "whale-vision upkeep: "
_LOCK = 0x70686F75  # "phou", below 2^31: pg_locks shows it as `objid`
_NAME_OF = text("SELECT set_config('application_name', :name, false)")
_TAKE = text(f"SELECT pg_try_advisory_lock({_LOCK})")
_OUR_LOCK = f"locktype = 'advisory' AND classid = 0 AND objid = {_LOCK} AND granted"
_HELD = text(f"SELECT count(*) FROM pg_locks WHERE {_OUR_LOCK} AND pid = pg_backend_pid()")
_HOLDER = text(
    "SELECT application_name || ' (connected since ' || to_char(backend_start, 'YYYY-MM-DD HH24:MI') || ' from ' || "
    "coalesce(host(client_addr), 'the same machine') || ')' FROM pg_stat_activity JOIN pg_locks USING (pid) "
    f"WHERE {_OUR_LOCK} AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
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


@contextmanager
def holding(url: str, work: str, needed: bool) -> Iterator[Callable[[], None]]:
    """See `Copies`: a lock of the server's that belongs to one connection, which says by its name what it is for."""
    database = open_database(url)
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(_NAME_OF, {"name": f"{_WORK}{work}"})
            if not connection.execute(_TAKE).scalar_one():
                holder = connection.execute(_HOLDER).scalar() or "somebody"
                raise BackupError(f"{holder} is at work on the database's photos: try again when that has ended")

            def check() -> None:
                try:
                    held = connection.execute(_HELD).scalar_one()
                except DBAPIError as error:
                    raise BackupError(
                        f"the server ended the connection, and the {work} with it: start again"
                    ) from error
                if not held:
                    raise BackupError(f"the server was restarted, which ended the {work}: start again")

            try:
                yield check
            finally:
                connection.invalidate()  # the lock ends with its connection
    except OperationalError as error:
        raise BackupError(f"the server does not answer: {' '.join(str(error.orig).split())}") from error
    finally:
        database.close()


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

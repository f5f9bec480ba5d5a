"""A PostgreSQL server for the tests: one that the environment names, else a private one that is thrown away."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, make_url

VARIABLE = "WHALE_VISION_TEST_POSTGRES"
USER, PASSWORD = "whales", "fluke@flank"
SERVER_USER = "nobody"  # where the tests run as root, which PostgreSQL refuses to do


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server on which databases may be made.

    Attributes:
        url: of its maintenance database.
        folder: of a private server's data and socket; None for one that the environment names.
    """

    url: URL
    folder: Path | None = None

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement outside of any transaction and return its rows."""
        with psycopg.connect(libpq_url(self.url), autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement))
            return cursor.fetchall() if cursor.description else []

    def restart(self) -> None:
        """Stop the server at once, without a word to its clients, and start it again."""
        self.control("restart", "--mode=immediate")

    def control(self, *arguments: str) -> None:
        """Start, stop or restart a private server and wait until that is done; skips for any other."""
        if self.folder is None:
            pytest.skip("the server is not ours to stop")
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        log = self.folder / "log"
        run("pg_ctl", f"--pgdata={self.folder / 'data'}", f"--log={log}", f"--options={options}", "--wait", *arguments)


@contextlib.contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Give the server that the environment names, or start a private one; skips where there is neither."""
    if VARIABLE in os.environ:
        yield PostgresServer(make_url(os.environ[VARIABLE]))
        return
    if program("initdb") is None or program("pg_ctl") is None:
        pytest.skip(f"no PostgreSQL server: install Debian's package postgresql, or set {VARIABLE} to a server's URL")
    folder = Path(tempfile.mkdtemp(prefix="whales-"))
    try:
        yield from _private_server(folder)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def fresh_database(server: PostgresServer, options: str = "") -> Iterator[str]:
    """Give the URL of an empty database that is dropped afterwards."""
    name = f"whales_{uuid4().hex}"
    server.execute(f"CREATE DATABASE {name} {options}")
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def libpq_url(url: URL) -> str:
    """Return the URL as psycopg and PostgreSQL's own programs take it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, which Debian keeps off the PATH; the newest of several."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(debian[-1]) if debian else shutil.which(name)


def run(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs to its end."""
    path = program(name)
    assert path is not None, f"{name} is not installed"
    user = SERVER_USER if os.geteuid() == 0 else None
    done = subprocess.run([path, *arguments], user=user, cwd="/", stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{name} {' '.join(arguments)} failed"


def _private_server(folder: Path) -> Iterator[PostgresServer]:
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    _give_to_server_user(folder, password_file)
    initdb = ("--auth=scram-sha-256", f"--username={USER}", f"--pwfile={password_file}", "--no-sync")
    run("initdb", f"--pgdata={folder / 'data'}", "--encoding=UTF8", "--locale=C", *initdb)
    url = URL.create("postgresql+psycopg", USER, PASSWORD, database="postgres", query={"host": str(folder)})
    server = PostgresServer(url, folder)
    server.control("start")
    try:
        yield server
    finally:
        server.control("stop", "--mode=immediate")


def _give_to_server_user(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, SERVER_USER)

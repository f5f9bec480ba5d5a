"""Everything about the catalogue that holds for PostgreSQL only: its connections, its transactions, its errors.

Readers see one snapshot (REPEATABLE READ). Writers lock the row of their catalogue and must then see what the writer
before them left (READ COMMITTED): one version after the other, nothing lost, no deadlock. The settings that a writer
depends on go with its transaction, not with the session, so that a connection pooler between does no harm.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from pipeline.errors import CatalogueOpenError

LOCK_TIMEOUT_S = 30
"""How long a writer waits for another one before it gives up."""

_IDLE_TIMEOUT_S = 60  # the server ends a writer that holds the lock and says nothing: stopped, or cut off

# A server that vanished without a word is noticed within half a minute, not after TCP's two hours.
_CONNECT = {
    "application_name": "whale-vision",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
    "prepare_threshold": None,  # prepared statements belong to a session: poolers, and plans for other numbers of keys
}

_SCHEMA_LOCK = 0x7768616C65  # "whale": an advisory lock, as there is no table to lock before the first start

_PHOTOS_LOCK = 0x70686F74  # "phot": of those who list photos of the store, shared, and of those who delete some

_BEGIN_WRITING = text(
    "SELECT set_config('lock_timeout', :lock, true), set_config('idle_in_transaction_session_timeout', :idle, true), "
    "set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)"
)

_CHECKSUM_FAILURES = "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
_READ_ONLY = "25006"
_UNREACHABLE = (
    "the database server cannot be reached or ended the connection: see that it runs, has a connection left "
    "(max_connections) and that catalogue_url names the right host, database, user and password; then try again"
)
_DAMAGED = "the database is damaged: stop the service and restore the last backup"
_ADVICE = {
    "08": _UNREACHABLE,
    "25P03": "the service stood still within a transaction: send the request again",
    _READ_ONLY: "the database server is read-only, a standby perhaps: let catalogue_url name the primary",
    "40": "it met another transaction: send the request again",
    "42501": "the database user may not create or write its tables: make it the owner of the database",
    "42P01": "its tables are gone: restore the last backup, or stop and start the service to begin an empty one",
    "53100": "the database server's disk is full: free some space and send the request again",
    "53200": "the database server is out of memory: send the request again",
    "55P03": "another process holds it locked: try again; if this lasts, see pg_stat_activity for which",
    "57014": "the database server cancelled the statement: see its statement_timeout, then send the request again",
    "57P": _UNREACHABLE,
    "58": "the database server's disk reported an error: see its log, then send the request again",
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}


def make_engine(url: URL, make: bool) -> Engine:
    """Make the engine; it connects at its first use, and anew after the server was away.

    Args:
        url: postgresql+psycopg://user@host/database; options of libpq in its query go before ours.
        make: changes nothing, since the database is the operator's to make.

    Raises:
        CatalogueOpenError: another driver is named, or psycopg is not installed.
    """
    if url.get_driver_name() != "psycopg":
        raise CatalogueOpenError(f"catalogue_url: {url.drivername} is not supported: write postgresql+psycopg://")
    ours = {name: value for name, value in _CONNECT.items() if name not in url.query}
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args=ours)
    except ImportError as error:
        raise CatalogueOpenError(
            f"catalogue_url: the driver of PostgreSQL is missing ({error}): pip install -r requirements-cluster.txt"
        ) from error
    event.listen(engine, "handle_error", _leave_a_standby)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Hold a transaction that sees one state of the database."""
    snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with snapshots.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Hold a transaction whose commit waits for the disk, whatever the server's default is."""
    with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
        connection.execute(_BEGIN_WRITING, {"lock": f"{LOCK_TIMEOUT_S}s", "idle": f"{_IDLE_TIMEOUT_S}s"})
        yield connection


def before_schema(connection: Connection) -> None:
    """Let one process at a time look for the tables and make them; it ends with the transaction.

    Raises:
        CatalogueOpenError: the database cannot hold every name.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise CatalogueOpenError(
            f"catalogue_url: the database's encoding is {encoding}, which cannot hold every name: "
            "create it with ENCODING 'UTF8' TEMPLATE template0"
        )


def guard_photos(connection: Connection, deletes: bool) -> None:
    """Take a lock that ends with the transaction; those who only list photos share it."""
    lock = "pg_advisory_xact_lock" if deletes else "pg_advisory_xact_lock_shared"
    connection.execute(text(f"SELECT {lock}(:key)"), {"key": _PHOTOS_LOCK})


def advice(error: SQLAlchemyError) -> str | None:
    """Return what to do about an error of the server or of the connection to it, None for anything else."""
    state = _state(error)
    if state is None:
        return _UNREACHABLE if isinstance(error, OperationalError) else None
    known = (_ADVICE.get(state[:length]) for length in (5, 3, 2))  # whole codes before their classes
    return next(
        (text for text in known if text is not None), f"the database server reported error {state}: see its log"
    )


def why_read_only(_engine: Engine) -> str | None:
    """Return None: a server that is read-only says so when it is written to."""
    return None


def back_up(_engine: Engine, _layout: int) -> str | None:
    """Return None: a copy of a server's database is made with its own programs."""
    return None


def find_damage(connection: Connection) -> list[str]:
    """Return whether the server has read pages whose checksums were wrong; it counts them where it has checksums."""
    wrong = connection.execute(text(_CHECKSUM_FAILURES)).scalar()
    advice = "see its log, restore a backup, and then call pg_stat_reset()"
    return [f"the server has read {wrong} pages with a wrong checksum: {advice}"] if wrong else []


def size_bytes(connection: Connection) -> int:
    """Return the size of the database with its indexes."""
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def _state(error: SQLAlchemyError) -> str | None:
    """Return the SQLSTATE; a connection that was never made has none."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _leave_a_standby(context: ExceptionContext) -> None:
    """Drop the pool's connections to a server that became a standby: where several hosts are named, another is it."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True

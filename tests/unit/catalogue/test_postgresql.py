"""What holds for a catalogue on a PostgreSQL server alone: its transactions, its failures, its backup."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from pipeline.catalogue import postgresql
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from tests.confirming import confirm, word
from tests.postgresql_server import PASSWORD, PostgresServer, fresh_database, libpq_url, program


@pytest.fixture
def catalogue(postgres_url: str) -> Iterator[SqlCatalogue]:
    opened = open_catalogue(postgres_url)
    yield opened
    opened.close()


@contextmanager
def connected(url: str, autocommit: bool = True) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(libpq_url(make_url(url)), autocommit=autocommit) as connection:
        yield connection


def execute(url: str, *statements: str) -> None:
    with connected(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def set_default(url: str, setting: str) -> None:
    execute(url, f"ALTER DATABASE {make_url(url).database} SET {setting}")


# --- transactions -----------------------------------------------------------------------------------------------------


def test_a_reader_sees_one_state_while_others_write(catalogue: SqlCatalogue, postgres_url: str) -> None:
    with catalogue._database.reading() as connection:
        before = connection.execute(text("SELECT count(*) FROM annotations")).scalar_one()
        confirm(open_catalogue(postgres_url), [word("a")])
        assert connection.execute(text("SELECT count(*) FROM annotations")).scalar_one() == before == 0


@pytest.mark.parametrize("default", ["serializable", "repeatable read", "read committed"])
def test_isolation_is_ours_whatever_the_server_s_default(postgres_url: str, default: str) -> None:
    set_default(postgres_url, f"default_transaction_isolation = '{default}'")
    database = open_catalogue(postgres_url)._database
    with database.reading() as reader, database.writing() as writer:
        found = [connection.execute(text("SHOW transaction_isolation")).scalar_one() for connection in (reader, writer)]
    assert found == ["repeatable read", "read committed"]


@pytest.mark.parametrize(("default", "ours"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
def test_a_commit_waits_for_the_disk_whatever_the_server_s_default(postgres_url: str, default: str, ours: str) -> None:
    set_default(postgres_url, f"synchronous_commit = {default}")
    with open_catalogue(postgres_url)._database.writing() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == ours


def test_a_locked_catalogue_says_so_and_works_again_afterwards(
    catalogue: SqlCatalogue, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "LOCK_TIMEOUT_S", 1)
    with connected(postgres_url, autocommit=False) as other:
        other.execute("SELECT head FROM catalogues FOR UPDATE")
        with pytest.raises(CatalogueUnavailableError, match="another process holds it locked"):
            confirm(catalogue, [word("a")])
        assert catalogue.head().version == 0, "readers go on beside a writer"
    assert confirm(catalogue, [word("a")]) == 1


def test_a_writer_that_stands_still_is_ended_and_its_work_undone(
    catalogue: SqlCatalogue, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_IDLE_TIMEOUT_S", 1)

    def stand_still() -> None:
        with catalogue._database.writing() as connection:
            connection.execute(text("UPDATE catalogues SET head = 99"))
            assert confirm(open_catalogue(postgres_url), [word("a")]) == 1, "it waited until the lock was free"
            connection.execute(text("SELECT 1"))

    with pytest.raises(CatalogueUnavailableError, match="send the request again"):
        stand_still()
    assert catalogue.head().version == 1


def test_two_catalogues_meet_a_new_actor_at_once(postgres_url: str, postgres_server: PostgresServer) -> None:
    ours, theirs = open_catalogue(postgres_url, "ours"), open_catalogue(postgres_url, "theirs")
    with ThreadPoolExecutor(1) as pool:
        with ours._database.writing() as connection:
            actor = "INSERT INTO actors (institution, name, kind) VALUES ('default', 'local user', 'person')"
            connection.execute(text(actor))
            waiting = pool.submit(confirm, theirs, [word("a")])
            while not postgres_server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                assert not waiting.done()
        assert waiting.result(timeout=60) == 1
    assert confirm(ours, [word("a")]) == 1


# --- a server that goes away ------------------------------------------------------------------------------------------


def test_calls_go_on_after_the_server_was_restarted(catalogue: SqlCatalogue, postgres_server: PostgresServer) -> None:
    confirm(catalogue, [word("a")])
    postgres_server.restart()
    assert catalogue.head().version == 1
    postgres_server.restart()
    assert confirm(catalogue, [word("b")]) == 2


def test_a_server_that_is_down_is_an_unavailable_catalogue_until_it_is_back(
    catalogue: SqlCatalogue, postgres_server: PostgresServer, postgres_url: str
) -> None:
    postgres_server.control("stop", "--mode=fast")
    try:
        calls: list[Callable[[], object]] = [catalogue.head, lambda: confirm(catalogue, [word("a")])]
        for call in calls:
            with pytest.raises(CatalogueUnavailableError, match="cannot be reached") as caught:
                call()
            assert "whales" not in str(caught.value), "a client need not know names of the server"
        with pytest.raises(CatalogueOpenError, match=r"cannot be reached.*No such file"):
            open_catalogue(postgres_url)
    finally:
        postgres_server.control("start")
    assert confirm(catalogue, [word("a")]) == 1


def test_a_server_that_dies_within_a_request_stores_nothing_of_it(
    catalogue: SqlCatalogue, postgres_server: PostgresServer
) -> None:

    def die_halfway() -> None:
        with catalogue._database.writing() as connection:
            connection.execute(text("UPDATE catalogues SET head = 99"))
            postgres_server.restart()
            connection.execute(text("SELECT 1"))

    with pytest.raises(CatalogueUnavailableError, match="then try again"):
        die_halfway()
    assert catalogue.head().version == 0
    assert confirm(catalogue, [word("a")]) == 1


def test_a_request_that_waits_while_the_server_dies_fails_and_may_be_sent_again(
    catalogue: SqlCatalogue, postgres_server: PostgresServer, postgres_url: str
) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(libpq_url(make_url(postgres_url))) as other:
        other.execute("SELECT head FROM catalogues FOR UPDATE")
        waiting = pool.submit(confirm, catalogue, [word("a")])
        waiters = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not postgres_server.execute(waiters):
            assert not waiting.done()
        postgres_server.restart()
        with pytest.raises(CatalogueUnavailableError, match="cannot be reached or ended the connection"):
            waiting.result(timeout=60)
        other.close()
    assert confirm(catalogue, [word("a")]) == 1


# --- errors of a server that answers ----------------------------------------------------------------------------------

FAILING = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{}'; END $$
"""


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("53100", "disk is full: free some space"),
        ("53200", "out of memory"),
        ("58030", "disk reported an error"),
        ("25006", "let catalogue_url name the primary"),
        ("57014", "cancelled the statement"),
        ("40P01", "met another transaction: send the request again"),
        ("42501", "make it the owner"),
        ("XX001", "restore the last backup"),
        ("22000", "reported error 22000: see its log"),
    ],
)
def test_a_failing_server_stores_nothing_and_says_what_to_do(
    catalogue: SqlCatalogue, postgres_url: str, code: str, advice: str
) -> None:
    confirm(catalogue, [word("before")])
    trigger = "CREATE TRIGGER failing BEFORE INSERT ON annotations FOR EACH ROW EXECUTE FUNCTION fail()"
    execute(postgres_url, FAILING.format(code), trigger)
    with pytest.raises(CatalogueUnavailableError, match=advice) as caught:
        confirm(catalogue, [word("before", "VERGIL"), word("a")])
    assert "secret" not in str(caught.value)
    assert (catalogue.head().version, catalogue.counts().individuals) == (1, 1)
    execute(postgres_url, "DROP TRIGGER failing ON annotations")
    assert confirm(catalogue, [word("before", "VERGIL"), word("a")]) == 2


@pytest.mark.parametrize(("code", "stays"), [("25006", False), ("53100", True)])
def test_connections_to_a_server_that_became_a_standby_are_given_up(
    catalogue: SqlCatalogue, postgres_url: str, code: str, stays: bool
) -> None:
    def server_process() -> object:
        with catalogue._database.reading() as connection:
            return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

    before = server_process()
    trigger = "CREATE TRIGGER failing BEFORE INSERT ON annotations FOR EACH ROW EXECUTE FUNCTION fail()"
    execute(postgres_url, FAILING.format(code), trigger)
    with pytest.raises(CatalogueUnavailableError):
        confirm(catalogue, [word("a")])
    assert (server_process() == before) is stays


def test_tables_that_are_gone_are_reported(catalogue: SqlCatalogue, postgres_url: str) -> None:
    execute(postgres_url, "DROP TABLE catalogues CASCADE")
    with pytest.raises(CatalogueUnavailableError, match="tables are gone"):
        catalogue.head()


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_without_showing_it(postgres_server: PostgresServer, postgres_url: str) -> None:
    if postgres_server.folder is None:
        pytest.skip("the server may trust everybody")
    with pytest.raises(CatalogueOpenError, match="password authentication failed") as caught:
        open_catalogue(make_url(postgres_url).set(password="wrong secret").render_as_string(hide_password=False))
    assert "wrong secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_refused(postgres_url: str) -> None:
    nowhere = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(CatalogueOpenError, match=r'right host, database, user and password.*"nowhere" does not exist'):
        open_catalogue(nowhere)


def test_a_database_that_cannot_hold_every_name_is_refused(postgres_server: PostgresServer) -> None:
    latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with fresh_database(postgres_server, latin) as url, pytest.raises(CatalogueOpenError, match=r"LATIN1.*'UTF8'"):
        open_catalogue(url)


def test_a_user_who_may_not_make_tables_is_refused_with_what_to_do(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    execute(
        postgres_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'"
    )
    try:
        guest = make_url(postgres_url).set(username="guest", password=PASSWORD)
        with pytest.raises(CatalogueOpenError, match="make it the owner of the database"):
            open_catalogue(guest.render_as_string(hide_password=False))
    finally:
        postgres_server.execute("DROP ROLE guest")


def test_a_missing_driver_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CatalogueOpenError, match=r"pip install -r requirements-cluster\.txt"):
        open_catalogue("postgresql+psycopg://host/name")


@pytest.mark.parametrize(("option", "name"), [("", "whale-vision"), ("&application_name=lab", "lab")])
def test_options_in_the_url_go_before_ours(postgres_url: str, option: str, name: str) -> None:
    with open_catalogue(postgres_url + option)._database.reading() as connection:
        assert connection.execute(text("SHOW application_name")).scalar_one() == name


# --- backup -----------------------------------------------------------------------------------------------------------


def test_a_backup_that_is_restored_goes_on_where_it_was_made(
    catalogue: SqlCatalogue, postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    pg_dump, pg_restore = program("pg_dump"), program("pg_restore")
    if pg_dump is None or pg_restore is None:
        pytest.skip("no pg_dump and pg_restore")
    confirm(catalogue, [word("a"), word("b", "VERGIL")])
    dump = str(tmp_path / "catalogue.dump")
    subprocess.run([pg_dump, "--format=custom", f"--file={dump}", libpq_url(make_url(postgres_url))], check=True)
    confirm(catalogue, [word("c")])
    with fresh_database(postgres_server) as url:
        subprocess.run([pg_restore, "--no-owner", f"--dbname={libpq_url(make_url(url))}", dump], check=True)
        restored = open_catalogue(url)
        assert (restored.head().version, restored.counts().individuals) == (1, 2)
        assert confirm(restored, [word("d")]) == 2
        ids = [row.row_id for row in restored.changes_since(EMPTY).added]
        assert ids == sorted(set(ids))
        restored.close()

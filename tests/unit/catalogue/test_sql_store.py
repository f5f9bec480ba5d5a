"""What the SQL store promises beyond the contract, on each kind of database: durability, several processes, history."""

import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline.catalogue.rows import EMPTY, ImportBatch, ImportFile
from pipeline.catalogue.schema import SCHEMA_VERSION
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.errors import CatalogueOpenError, CatalogueUnavailableError
from pipeline.records import LOCAL_USER, Actor
from tests.confirming import confirm, confirming, word


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def query(catalogue: SqlCatalogue, statement: str) -> list[tuple[object, ...]]:
    with catalogue._database.engine.begin() as connection:
        result = connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def test_contents_outlive_the_process(url: str) -> None:
    first = open_catalogue(url)
    confirm(first, [word("a"), word("b", "VERGIL")])
    before = first.changes_since(EMPTY)
    first.close()
    second = open_catalogue(url)
    after = second.changes_since(EMPTY)
    second.close()
    assert (after.head.version, [row.individual for row in after.added]) == (1, ["DANTE", "VERGIL"])
    assert [row.row_id for row in after.added] == [row.row_id for row in before.added]


def test_catalogues_of_one_database_do_not_mix(url: str) -> None:
    ours, theirs = open_catalogue(url, "ours"), open_catalogue(url, "theirs")
    confirm(ours, [word("a")])
    assert (ours.head().version, theirs.head().version) == (1, 0)
    assert theirs.changes_since(EMPTY).added == ()
    confirm(theirs, [word("a", "VERGIL")])
    assert [row.individual for row in ours.changes_since(EMPTY).added] == ["DANTE"]
    assert theirs.counts().individuals == 1


def test_replaced_rows_stay_as_history(url: str) -> None:
    catalogue = open_catalogue(url)
    for individual in ("A", "B"):
        confirm(catalogue, [word("a", individual)])
    rows = query(catalogue, "SELECT version, gone, said_in FROM assignments ORDER BY row")
    assert rows == [(1, 2, 1), (2, None, 2)]
    assert query(catalogue, "SELECT version, gone, dimension FROM embeddings") == [(1, None, 2)]


def test_each_event_carries_who_spoke_and_the_key(url: str) -> None:
    catalogue = open_catalogue(url)
    maria, importer = Actor("azores", "Maria"), Actor("azores", "importer", "program")
    for n, actor in enumerate((LOCAL_USER, maria, importer, LOCAL_USER)):
        catalogue.confirm([word(f"{n}")], actor, f"key {n}" if n else None)
    catalogue.import_rows([ImportBatch(ImportFile("x.csv", "fluke", "d1", "m1"), (word("csv"),))])
    columns = "version, events.kind, key, institution, name, actors.kind"
    assert query(catalogue, f"SELECT {columns} FROM events JOIN actors ON actor_id = id ORDER BY version") == [
        (1, "confirm", None, "default", "local user", "person"),
        (2, "confirm", "key 1", "azores", "Maria", "person"),
        (3, "confirm", "key 2", "azores", "importer", "program"),
        (4, "confirm", "key 3", "default", "local user", "person"),
        (5, "import", None, "default", "whale-vision", "program"),
    ]


def test_a_key_belongs_to_one_catalogue(url: str) -> None:
    ours, theirs = open_catalogue(url, "ours"), open_catalogue(url, "theirs")
    assert confirm(ours, [word("a")], "k1") == confirm(theirs, [word("a", "VERGIL")], "k1") == 1


def test_a_catalogue_that_the_database_lost_is_unavailable(url: str) -> None:
    catalogue = open_catalogue(url)
    query(catalogue, "DELETE FROM catalogues")
    calls: list[Callable[[], object]] = [catalogue.head, lambda: confirm(catalogue, [word("a")])]
    for call in calls:
        with pytest.raises(CatalogueUnavailableError, match="holds this catalogue no longer"):
            call()


def test_events_carry_their_time_in_utc(url: str) -> None:
    noon_in_lisbon = datetime(2026, 7, 1, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    opened = open_catalogue(url)
    confirm(SqlCatalogue(opened._database, 1, clock=lambda: noon_in_lisbon), [word("a")])
    ((at,),) = query(opened, "SELECT CAST(at AS VARCHAR) FROM events")
    assert datetime.fromisoformat(str(at)).replace(tzinfo=UTC) == noon_in_lisbon


def test_everything_acknowledged_survives_kill_9(url: str) -> None:
    process = confirming(url, "I", "forever")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().split("\n")[:-1]
    process.wait(timeout=60)
    stored = Counter(row.individual for row in open_catalogue(url).changes_since(EMPTY).added)
    assert {line.split()[0] for line in acknowledged} <= stored.keys()
    assert len(acknowledged) <= len(stored) <= len(acknowledged) + 1
    assert set(stored.values()) == {2}, "half of a request was stored"


def test_processes_that_write_at_once_lose_nothing(url: str) -> None:
    processes = [confirming(url, prefix, "25") for prefix in "XYZ"]
    lines = [line.split() for process in processes for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(int(head) for _, head in lines) == list(range(1, 76)), "two processes were given the same version"
    changes = open_catalogue(url).changes_since(EMPTY)
    assert changes.head.version == 75
    assert {row.individual for row in changes.added} == {f"{prefix}{n}" for prefix in "XYZ" for n in range(25)}


def test_row_ids_follow_the_versions_of_several_writers(url: str) -> None:
    for process in [confirming(url, prefix, "10") for prefix in "XY"]:
        process.communicate(timeout=120)
    catalogue = open_catalogue(url)
    in_order = query(catalogue, "SELECT version FROM assignments ORDER BY row")
    assert in_order == sorted(in_order)
    assert len(in_order) == 40


def test_another_process_s_commit_is_in_the_next_answer(url: str) -> None:
    reader, writer = open_catalogue(url), open_catalogue(url)
    seen = reader.head()
    assert seen == EMPTY
    for n in range(1, 4):
        confirm(writer, [word(f"{n}")])
        changes = reader.changes_since(seen)
        seen = changes.head
        assert (seen.version, [row.key.photo for row in changes.added]) == (n, [f"path:{n}"])


def test_a_newer_layout_is_refused_and_left_alone(url: str) -> None:
    opened = open_catalogue(url)
    query(opened, f"UPDATE schema_versions SET version = {SCHEMA_VERSION + 1}")
    with pytest.raises(CatalogueOpenError, match="written by a newer release"):
        open_catalogue(url)
    assert query(opened, "SELECT version FROM schema_versions") == [(SCHEMA_VERSION + 1,)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("catalogue.sqlite", "catalogue_url"),
        ("nosuchdatabase://host/name", "nosuchdatabase is not supported: use sqlite or postgresql"),
        ("mysql://host/name", "mysql is not supported: use sqlite or postgresql"),
        ("postgresql+asyncpg://host/name", r"write postgresql\+psycopg://"),
        ("", "catalogue_url"),
    ],
)
def test_a_wrong_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises(CatalogueOpenError, match=reason):
        open_catalogue(url)

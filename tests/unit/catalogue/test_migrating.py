"""Catalogues of older releases: brought up to date as a whole, after a backup, by the start command alone."""

import logging
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, LargeBinary, MetaData, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from pipeline.catalogue import migrating
from pipeline.catalogue.giving import Gift
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.migrating import migrate_catalogue
from pipeline.catalogue.people import CatalogueDescription, open_people
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.schema import SCHEMA_VERSION
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.catalogue.verbs import Undo
from pipeline.catalogue.views import HistoryFilter, IndividualFilter
from pipeline.errors import CatalogueOpenError, ChangeRefusedError, KeyReusedError, UndoBlockedError
from pipeline.records import LOCAL_USER, OPERATOR, PhotoKey, Query, Ranking
from pipeline.rights import Held, Right
from tests.confirming import REPOSITORY, confirm, word
from tests.unit.catalogue.make_layout2 import MARIA
from tests.unit.catalogue.make_layout2 import word as word_2

LAYOUT_1 = Path(__file__).with_name("layout1.sqlite")  # make_layout1.py wrote it
LAYOUT_2 = Path(__file__).with_name("layout2.sqlite")  # make_layout2.py wrote it
LAYOUT_3 = Path(__file__).with_name("layout3.sqlite")  # make_layout3.py wrote it
BACKUP = "whales-2026-07-01.dump"
MODELS = [LoadedModel("fluke", "m1", 2), LoadedModel("flank", "m3", 2)]

# What the release that wrote the file says of it, worked out from make_layout1.py.
MEANS = {
    "PMOD001_DANTE": (0.5, 0.5),
    "PMOD002_VERGIL": ((0.1234567890123456 + 0.5) / 2, (-1e-300 - 0.5) / 2),
    "Dante": (1.0, 1.0),
    "DANTE": (0.25, 0.98),
    "Dan te": (0.25, 0.99),
    "Jose\u0301": (0.25, 1.0),
    "Inv\u200bisible": (0.25, 1.01),
    "Nova": (0.25, 0.97),
}

# The same of layout2.sqlite, worked out from make_layout2.py.
MEANS_2 = {
    "Dante": (0.625, 0.25),
    "DANTE": (0.75, 0.5),
    "PMOD002_VERGIL": ((0.1234567890123456 + 0.5) / 2, (-1e-300 + 0.25) / 2),
    "Io": ((0.3 + 0.8) / 2, (0.4 + 0.6) / 2),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(LAYOUT_1, tmp_path / "catalogue.sqlite"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, file: Path) -> str:
    """URL of a catalogue of layout 1."""
    if request.param == "sqlite":
        return f"sqlite:///{file}"
    url: str = request.getfixturevalue("postgres_url")
    copy_tables(create_engine(f"sqlite:///{LAYOUT_1}"), create_engine(url))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url_2(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a catalogue of layout 2."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(LAYOUT_2, tmp_path / 'layout2.sqlite')}"
    url: str = request.getfixturevalue("postgres_url")
    copy_tables(create_engine(f"sqlite:///{LAYOUT_2}"), create_engine(url))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url_3(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a catalogue of layout 3."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(LAYOUT_3, tmp_path / 'layout3.sqlite')}"
    url: str = request.getfixturevalue("postgres_url")
    copy_tables(create_engine(f"sqlite:///{LAYOUT_3}"), create_engine(url))
    return url


def copy_tables(source: Engine, target: Engine) -> None:
    tables = MetaData()
    tables.reflect(source)
    for table in tables.sorted_tables:
        table.indexes = {index for index in table.indexes if index.name == "rows_by_version"}  # the others are partial
        for column in table.columns:
            column.type = column.type.as_generic() if not isinstance(column.type, LargeBinary) else LargeBinary()
    with source.connect() as old, target.begin() as new:
        tables.create_all(new)
        for table in tables.sorted_tables:
            rows = [row._asdict() for row in old.execute(table.select())]
            if rows:
                new.execute(table.insert(), rows)
            if "id" in table.columns:
                longest = (
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))"
                )
                new.execute(text(longest))
    source.dispose()
    target.dispose()


def rows_of(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return rows


def tables_of(url: str) -> dict[str, object]:
    """Return everything that a database knows of its tables, but for the order in which columns came."""
    engine = create_engine(url)
    look = inspect(engine)
    found: dict[str, object] = {}
    for table in look.get_table_names():
        columns = sorted((c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(table))
        keys = sorted((k["constrained_columns"], k["referred_table"]) for k in look.get_foreign_keys(table))
        unique = sorted(c["column_names"] for c in look.get_unique_constraints(table))
        indexes = sorted((str(i["name"]), i["column_names"], bool(i["unique"])) for i in look.get_indexes(table))
        found[table] = (columns, look.get_pk_constraint(table)["constrained_columns"], keys, unique, indexes)
    engine.dispose()
    return found


def ask(url: str) -> Ranking:
    query = Query(PhotoKey("path:q"), "q", "fluke", np.array((0.0, 0.0), dtype=np.float32), None, None)
    (ranking,) = CatalogueMatcher(open_catalogue(url), MODELS).rank([query], None)
    return ranking


def test_rankings_and_counts_are_those_of_the_release_that_wrote_it(url: str) -> None:
    migrate_catalogue(url, BACKUP)
    found = {candidate.individual: candidate.distance for candidate in ask(url).candidates}
    assert found.pop("Unknown") == 1.0
    assert found.keys() == MEANS.keys()
    for name, mean in MEANS.items():
        assert found[name] == pytest.approx(float(np.hypot(*mean)), abs=1e-15)
    counts = open_catalogue(url).counts()
    assert (counts.individuals, counts.photos) == (8, 11)
    assert dict(counts.rows) == {("fluke", "m1"): 10, ("fluke", "m2"): 2, ("flank", "m3"): 1}


def test_rankings_of_layout_2_stay_and_so_do_counts_and_the_other_catalogue(url_2: str) -> None:
    migrate_catalogue(url_2, BACKUP)
    found = {candidate.individual: candidate.distance for candidate in ask(url_2).candidates}
    assert found == pytest.approx({name: float(np.hypot(*mean)) for name, mean in MEANS_2.items()} | {"Unknown": 1.0})
    counts = open_catalogue(url_2).counts()
    assert (counts.individuals, counts.photos) == (4, 8)
    assert dict(counts.rows) == {("fluke", "m1"): 7, ("fluke", "m2"): 1, ("flank", "m3"): 1}
    other = open_catalogue(url_2, "other").changes_since(EMPTY)
    assert [(row.individual, row.key.photo) for row in other.added] == [("Elsewhere", "path:a")]


def test_keys_of_layout_2_are_known_with_what_was_refused(url_2: str) -> None:
    migrate_catalogue(url_2, BACKUP)
    catalogue = open_catalogue(url_2)
    before = catalogue.head()
    first = [word_2("a", "Nova", (0.5, 0.25)), word_2("b", "dante", (0.0, 0.0))]
    repeated = catalogue.confirm(first, MARIA, "k1")
    assert (repeated.head, list(repeated.refused)) == (before, [1])
    with pytest.raises(KeyReusedError):
        catalogue.confirm([word_2("a", "Io", (0.5, 0.25))], MARIA, "k1")


def test_the_log_of_layout_1_tells_its_tables(url: str) -> None:
    migrate_catalogue(url, BACKUP)
    assert open_catalogue(url).differences_from_log() == []


def test_what_was_said_before_layout_3_can_be_undone_and_the_migration_cannot(url_2: str) -> None:
    migrate_catalogue(url_2, BACKUP)
    catalogue = open_catalogue(url_2)
    assert catalogue.head().version == 10
    catalogue.change(Undo(3), MARIA)
    shown = {row.key.photo: row.individual for row in catalogue.changes_since(EMPTY).added}
    assert shown["path:a"] == "Nova"
    with pytest.raises(UndoBlockedError, match=r"version 8 \(confirm by local user\)"):
        catalogue.change(Undo(6), MARIA)
    with pytest.raises(ChangeRefusedError, match="never undone"):
        catalogue.change(Undo(10), MARIA)
    assert catalogue.differences_from_log() == []


def test_rankings_names_events_and_actors_of_layout_3_stay(url_3: str) -> None:
    everybody = "SELECT id, institution, name, kind FROM actors ORDER BY id"
    actors = rows_of(url_3, everybody)
    migrate_catalogue(url_3, BACKUP)
    found = {candidate.individual: candidate.distance for candidate in ask(url_3).candidates}
    assert found == pytest.approx({"Nova Prima": 1.0, "Io": 1.0, "Unknown": 1.0})
    catalogue = open_catalogue(url_3)
    named = {entry.name: entry.aliases for entry in catalogue.individuals(IndividualFilter()).entries}
    assert named == {"Europa": (), "Io": ("Jupiter I",), "Nova Prima": ("Nova",)}
    kinds = [event.kind for event in catalogue.history(HistoryFilter()).entries]
    assert kinds == ["migrate", "decide", "undo", "merge", "alias", "rename", "confirm", "confirm"]
    assert catalogue.differences_from_log() == []
    catalogue.change(Undo(7), MARIA)
    assert {row.individual for row in catalogue.changes_since(EMPTY).added} == {"Europa", "Io", "Nova Prima"}
    assert [row for row in rows_of(url_3, everybody) if row in actors] == actors


def test_catalogues_of_layout_3_belong_to_the_default_institution_and_nobody_has_a_right_by_that(url_3: str) -> None:
    migrate_catalogue(url_3, BACKUP)
    people = open_people(url_3)
    expected = [CatalogueDescription("default", "default", None), CatalogueDescription("other", "default", None)]
    assert people.catalogues() == expected
    assert people.institutions() == ["azores", "default"]
    assert people.standing(MARIA).held == {}
    people.give(Gift("other", MARIA, Right.CONFIRM), OPERATOR)
    assert people.standing(MARIA).held == {"other": Held(Right.CONFIRM, "default")}
    people.close()


def test_every_row_is_an_embedding_and_a_word_of_the_same_number(url: str) -> None:
    old = rows_of(
        url,
        "SELECT a.id, photo, animal, body_part, name, embedding, dimension, model, path, version, superseded_version "
        "FROM annotations AS a JOIN individuals AS i ON i.id = individual_id ORDER BY a.id",
    )
    migrate_catalogue(url, BACKUP)
    new = rows_of(
        url,
        "SELECT e.row, source_key, animal, body_part, name, vector, dimension, model, coalesce(s.path, a.path), "
        "s.version, e.gone FROM embeddings AS e JOIN assignments AS s USING (catalogue_id, row) "
        "JOIN annotations AS a ON a.id = s.annotation JOIN names ON names.individual = s.individual "
        "WHERE s.annotation = e.annotation AND s.version = e.version AND said_in = s.version ORDER BY e.row",
    )
    assert [tuple(map(plain, row)) for row in new] == [tuple(map(plain, row)) for row in old]


def plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def test_a_second_start_changes_nothing(url: str, tmp_path: Path) -> None:
    def state() -> tuple[object, ...]:
        events = rows_of(url, "SELECT * FROM events ORDER BY catalogue_id, version")
        return open_catalogue(url).head(), events, set(tmp_path.glob("*.sqlite"))

    migrate_catalogue(url, BACKUP)
    before = state()
    migrate_catalogue(url, BACKUP)
    migrate_catalogue(url)
    assert state() == before


def test_every_version_that_occurred_has_its_event(url: str) -> None:
    times = [at for (at,) in rows_of(url, "SELECT min(created_at) FROM annotations GROUP BY version ORDER BY version")]
    migrate_catalogue(url, BACKUP)
    of_first = "WHERE catalogue_id = 1"
    columns = "version, events.kind, institution, name, actors.kind, key"
    events = rows_of(
        url, f"SELECT {columns} FROM events JOIN actors ON actors.id = actor_id {of_first} ORDER BY version"
    )
    assert events[0] == (1, "import", "default", "whale-vision", "program", None)
    unknown = ("confirm", "default", "unknown (before layout 2)", "person", None)
    assert events[1:-1] == [(version, *unknown) for version in range(2, 12)]
    assert events[-1] == (12, "migrate", "default", "whale-vision", "program", None)
    assert len(set(rows_of(url, f"SELECT nonce FROM events {of_first}"))) == 12
    assert [at for (at,) in rows_of(url, f"SELECT at FROM events {of_first} ORDER BY version")][:-1] == times


def test_twins_stay_two_individuals_and_are_confirmed_by_their_exact_spelling(url: str) -> None:
    migrate_catalogue(url, BACKUP)
    catalogue = open_catalogue(url)
    seen = catalogue.head()
    confirm(catalogue, [word("new", "DANTE")])
    assert [row.individual for row in catalogue.changes_since(seen).added] == ["DANTE"]
    refused = catalogue.confirm([word("other", "dante")], LOCAL_USER).refused
    assert 'write "Dante" or "DANTE" or "Dan te"' in refused[0].message
    seen = catalogue.head()
    confirm(catalogue, [word("more", "jos\u00e9"), word("unseen", "invisible")])
    assert [row.individual for row in catalogue.changes_since(seen).added] == ["Jose\u0301", "Inv\u200bisible"]


def test_a_migrated_catalogue_has_the_tables_of_a_new_one(file: Path, tmp_path: Path) -> None:
    migrate_catalogue(f"sqlite:///{file}")
    new = f"sqlite:///{tmp_path / 'new.sqlite'}"
    open_catalogue(new).close()
    assert tables_of(f"sqlite:///{file}") == tables_of(new)
    for table in ("alembic_version", "schema_versions"):
        assert rows_of(f"sqlite:///{file}", f"SELECT * FROM {table}") == rows_of(new, f"SELECT * FROM {table}")


def test_a_migrated_catalogue_on_a_server_has_the_tables_of_a_new_one(
    postgres_url: str,
) -> None:
    copy_tables(create_engine(f"sqlite:///{LAYOUT_1}"), create_engine(postgres_url))
    migrate_catalogue(postgres_url, BACKUP)
    migrated = tables_of(postgres_url)
    with create_engine(postgres_url).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    open_catalogue(postgres_url).close()
    new = tables_of(postgres_url)
    assert migrated == new


def test_an_empty_database_gets_the_newest_layout(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    migrate_catalogue(url)
    open_catalogue(url).close()
    assert rows_of(url, "SELECT version FROM schema_versions") == [(SCHEMA_VERSION,)]
    assert rows_of(url, "SELECT version_num FROM alembic_version") == [("layout_4_signing",)]


def test_the_release_of_layout_1_finds_the_number_that_it_refuses(url: str) -> None:
    migrate_catalogue(url, BACKUP)
    assert rows_of(url, "SELECT version FROM schema_versions") == [(4,)]


def test_whoever_is_not_the_start_command_refuses_an_older_layout_and_says_what_to_do(url: str) -> None:
    with pytest.raises(CatalogueOpenError, match=r"older release \(layout 1.*start this release once"):
        open_catalogue(url)
    assert rows_of(url, "SELECT version FROM schema_versions") == [(1,)]


def test_a_newer_layout_is_refused_and_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE schema_versions SET version = 99")
    with pytest.raises(CatalogueOpenError, match="written by a newer release"):
        migrate_catalogue(f"sqlite:///{file}")


# --- backups ----------------------------------------------------------------------------------------------------------


def test_a_file_is_copied_first_and_older_copies_stay(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    (file.parent / "catalogue.layout-1.sqlite").write_text("an older copy")
    caplog.set_level(logging.INFO)
    migrate_catalogue(f"sqlite:///{file}")
    copy = file.parent / "catalogue.layout-1-2.sqlite"
    assert str(copy) in caplog.text
    everything = "SELECT * FROM annotations"
    assert rows_of(f"sqlite:///{copy}", everything) == rows_of(f"sqlite:///{LAYOUT_1}", everything)
    assert rows_of(f"sqlite:///{copy}", "SELECT version FROM schema_versions") == [(1,)]
    assert (file.parent / "catalogue.layout-1.sqlite").read_text() == "an older copy"
    assert str(copy) in str(rows_of(f"sqlite:///{file}", "SELECT reason FROM events WHERE kind = 'migrate'"))


class FullDisk(sqlite3.Connection):
    """A connection whose backup finds no room after the first pages."""

    def backup(self, target: sqlite3.Connection, **_options: Any) -> None:
        def fill(*_progress: int) -> None:
            raise OSError(28, "No space left on device")

        super().backup(target, pages=1, progress=fill)


def test_a_backup_that_fails_midway_leaves_no_file_and_the_catalogue_as_it_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=FullDisk, **options))
    with pytest.raises(CatalogueOpenError, match=r"no backup of .* could be made.*No space left"):
        migrate_catalogue(f"sqlite:///{file}")
    monkeypatch.undo()
    assert rows_of(f"sqlite:///{file}", "SELECT version FROM schema_versions") == [(1,)]
    assert [path for path in file.parent.iterdir() if "layout-1" in path.name or "backup" in path.name] == []


def test_a_server_s_database_is_migrated_only_where_a_backup_is_named(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    copy_tables(create_engine(f"sqlite:///{LAYOUT_1}"), create_engine(postgres_url))
    with pytest.raises(CatalogueOpenError, match=r"make a backup .* start once with --migrate"):
        migrate_catalogue(postgres_url)
    assert rows_of(postgres_url, "SELECT version FROM schema_versions") == [(1,)]
    caplog.set_level(logging.INFO)
    migrate_catalogue(postgres_url, BACKUP)
    assert BACKUP in caplog.text
    assert BACKUP in str(rows_of(postgres_url, "SELECT reason FROM events WHERE kind = 'migrate'"))


# --- crashes and company ----------------------------------------------------------------------------------------------


def test_a_crash_in_the_middle_leaves_the_old_layout_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables_of(url)

    def crash(*_arguments: object, **_options: object) -> None:
        raise OperationalError("INSERT", {}, Exception("the power went"))

    monkeypatch.setattr(migrating, "write_event", crash)
    with pytest.raises(CatalogueOpenError, match="the power went"):
        migrate_catalogue(url, BACKUP)
    assert tables_of(url) == before
    monkeypatch.undo()
    migrate_catalogue(url, BACKUP)
    assert open_catalogue(url).counts().photos == 11


MIGRATE = """
import sys
from pipeline.catalogue.migrating import migrate_catalogue
from pipeline.catalogue.sql_store import open_catalogue
sys.stdin.readline()
migrate_catalogue(sys.argv[1], "backup")
print(open_catalogue(sys.argv[1]).head().version)
"""


def test_of_processes_that_migrate_at_once_one_does_it(url: str, tmp_path: Path) -> None:
    command, pipe = [sys.executable, "-c", MIGRATE, url], subprocess.PIPE
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["12"] * 3
    assert len(list(tmp_path.glob("catalogue.layout-1*.sqlite"))) <= 1


def test_migrations_are_found_from_any_folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    migrate_catalogue(f"sqlite:///{file}")
    assert open_catalogue(f"sqlite:///{file}").changes_since(EMPTY).added

"""The commands about a database as a whole: what they print, and the status that scripts go by."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from pipeline.admin.command_line import main
from pipeline.catalogue.migrating import migrate_catalogue
from pipeline.catalogue.sql_store import SqlCatalogue, found_layout, open_catalogue
from pipeline.records import Actor
from tests.confirming import confirm, word

Captured = pytest.CaptureFixture[str]
MARIA = Actor("azores", "Maria")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(file: Path) -> Iterator[SqlCatalogue]:
    opened = open_catalogue(f"sqlite:///{file}")
    catalogue = SqlCatalogue(opened.database, opened.id, clock=lambda: datetime(2026, 7, 1, tzinfo=UTC))
    confirm(catalogue, [word("a"), word("b", "VERGIL")])
    catalogue.confirm([word("c", "VERGIL")], MARIA)
    yield catalogue
    catalogue.close()


def run(file: Path, *arguments: str) -> int:
    return main(["--catalogue-url", f"sqlite:///{file}", *arguments])


def test_a_check_says_that_all_is_well_or_what_is_wrong(catalogue: SqlCatalogue, file: Path, capsys: Captured) -> None:
    assert run(file, "check") == 0
    assert capsys.readouterr().out == "all is well\n"
    with catalogue.database.writing() as connection:
        connection.exec_driver_sql("UPDATE names SET name = 'NERO' WHERE name = 'VERGIL'")
    assert run(file, "check") == 3
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("error: default: log: names ")
    assert last == "1 errors, 0 notes"
    assert run(file, "check", "--json") == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], [finding["kind"] for finding in said["findings"]]) == (False, ["log"])


def test_a_check_by_a_config_file_notes_weights_that_are_gone(
    catalogue: SqlCatalogue, file: Path, tmp_path: Path, capsys: Captured
) -> None:
    arguments = {"catalogue_url": f"sqlite:///{file}", "models_dir": str(Path("models/demo").absolute())}
    config = tmp_path / "serve_config.yaml"
    config.write_text(yaml.safe_dump({"applications": [{"name": "whale_vision", "args": arguments}]}))
    assert main(["--config", str(config), "check"]) == 0
    assert "note: default: unknown_model: 3 embeddings are by weights m1" in capsys.readouterr().out


def test_usage_counts_what_there_is_and_who_spoke_in_which_month(
    catalogue: SqlCatalogue, file: Path, capsys: Captured
) -> None:
    assert run(file, "usage", "--json") == 0
    usage = json.loads(capsys.readouterr().out)
    (held,) = usage["catalogues"]
    counted = ("name", "individuals", "annotations", "embeddings", "provisional", "embedding_bytes")
    assert [held[column] for column in counted] == ["default", 2, 3, 3, 0, 3 * 2 * 8]
    assert usage["size_bytes"] == file.stat().st_size or usage["size_bytes"] > 0
    assert [(each["actor"]["name"], each["month"], each["events"]) for each in usage["activity"]] == [
        ("Maria", "2026-07", 1),
        ("local user", "2026-07", 1),
    ]
    assert run(file, "usage") == 0
    assert "2026-07" in capsys.readouterr().out


def test_a_backup_is_restored_by_its_folder(
    catalogue: SqlCatalogue, file: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = str(tmp_path / "backups" / "monday")
    (tmp_path / "backups").mkdir()
    assert run(file, "backup", folder) == 0
    assert "default: version 2, 3 rows of annotations" in capsys.readouterr().out
    confirm(catalogue, [word("later", "NERO")])
    assert run(file, "restore", folder) == 1
    assert "1 later events" in capsys.readouterr().err
    assert run(file, "restore", folder, "--discard-newer") == 0
    said = capsys.readouterr().out
    assert "what it replaced is" in said
    assert "tokens and grants are those of the backup" in said
    assert catalogue.head().version == 2
    assert run(file, "backup", folder) == 1
    assert "no backup is overwritten" in capsys.readouterr().err


def test_a_database_is_backed_up_before_it_is_migrated_and_goes_back_to_its_layout(
    file: Path, tmp_path: Path, capsys: Captured
) -> None:
    shutil.copyfile(Path(__file__).parents[1] / "catalogue" / "layout3.sqlite", file)
    assert run(file, "check") == 1
    assert run(file, "backup", str(tmp_path / "backup")) == 0
    migrate_catalogue(f"sqlite:///{file}")
    assert run(file, "check") == 0
    assert run(file, "restore", str(tmp_path / "backup")) == 1
    assert run(file, "restore", str(tmp_path / "backup"), "--discard-newer") == 0
    assert "it has layout 3: the start command brings it up to date" in capsys.readouterr().out
    assert found_layout(f"sqlite:///{file}") == 3

"""The commands of whoever looks after the database: what they change, print and refuse."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.admin.command_line import main
from pipeline.catalogue.people import open_people
from pipeline.catalogue.scope import digest
from pipeline.catalogue.sql_store import make_catalogue
from pipeline.records import Actor
from pipeline.rights import Right

MAYA, OLE = Actor("WDC", "Maya"), Actor("BAS", "Ole")

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make_catalogue(url)
    return url


def run(url: str, command: str, *arguments: str) -> int:
    return main(["--catalogue-url", url, *command.split(), *arguments])


def first_admin(url: str) -> None:
    """Say what docs/rights.md says."""
    assert run(url, "users add Maya --institution WDC") == 0
    assert run(url, "catalogues add azores --institution WDC --admin Maya", "--species", "sperm whale") == 0
    assert run(url, "tokens add Maya --institution WDC", "--label", "Maya's laptop") == 0


def listed(url: str, capsys: Captured, command: str) -> list[dict[str, str]]:
    capsys.readouterr()
    assert run(url, command, "--json") == 0
    entries: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return entries


def test_the_first_admin_gets_a_catalogue_and_a_token_that_is_shown_once(url: str, capsys: Captured) -> None:
    first_admin(url)
    (token,) = capsys.readouterr().out.split()
    people = open_people(url)
    assert people.owner(digest(token)) == MAYA
    assert {name: held.right for name, held in people.standing(MAYA).held.items()} == {"azores": Right.ADMIN}
    (entry,) = listed(url, capsys, "tokens list")
    assert entry["sha256"] == digest(token)[:12]
    assert (entry["institution"], entry["name"], entry["label"], entry["revoked"]) == (
        "WDC",
        "Maya",
        "Maya's laptop",
        "",
    )
    assert token not in json.dumps(entry)


def test_tokens_are_revoked_and_expire(url: str, capsys: Captured) -> None:
    first_admin(url)
    capsys.readouterr()
    assert run(url, "tokens add Maya --institution WDC --label field --days 30") == 0
    token = digest(capsys.readouterr().out.strip())
    assert run(url, "tokens revoke", token[:12]) == 0
    assert capsys.readouterr().out == f"revoked {token[:12]}\n"
    assert open_people(url).owner(token) is None
    (entry,) = [each for each in listed(url, capsys, "tokens list") if each["label"] == "field"]
    assert entry["expires"]
    assert entry["revoked"]


def test_grants_of_institutions_and_roles_of_users(url: str, capsys: Captured) -> None:
    first_admin(url)
    assert run(url, "users add Ole --institution BAS") == 0
    assert run(url, "grants give view --catalogue azores --institution BAS --place coarse") == 0
    assert run(url, "grants give confirm --catalogue azores --institution BAS --user Ole") == 0
    assert listed(url, capsys, "grants list --catalogue azores") == [
        {"catalogue": "azores", "institution": "BAS", "user": "Ole", "right": "confirm", "place": "exact"},
        {"catalogue": "azores", "institution": "WDC", "user": "Maya", "right": "admin", "place": "exact"},
        {"catalogue": "azores", "institution": "BAS", "user": "(all)", "right": "view", "place": "coarse"},
    ]
    assert run(url, "grants revoke --catalogue azores --institution BAS --user Ole") == 0
    assert open_people(url).standing(OLE).held["azores"].right is Right.VIEW
    assert run(url, "grants revoke --catalogue azores --institution BAS") == 0
    assert open_people(url).standing(OLE).held == {}


def test_lists_are_tables_for_people(url: str, capsys: Captured) -> None:
    assert run(url, "users add", "[red]Maya", "--institution", "WDC", "--program") == 0
    assert run(url, "users list") == 0
    assert run(url, "catalogues list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["WDC", "[red]Maya", "program"] in lines
    assert ["default", "default"] in lines


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("tokens add Vera --institution WDC --label x", "'WDC' has no user 'Vera'"),
        ("tokens add Maya --institution WDC --label x --days 0", "--days: must be 1 or more"),
        ("tokens revoke 00000000", "no tokens have a sha256 that begins with 00000000"),
        ("users add Maya --institution WDC --program", "is a person"),
        ("catalogues add a/b --institution WDC --admin Maya", "name: a catalogue's has"),
        ("grants give view --catalogue absent --institution WDC", "there is no catalogue 'absent'"),
        ("grants give admin --catalogue azores --institution WDC", "admin is for its people"),
        ("grants revoke --catalogue azores --institution WDC --user Maya", "would have no admin"),
    ],
)
def test_what_cannot_be_done_is_said(url: str, capsys: Captured, command: str, named: str) -> None:
    first_admin(url)
    assert run(url, command) == 1
    assert named in capsys.readouterr().err


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, capsys: Captured) -> None:
    assert run(f"sqlite:///{tmp_path}/absent.sqlite", "users list") == 1
    assert "there is no catalogue at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_config_file_says_which_database(url: str, tmp_path: Path, capsys: Captured) -> None:
    config = tmp_path / "serve_config.yaml"
    config.write_text(f"applications:\n  - args: {{catalogue_url: '{url}'}}\n")
    assert main(["--config", str(config), "catalogues", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "default", "institution": "default", "species": ""}]
    assert main(["--config", str(tmp_path / "absent.yaml"), "catalogues", "list"]) == 1
    assert "absent.yaml: there is no such file" in capsys.readouterr().err


def test_it_runs_as_a_program(url: str) -> None:
    command = [sys.executable, "-m", "pipeline.admin", "--catalogue-url", url, "users", "list"]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

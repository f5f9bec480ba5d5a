"""Who may do what, as programs and commands ask for it and show it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.client import (
    BadAnswerError,
    CatalogueEntry,
    Client,
    ClientOptions,
    InstitutionGrant,
    Member,
    Members,
)
from pipeline.client.command_line import main
from pipeline.protocol.reading import read_message
from tests.unit.client.scripted_server import ScriptedServer, served_in_a_thread

QUICK = ClientOptions(connect_s=0.3, reconnect_s=2.0, first_delay_s=0.005, longest_delay_s=0.02)
AZORES = {"name": "azores", "version": 3, "individuals": 60, "photos": 714, "institution": "WDC"}
AZORES |= {"species": "sperm whale", "right": "admin", "place": "exact", "default": True}
GEORGIA = {"name": "georgia", "institution": "BAS", "species": None, "right": "match", "place": "none"}
GEORGIA |= {"default": False}
MEMBERS = {
    "members": [{"institution": "WDC", "user": "Maya", "kind": "person", "right": "admin"}],
    "grants": [{"institution": "BAS", "right": "view", "place": "coarse"}],
}
READ = Members((Member("WDC", "Maya", "person", "admin"),), (InstitutionGrant("BAS", "view", "coarse"),))

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.delenv("WHALE_VISION_TOKEN", raising=False)
    with served_in_a_thread(ScriptedServer()) as scripted:
        yield scripted


def asked(server: ScriptedServer) -> dict[str, Any]:
    """Return the last request, which the real server could read."""
    request = server.requests[-1]
    read_message(request, request["id"])
    return {name: value for name, value in request.items() if name != "id"}


def test_catalogues_are_read_with_what_the_client_may_do(server: ScriptedServer) -> None:
    server.answers = {"catalogues": [{"catalogues": [AZORES, GEORGIA]}]}
    with Client(server.url, options=QUICK) as client:
        found = client.rights.catalogues()
    assert found == (
        CatalogueEntry("azores", "WDC", "sperm whale", "admin", "exact", True, 3, 60, 714),
        CatalogueEntry("georgia", "BAS", None, "match", "none", False, None, None, None),
    )


def test_rights_are_given_and_taken(server: ScriptedServer) -> None:
    server.answers = {"members": [MEMBERS], "grant": [MEMBERS, MEMBERS], "revoke": [MEMBERS]}
    with Client(server.url, options=QUICK) as client:
        assert client.rights.members("azores") == READ
        assert asked(server) == {"type": "members", "catalogue": "azores"}
        assert client.rights.grant("view", "BAS", place="coarse", catalogue="azores") == READ
        given = {"type": "grant", "institution": "BAS", "right": "view", "place": "coarse", "catalogue": "azores"}
        assert asked(server) == given
        client.rights.grant("confirm", "WDC", "Vera")
        assert asked(server) == {"type": "grant", "institution": "WDC", "user": "Vera", "right": "confirm"}
        assert client.rights.revoke("WDC", "Vera") == READ
        assert asked(server) == {"type": "revoke", "institution": "WDC", "user": "Vera"}


def test_a_catalogue_is_made(server: ScriptedServer) -> None:
    server.answers = {"catalogue_create": [AZORES]}
    with Client(server.url, options=QUICK) as client:
        assert client.rights.create("azores", "sperm whale").photos == 714
    assert asked(server) == {"type": "catalogue_create", "name": "azores", "species": "sperm whale"}


def test_an_answer_of_another_release_is_named(server: ScriptedServer) -> None:
    server.answers = {"members": [{"users": []}]}
    with Client(server.url, options=QUICK) as client, pytest.raises(BadAnswerError, match="answer to members"):
        client.rights.members()


def run(server: ScriptedServer, command: str, *arguments: str) -> int:
    return main(["rights", command, "--server", server.url, "--wait", "0.3", *arguments])


def test_the_commands_list_catalogues(server: ScriptedServer, capsys: Captured) -> None:
    server.answers = {"catalogues": [{"catalogues": [AZORES, GEORGIA]}] * 2}
    assert run(server, "catalogues") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "azores (your own) WDC sperm whale admin exact 3 60 714" in lines
    assert "georgia BAS match none" in lines
    assert run(server, "catalogues", "--json") == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["azores", "georgia"]


def test_the_commands_give_and_take_rights(server: ScriptedServer, capsys: Captured) -> None:
    server.answers = {"grant": [MEMBERS], "revoke": [MEMBERS], "members": [MEMBERS]}
    assert run(server, "grant", "view", "BAS", "--place", "coarse") == 0
    assert asked(server) == {"type": "grant", "institution": "BAS", "right": "view", "place": "coarse"}
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "BAS (all) view coarse" in lines
    assert run(server, "revoke", "WDC", "--user", "Vera", "--catalogue", "azores") == 0
    assert asked(server) == {"type": "revoke", "institution": "WDC", "user": "Vera", "catalogue": "azores"}
    assert run(server, "members", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == MEMBERS


def test_what_the_server_refuses_is_said(server: ScriptedServer, capsys: Captured) -> None:
    server.refusals, server.answers = ["no_such_catalogue"], {"members": []}
    assert run(server, "members") == 1
    assert "refused (no_such_catalogue)" in capsys.readouterr().err

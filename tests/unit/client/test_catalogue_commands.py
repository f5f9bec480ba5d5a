"""The commands about the catalogue: what they ask for, print and return."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.client.command_line import main
from tests.unit.client.scripted_server import ScriptedServer, served_in_a_thread
from tests.unit.client.test_catalogue import CHANGED, DANTE, EVENT, PAIR, PROPOSED, VERGIL, page, proposals

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.delenv("WHALE_VISION_TOKEN", raising=False)
    with served_in_a_thread(ScriptedServer()) as scripted:
        yield scripted


def run(server: ScriptedServer, command: str, *arguments: object) -> int:
    return main(["catalogue", command, "--server", server.url, "--wait", "0.3", *map(str, arguments)])


def test_individuals_are_listed_with_the_state_to_decide_on(server: ScriptedServer, capsys: Captured) -> None:
    server.answers = {
        "individuals": [page(DANTE | {"note": "[red]notch"}, after="[1]"), page(VERGIL, after=None, total=None)]
    }
    assert run(server, "individuals", "--search", "d", "--body-part", "fluke") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "1 Dante D1 male 2 0 [red]notch" in lines
    assert lines[-1] == "2 of 2, in state 1:a"
    assert [request["limit"] for request in server.requests] == [1000, 1000]


def test_a_list_may_be_cut_short(server: ScriptedServer, capsys: Captured) -> None:
    server.answers = {"individuals": [page(DANTE, VERGIL, after="[3]")]}
    assert run(server, "individuals", "--limit", 1) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2, in state 1:a"
    assert server.requests[0]["limit"] == 1


def test_lists_are_given_as_json(server: ScriptedServer, capsys: Captured) -> None:
    server.answers = {"individuals": [page(DANTE, after=None)]}
    assert run(server, "individuals", "--json", "--catalogue", "fjord") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"head": {"version": 1, "nonce": "a"}, "total": 2, "entries": [DANTE]}
    assert server.requests[0]["catalogue"] == "fjord"


def test_history_says_who_said_what(server: ScriptedServer, capsys: Captured) -> None:
    event = EVENT | {"version": 7, "reason": "twice", "undoes": 6, "undone_by": 8}
    head = {"version": 8, "nonce": "a"}
    server.answers = {"history": [{"head": head, "events": [event], "next": None, "total": 1}] * 2}
    assert run(server, "history", "--individual", 1) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "Maria" in line]
    assert " ".join(line.split()) == "7 2026-07-01 12:00:00 Maria (azores) undo 6 (undone by 8) twice"
    assert run(server, "history", "--json") == 0
    assert json.loads(capsys.readouterr().out)["entries"] == [event]


def test_pairs_that_may_be_one_are_told_the_likeliest_first(server: ScriptedServer, capsys: Captured) -> None:
    far = PAIR | {"ratio": 0.9, "individuals": [each | {"name": "Bice"} for each in PAIR["individuals"]]}
    data = {"head": {"version": 8, "nonce": "a"}, "pairs": [far, PAIR], "next": None, "total": None}
    server.answers = {"suggest_merges": [data]}
    assert run(server, "suggest-merges", "--within", 1.5, "--body-part", "fluke") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    told = [line for line in lines if "spread" in line and "fluke" in line]
    assert told[0] == "Dante (1; 3, spread 0.500) Durante (9; 1) fluke 0.250 0.50"
    assert told[1].endswith("0.90")
    assert lines[-1] == "2, in state 8:a"
    assert (server.requests[0]["within"], server.requests[0]["bodyPart"]) == (1.5, "fluke")


def test_annotations_say_who_they_show_and_who_says_so(server: ScriptedServer, capsys: Captured) -> None:
    annotation = {"id": 5, "source_key": "path:a", "animal": 2, "body_part": "fluke", "path": "a.jpg", "side": None}
    annotation |= {"quality": None, "encounter": 9, "individual": 1, "name": "Dante", "reviewed": False}
    annotation |= {"verdict": None, "confidence": None, "models": ["abc"]}
    unsure = annotation | {"individual": None, "name": None, "verdict": "unsure", "confidence": "blurred", "animal": 1}
    head = {"version": 8, "nonce": "a"}
    server.answers = {"review": [{"head": head, "annotations": [annotation, unsure], "next": None, "total": 2}]}
    assert run(server, "review", "--encounter", 9) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "a.jpg" in line]
    assert rows == [
        ["5", "a.jpg", "(animal", "2)", "fluke", "Dante", "(1)", "a", "guess", "9"],
        ["5", "a.jpg", "fluke", "unsure,", "blurred", "9"],
    ]
    assert server.requests[0]["encounter"] == 9


def test_an_individual_is_shown_with_its_encounters(server: ScriptedServer, capsys: Captured) -> None:
    place = {"latitude": 38.5, "longitude": -28.6, "uncertainty_m": 50, "locality": "Faial", "observer": "Maria"}
    encounter = {"id": 9, "sighting": 8, "annotations": [5, 6], "begins_at": "2026-07-01T14:05:00", "ends_at": None}
    head = {"version": 8, "nonce": "a"}
    answer = {"head": head, "individual": DANTE, "merged": [3], "encounters": [encounter | place]}
    server.answers = {"individual": [answer] * 2}
    assert run(server, "individual", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if "Faial" in line]
    assert " ".join(row.split()) == "9 8 5, 6 2026-07-01 14:05:00 Faial, 38.5, -28.6 (within 50 m) Maria"
    assert "merged into it: 3" in lines
    assert run(server, "individual", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out) == answer


def test_proposed_sightings_are_listed_and_then_what_has_no_date(server: ScriptedServer, capsys: Captured) -> None:
    encounters = [{"annotations": [5, 8], "individual": 1}, {"annotations": [9], "individual": None}]
    server.answers = {"propose_sightings": [proposals(PROPOSED | {"encounters": encounters}, undated=True)] * 2}
    assert run(server, "propose-sightings", 5, 8, 9, 11, "--gap-min", 45) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[3:5] == [
        "1 2026-07-01 14:05:00 2026-07-01 14:20:00 -60 min 38.5, -28.6 (within 50 m) 1 5, 8 1 14",
        "2 9",
    ]
    assert "11 a.jpg" in lines
    assert lines[-1] == "2 of 2, in state 1:a"
    asked = {"type": "propose_sightings", "annotations": [5, 8, 9, 11], "gap_min": 45, "limit": 1000}
    assert server.requests == [asked | {"id": "1"}]
    assert run(server, "propose-sightings", "--json") == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert entries == [PROPOSED | {"encounters": encounters}, {"annotation": 11, "path": "a.jpg"}]
    assert "annotations" not in server.requests[1]


def test_clocks_are_shown(server: ScriptedServer, capsys: Captured) -> None:
    server.answers = {"propose_sightings": [proposals()] * 2}
    assert run(server, "clocks") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "time zone: Atlantic/Azores; longest gap in a sighting: 30 min"
    assert {"Canon 60", "Nikon"} <= set(lines)
    assert run(server, "clocks", "--json") == 0
    clocks = {"timezone": "Atlantic/Azores", "gap_min": 30, "cameras": {"Canon": 60, "Nikon": None}}
    assert json.loads(capsys.readouterr().out) == clocks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("decide", "match", 5, 8, "--individual", 1),
            {
                "type": "decide",
                "decisions": [{"annotation": each, "verdict": "match", "individual": 1} for each in (5, 8)],
            },
        ),
        (
            ("decide", "new", 5, "--name", "Bice", "--confidence", "certain"),
            {
                "type": "decide",
                "decisions": [{"annotation": 5, "verdict": "new", "name": "Bice", "confidence": "certain"}],
            },
        ),
        (("rename", 1, "Durante", "--keep"), {"type": "rename", "individual": 1, "name": "Durante", "keep": True}),
        (
            ("alias", 1, "--add", "D1", "--add", "D2", "--remove", "D3"),
            {"type": "aliases", "individual": 1, "add": ["D1", "D2"], "remove": ["D3"]},
        ),
        (("merge", 1, 3, 5), {"type": "merge", "into": 1, "others": [3, 5]}),
        (("split", 5, 8, "--name", "Bice"), {"type": "split", "annotations": [5, 8], "name": "Bice"}),
        (("move", 5, 8, "--encounter", 9), {"type": "move", "annotations": [5, 8], "encounter": 9}),
        (
            ("move", 5, 8, "--set", "begins_at=2026-07-01T14:05:00", "--set", "latitude=38.5"),
            {
                "type": "move",
                "annotations": [5, 8],
                "values": {"begins_at": "2026-07-01T14:05:00", "latitude": 38.5},
            },
        ),
        (
            ("settings", "timezone=Atlantic/Azores", "gap_min=45"),
            {"type": "describe", "values": {"timezone": "Atlantic/Azores", "gap_min": 45}},
        ),
        (
            ("clock", "Canon, Canon EOS R5", -3600),
            {"type": "describe", "camera": "Canon, Canon EOS R5", "values": {"clock_s": -3600}},
        ),
        (("clock", "Canon", "none"), {"type": "describe", "camera": "Canon", "values": {"clock_s": None}}),
        (("remove", 5), {"type": "remove", "annotations": [5]}),
        (
            ("describe", "sighting", 8, "begins_at=2026-07-01T14:05:00", "latitude=38.5", "locality="),
            {
                "type": "describe",
                "sighting": 8,
                "values": {"begins_at": "2026-07-01T14:05:00", "latitude": 38.5, "locality": None},
            },
        ),
        (("undo", 7), {"type": "undo", "version": 7}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_changes_are_asked_for(
    server: ScriptedServer, capsys: Captured, arguments: tuple[Any, ...], message: dict[str, Any]
) -> None:
    server.answers = {message["type"]: [CHANGED] * 2}
    options = ("--known", "1:a", "--reason", "seen", "--key", "k", "--catalogue", "fjord")
    assert run(server, *arguments, *options) == 0
    said = {"known": {"version": 1, "nonce": "a"}, "reason": "seen", "key": "k", "catalogue": "fjord", "id": "1"}
    assert server.requests == [message | said]
    assert capsys.readouterr().out.splitlines() == ["new individuals: 57", "done; the catalogue is in state 2:b"]
    assert run(server, *arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out) == CHANGED
    assert not {"known", "reason", "catalogue"} & server.requests[1].keys()


def test_a_refused_change_says_why(server: ScriptedServer, capsys: Captured) -> None:
    server.answers, server.refusals = {"undo": []}, ["undo_blocked"]
    assert run(server, "undo", 7, "--json") == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "refused (undo_blocked): refused: undo_blocked\n")


def test_without_a_server_the_exit_code_says_so(capsys: Captured) -> None:
    assert main(["catalogue", "individuals", "--server", "ws://127.0.0.1:1", "--wait", "0.1"]) == 3
    assert "gave no answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("individual", "Dante"),
        ("individual", 0),
        ("split", 5),
        ("split", 5, "--name", "Bice", "--individual", 1),
        ("describe", "sighting", 8, "latitude"),
        ("describe", "sighting", 8, "latitude=north"),
        ("describe", "whale", 8, "name=x"),
        ("undo", 7, "--known", "latest"),
        ("merge", 1),
        ("move", 5, "--set", "latitude"),
        ("settings", "gap_min=1.5"),
        ("settings",),
        ("clock", "Canon"),
        ("clock", "Canon", "1.5"),
        ("propose-sightings", "a.jpg"),
        ("propose-sightings", "--gap-min", 0),
    ],
)
def test_wrong_arguments_ask_for_nothing(server: ScriptedServer, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        run(server, *arguments)
    assert left.value.code == 2
    assert server.requests == []

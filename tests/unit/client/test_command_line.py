"""The command line: what it prints, writes and returns."""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.client import command_line, output
from pipeline.client.command_line import main
from tests.unit.client.scripted_server import ScriptedServer, served_in_a_thread

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with served_in_a_thread(ScriptedServer()) as scripted:
        yield scripted


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three photos, as the current one; photos are known to the server by their absolute paths."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WHALE_VISION_TOKEN", raising=False)
    for name in ("a.jpg", "b.jpg", "trip/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"photo " + name.encode())
    return tmp_path


def run(server: ScriptedServer, *arguments: object) -> int:
    command, *others = map(str, arguments)
    return main([command, "--server", server.url, "--wait", "0.3", *others])


def test_identify_prints_candidates_with_distances(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    assert run(server, "identify", "trip", "b.jpg") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [request["fileNames"] for request in server.requests if "fileNames" in request] == [
        [str(photos / "trip" / "c.jpg"), str(photos / "b.jpg")]
    ]
    (row,) = [number for number, line in enumerate(lines) if str(photos / "b.jpg") in line]
    assert lines[row].split()[1:] == ["fluke", "PMOD001_DANTE", "0.339"]
    assert lines[row + 1].split() == ["Unknown", "1.000"]
    assert lines[row + 2].split() == ["PMOD002", "1.250"]
    assert any("lower is more alike" in line for line in lines)
    assert any('below "Unknown" are too far' in line for line in lines)


def test_top_bounds_the_candidates(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    assert run(server, "identify", "a.jpg", "--top", "1") == 0
    out = capsys.readouterr().out
    assert "PMOD001_DANTE" in out
    assert "Unknown" not in out


def test_photos_that_fail_are_listed_with_why(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    server.failures = {str(photos / "b.jpg"): ["no_animal"]}
    assert run(server, "identify", photos) == 1
    out = capsys.readouterr().out
    assert "1 without an answer" in out
    (line,) = [line for line in out.splitlines() if "no_animal!" in line]
    assert line.split() == [str(photos / "b.jpg"), "no_animal", "no_animal!"]


def test_csv_has_a_row_for_each_candidate(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    server.failures = {str(photos / "b.jpg"): ["unreadable"]}
    assert run(server, "identify", photos, "--csv", "out.csv", "--top", "2") == 1
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(r["path"]).name, r["rank"], r["individual"], r["distance"], r["error_code"]) for r in rows] == [
        ("a.jpg", "1", "PMOD001_DANTE", "0.339", ""),
        ("a.jpg", "2", "Unknown", "1.0", ""),
        ("b.jpg", "", "", "", "unreadable"),
        ("c.jpg", "1", "PMOD001_DANTE", "0.339", ""),
        ("c.jpg", "2", "Unknown", "1.0", ""),
    ]
    first = rows[0]
    assert (first["body_part"], first["x_min_px"], first["y_max_px"], first["score"]) == ("fluke", "1.0", "40.0", "0.9")
    assert (first["model"], len(first["sha256"]), first["animal"], first["index"]) == ("abc12345", 64, "1", "0")
    assert rows[2]["error_message"] == "unreadable!"
    assert "PMOD001_DANTE" not in capsys.readouterr().out
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b.jpg", "out.csv", "trip"]


def test_candidates_of_several_catalogues_are_told_apart(
    server: ScriptedServer, photos: Path, capsys: Captured
) -> None:
    several = ("--catalogue", "azores", "--catalogue", "madeira")
    assert run(server, "identify", "a.jpg", *several) == 0
    out = capsys.readouterr().out
    assert "Dante (azores)" in out
    assert "Dante (madeira)" in out
    assert server.requests[-1]["catalogues"] == ["azores", "madeira"]
    assert run(server, "identify", "a.jpg", *several, "--csv", "out.csv") == 0
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        told = [(row["individual"], row["catalogue"]) for row in csv.DictReader(file)]
    assert told == [("Dante", "azores"), ("Dante", "madeira"), ("Bice", "azores"), ("Unknown", "")]
    assert run(server, "identify", "a.jpg", "--catalogue", "azores") == 0
    assert server.requests[-1]["catalogue"] == "azores"
    assert "catalogues" not in server.requests[-1]


def test_csv_is_replaced_whole_or_not_at_all(
    server: ScriptedServer, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    Path("out.csv").write_text("before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.os, "fsync", fail)
    assert run(server, "identify", "a.jpg", "--csv", "out.csv") == 4
    assert Path("out.csv").read_text() == "before"
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b.jpg", "out.csv", "trip"]


def test_json_has_everything_and_nothing_else_on_the_output(
    server: ScriptedServer, photos: Path, capsys: Captured
) -> None:
    server.failures = {str(photos / "b.jpg"): ["unreadable"]}
    assert run(server, "identify", photos, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["server"] == server.url
    good, bad, _ = answer["photos"]
    assert good["embedding"] == [0.6, 0.8]
    assert good["box_xyxy_px"] == [1.0, 2.0, 30.5, 40.0]
    assert good["candidates"][0] == {"individual": "PMOD001_DANTE", "distance": 0.339}
    assert (good["error"], good["path"]) == (None, str(photos / "a.jpg"))
    assert (bad["error"], bad["candidates"]) == ({"code": "unreadable", "message": "unreadable!"}, [])


def test_references_and_filters_are_asked_for_and_stand_in_the_json(
    server: ScriptedServer, photos: Path, capsys: Captured
) -> None:
    asked = ["--references", 2, "--side", "left", "--from", "2015-01-01", "--until", "2020-12-31"]
    places = ["--box=-1,2,3,4.5", "--around", "0,1.5,1000", "--body-part", "fluke"]
    assert run(server, "identify", "a.jpg", "--json", *asked, *places) == 0
    (answer,) = json.loads(capsys.readouterr().out)["photos"]
    assert answer["candidates"][0]["number"] == 41
    assert answer["candidates"][0]["references"][1] == {"annotation": 45, "distance": 0.358, "encounter": None}
    assert (answer["individuals"], answer["ranking"]) == (57, "{}.signed")
    (request,) = (request for request in server.requests if request["type"] == "identify")
    assert request["references"] == 2
    assert request["filters"] == {
        "bodyPart": "fluke",
        "side": "left",
        "from": "2015-01-01",
        "until": "2020-12-31",
        "box": {"south": -1, "west": 2, "north": 3, "east": 4.5},
        "around": {"latitude": 0, "longitude": 1.5, "radius_m": 1000},
    }


@pytest.mark.parametrize(
    ("option", "text", "reason"),
    [
        ("--from", "1.1.2015", "must be a day, as 2015-06-30"),
        ("--box", "1,2,3", "must be 4 numbers with commas between them"),
        ("--around", "a,b,c", "must be 3 numbers with commas between them"),
        ("--references", "0", "is not a number of 1 or more"),
    ],
)
def test_filters_that_cannot_be_read_are_named(option: str, text: str, reason: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["identify", "a.jpg", option, text])
    assert reason in capsys.readouterr().err


def test_upload_sends_the_photos(server: ScriptedServer, photos: Path) -> None:
    assert run(server, "identify", "a.jpg", "missing.jpg", "--upload") == 1
    assert server.contents == {"a.jpg": b"photo a.jpg"}


def test_all_animals_are_told_apart(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    server.animals = {str(photos / "a.jpg"): 2}
    assert run(server, "identify", "a.jpg", "--animals", "all") == 0
    assert f"{photos / 'a.jpg'} (animal 2)" in capsys.readouterr().out


def test_names_are_shown_as_they_are(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    Path("[red]x[bold].jpg").write_bytes(b"x")
    assert run(server, "identify", "[red]x[bold].jpg") == 0
    assert "[red]x[bold].jpg" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text exist on Linux only")
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv", "out.csv"]])
def test_names_that_are_not_text_do_no_harm(server: ScriptedServer, photos: Path, form: list[str]) -> None:
    name = os.fsdecode(b"\xe9.jpg")
    Path(name).write_bytes(b"x")
    server.failures = {str(photos / name): ["no_animal"]}
    assert run(server, "identify", name, *form) == 1
    if "out.csv" in form:
        assert b"/\xe9.jpg," in Path("out.csv").read_bytes()


def test_many_photos_are_identified_as_they_come(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    for number in range(150):
        (photos / "trip" / f"{number:03}.jpg").write_bytes(b"x")
    assert run(server, "identify", "trip", "--json") == 0
    answered = [Path(photo["path"]).name for photo in json.loads(capsys.readouterr().out)["photos"]]
    assert answered == [*(f"{number:03}.jpg" for number in range(150)), "c.jpg"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["identify"],
        ["identify", "empty"],
        ["identify", "a.jpg", "--top", "0"],
        ["identify", "a.jpg", "--csv", "nowhere/out.csv"],
        ["identify", "a.jpg", "--csv", "empty"],
        ["identify", "a.jpg", "--csv", "out.csv", "--json"],
        ["identify", "a.jpg", "--token-file", "missing"],
        ["identify", "a.jpg", "--token-file", "empty.txt"],
        ["confirm", "a.jpg", "Unknown"],
        ["confirm", "a.jpg", "  "],
        ["confirm", "empty", "NOVA"],
        ["enroll", "a.jpg"],
        ["enroll", "."],
        ["sing"],
    ],
)
def test_wrong_usage_is_told_before_the_server_is_asked(
    server: ScriptedServer, photos: Path, arguments: list[str], capsys: Captured
) -> None:
    Path("empty").mkdir()
    Path("empty.txt").touch()
    try:
        code = run(server, *arguments)
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    assert code == 2
    assert capsys.readouterr().err
    assert server.tokens == []


def test_token_comes_from_a_file_or_the_environment(
    server: ScriptedServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("token").write_text("from-file\n")
    run(server, "identify", "a.jpg")
    monkeypatch.setenv("WHALE_VISION_TOKEN", "from-environment")
    run(server, "identify", "a.jpg")
    run(server, "identify", "a.jpg", "--token-file", "token")
    assert server.tokens == [None, "Bearer from-environment", "Bearer from-file"]


def test_a_server_that_refuses_or_is_away_is_told(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    server.statuses = [401]
    assert run(server, "identify", "a.jpg") == 3
    assert "give a valid token" in capsys.readouterr().err
    assert main(["identify", "a.jpg", "--server", "ws://127.0.0.1:1", "--wait", "0.2"]) == 3
    assert "Is the service running there?" in capsys.readouterr().err


def test_what_was_answered_before_the_server_was_lost_is_shown(
    server: ScriptedServer, photos: Path, capsys: Captured
) -> None:
    for number in range(100):
        (photos / "trip" / f"{number:03}.jpg").write_bytes(b"x")
    server.close_after = [(101 + 64 + 5, 1008)]
    assert run(server, "identify", "trip", "--json") == 3
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["photos"]) == 64
    assert "1008" in captured.err
    assert "37 of 101 photos were not answered" in captured.err


def test_enroll_confirms_each_folder_as_its_individual(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    for name in ("known/NOVA/1.jpg", "known/NOVA/2.jpg", "known/CRUX/1.jpg", "known/CRUX/bad.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    known = photos / "known"
    server.failures = {str(known / "CRUX" / "bad.jpg"): ["no_animal"]}
    assert run(server, "enroll", "known") == 1
    assert server.confirmed == {
        str(known / "CRUX" / "1.jpg"): "CRUX",
        str(known / "NOVA" / "1.jpg"): "NOVA",
        str(known / "NOVA" / "2.jpg"): "NOVA",
    }
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["CRUX", "1", "1", "fluke"] in rows
    assert ["NOVA", "2", "2", "fluke"] in rows
    assert [str(known / "CRUX" / "bad.jpg"), "no_animal", "no_animal!"] in rows


def test_enroll_names_photos_that_look_like_another_individual(
    server: ScriptedServer, photos: Path, capsys: Captured
) -> None:
    for name in ("known/NOVA/1.jpg", "known/PMOD001_DANTE/2.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    assert run(server, "enroll", "known") == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("please check")]
    assert len(warnings) == 1
    assert "enrolled as NOVA, yet nearest to PMOD001_DANTE (distance 0.339)" in warnings[0]


@pytest.mark.parametrize(
    "typed", ["pmod001_dante", " PMOD001_Dante", "PMOD001 _DANTE", "ＰＭＯＤ００１_DANTE", "PMOD001_DANTE\u200b"]
)
def test_a_name_spelled_otherwise_is_shown_as_the_server_spells_it(
    server: ScriptedServer, photos: Path, capsys: Captured, typed: str
) -> None:
    assert run(server, "confirm", "a.jpg", typed) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("please check")] == []
    assert ["PMOD001_DANTE", "1", "1", "fluke"] in [line.split() for line in lines]


def test_confirm_adds_one_photo(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    assert run(server, "confirm", "a.jpg", " NOVA ") == 0
    assert server.confirmed == {str(photos / "a.jpg"): "NOVA"}
    assert ["NOVA", "1", "1", "fluke"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_confirmation_that_is_refused_adds_nothing(server: ScriptedServer, photos: Path, capsys: Captured) -> None:
    server.failures = {str(photos / "a.jpg"): ["no_animal"]}
    assert run(server, "confirm", "a.jpg", "NOVA") == 1
    assert "Added" not in capsys.readouterr().out


def test_interrupt_cancels_the_request_and_says_so(server: ScriptedServer, photos: Path) -> None:
    server.delay_s = 30.0
    command = [sys.executable, "-m", "pipeline.client", "identify", "--server", server.url, str(photos)]
    repository = Path(__file__).parents[3]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=repository) as process:
        deadline = time.monotonic() + 20
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.strip() == "interrupted"
    assert server.cancelled == ["1"]


def test_help_documents_the_exit_codes(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        main(["identify", "--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0
    assert [f"  {code} " in out for code in (0, 1, 2, 3, 4, 130)] == [True] * 6


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of all commands, and of those below them."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)


def test_the_documentation_names_every_option_exit_code_and_column() -> None:
    text = (Path(__file__).parents[3] / "docs" / "client.md").read_text(encoding="utf-8")
    options = set(options_of(command_line.parser()))
    assert [name for name in sorted(options - {"-h", "--help"}) if f"`{name}" not in text] == []
    assert [code for code in (0, 1, 2, 3, 4, 130) if f"| {code} |" not in text] == []
    assert ", ".join(output.CSV_COLUMNS) in " ".join(text.split())

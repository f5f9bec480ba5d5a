"""The benchmark of real photos, on small drawn ones."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.real_photos import main, make_row, place_table, read_card, score_table
from pipeline.model_files import ModelFolder
from training.evaluation.comparison import by_thumbnail
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.protocols import Roles, given_roles
from training.photos.records import LabelledPhoto

KNOWN = {"ANNA": [0.0, 0.0], "BERT": [1.0, 0.0], "CLEO": [4.0, 0.0]}
ASKED = {"ANNA": [0.2, 0.0], "BERT": [4.1, 0.0], "CLEO": [3.0, 0.0]}
"""Anna's query is nearest to Anna; Bert's to Cleo (0.1), then to Bert (3.1): second; Cleo's to Cleo (1)."""


@pytest.fixture
def toy() -> tuple[Roles, dict[LabelledPhoto, EmbeddedPhoto]]:
    spots = {
        LabelledPhoto(Path(f"{split}/{name}.png"), name, "fin", split=split): spot
        for split, all_spots in (("catalogue", KNOWN), ("query", ASKED))
        for name, spot in all_spots.items()
    }
    embedded = {one: EmbeddedPhoto(one, np.array(spot, dtype=np.float32)) for one, spot in spots.items()}
    return given_roles(list(spots), 1), embedded


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if not line.startswith("|-")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_row_holds_places_and_scores(toy: tuple[Roles, dict[LabelledPhoto, EmbeddedPhoto]]) -> None:
    roles, embedded = toy
    row = make_row("toy", embedded, roles)
    assert row.places.tolist() == [1, 2, 1]
    assert row.scores.top1.value == pytest.approx(2 / 3)
    assert (row.scores.top1.low, row.scores.top1.high) == (0.0, 1.0)  # all three draws are Bert in 1 of 27
    assert row.scores.top5.value == 1.0


def test_scores_stand_beside_guessing_and_random_weights(
    toy: tuple[Roles, dict[LabelledPhoto, EmbeddedPhoto]],
) -> None:
    roles, embedded = toy
    good = make_row("good", embedded, roles)
    swapped = {  # Anna's query lies where Cleo's reference is, and the other way round: one of the three is right
        one: EmbeddedPhoto(one, np.array({"ANNA": [4, 0], "BERT": [1, 0], "CLEO": [0, 0]}[one.individual], np.float32))
        if one.split == "query"
        else done
        for one, done in embedded.items()
    }
    bad = make_row("bad", swapped, roles)
    rows = cells(score_table(roles, [good, bad], [good]))
    assert rows[0] == ["compared by", "top-1", "top-5"]
    assert rows[1] == ["guessing", "0.333", "1.000"]
    assert rows[2] == [
        "narrow ResNet, random weights: mean of 2 seeds (least to greatest)",
        "0.500 (0.333 to 0.667)",
        "1.000 (1.000 to 1.000)",
    ]
    assert rows[3] == ["good", "0.667 [0.000, 1.000]", "1.000 [1.000, 1.000]"]


def test_places_are_told_query_by_query(toy: tuple[Roles, dict[LabelledPhoto, EmbeddedPhoto]]) -> None:
    roles, embedded = toy
    table = place_table(roles, [make_row("toy", embedded, roles)])
    assert cells(table) == [
        ["place of the right one among 3", "toy"],
        ["ANNA", "1"],
        ["BERT", "2"],
        ["CLEO", "1"],
    ]


def test_thumbnails_are_ranked_by_correlation(toy: tuple[Roles, dict[LabelledPhoto, EmbeddedPhoto]]) -> None:
    roles, embedded = toy
    ramp = np.tile(np.arange(32, dtype=np.uint8), (32, 1))
    pictures = {"ANNA": ramp, "BERT": ramp.T, "CLEO": ramp[:, ::-1]}
    seen = {one: EmbeddedPhoto(one, thumbnail=pictures[one.individual] * 2 + 20) for one in embedded}
    assert make_row("thumbnails", seen, roles, by_thumbnail).places.tolist() == [1, 1, 1]


def card(weights: Path, content: bytes) -> None:
    record = {
        "title": "Embedder of fins",
        "sha256": hashlib.sha256(content).hexdigest(),
        "architecture": "resnet18",
        "input size px": 224,
        "recipe": {"initial weights": "random"},
        "run": {"photos seen": 1200},
    }
    weights.with_suffix(".json").write_text(json.dumps(record))


def test_the_card_names_the_network(tmp_path: Path) -> None:
    weights = tmp_path / "fins.pth"
    weights.write_bytes(b"weights")
    card(weights, b"weights")
    read = read_card(weights)
    assert read.text == "Embedder of fins; initial weights: random; 1200 photos seen"
    assert (read.architecture, read.input_size_px) == ("resnet18", 224)


def test_without_a_card_of_these_weights_the_network_is_the_narrow_one(tmp_path: Path) -> None:
    weights = tmp_path / "fins.pth"
    weights.write_bytes(b"weights")
    assert read_card(weights).text == "no model card (fins.json) beside it"
    card(weights, b"other weights")
    assert read_card(weights).text == "fins.json beside it is of other weights"
    weights.with_suffix(".json").write_text("[]")
    assert read_card(weights).text == "fins.json beside it is no model card"
    assert (read_card(weights).architecture, read_card(weights).input_size_px) == ("narrow_resnet", 128)


def draw(file: Path, centre_px: int, light: int) -> None:
    image = Image.new("RGB", (96, 64), (20 + light, 60 + light, 90 + light))
    ImageDraw.Draw(image).polygon([(centre_px - 15, 60), (centre_px, 8), (centre_px + 20, 60)], fill=(light,) * 3)
    image.save(file)


def test_the_command_prints_a_row_for_everything_that_is_compared(
    tmp_path: Path, narrow_folder: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, centre_px in (("anna", 20), ("bert", 70)):
        draw(tmp_path / f"{name}.png", centre_px, 0)
        draw(tmp_path / f"{name}-2.png", centre_px, 30)
    rows = ["anna.png,ANNA,catalogue", "bert.png,BERT,catalogue", "anna-2.png,ANNA,query", "bert-2.png,BERT,query"]
    (tmp_path / "labels.csv").write_text("\n".join(["path,individual_id,role", *rows, ""]))
    weights = narrow_folder.embedder_file("fluke")
    arguments = ["--labels", str(tmp_path / "labels.csv"), "--weights", str(weights), "--seeds", "2", "--threads", "1"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "2 queries of 2 individuals, 2 individuals in the catalogue with one photo each" in printed
    assert "One query more or less is 0.50" in printed
    names = [row[0] for row in cells(printed) if len(row) == 3]
    assert names[1:5] == [
        "guessing",
        "narrow ResNet, random weights: mean of 2 seeds (least to greatest)",
        f"`{weights}`",
        "32x32 thumbnails, correlation",
    ]
    assert ["32x32 thumbnails, correlation", "1.000 [1.000, 1.000]", "1.000 [1.000, 1.000]"] in cells(printed)


def test_what_is_wrong_is_an_error_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--labels", str(tmp_path / "labels.csv")]) == 1
    assert "labels.csv: cannot be read" in capsys.readouterr().err

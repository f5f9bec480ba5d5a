"""Model cards, curves and the options that recipes are made of."""

import argparse
import hashlib
import json

import pytest

from training.embedder.options import add_network, add_recipe, part_of, recipe_of
from training.embedder.recipe import DEFAULT, SEED
from training.runs.card import CardFacts, write_card
from training.runs.curve import draw_curve
from training.runs.loop import RunResult
from training.runs.options import add_run, budget_of
from training.runs.progress import progress_bar, write_progress
from training.runs.task import Evaluation

HISTORY = [
    {"step": 5, "photos": 40, "loss": 0.9, "learning_rate": 0.002},
    {"step": 5, "photos": 40, "round": 1, "score": 0.5, "top1": 0.5},
]


@pytest.fixture
def card(tmp_path):
    weights = tmp_path / "pm_fluke.pth"
    weights.write_bytes(b"weights")
    facts = CardFacts(
        "Embedder of flukes",
        weights,
        "narrow_resnet",
        128,
        {"training": "40 photos"},
        {"loss": "multi_similarity"},
        "python -m training.train_embedder --data dataset/fluke",
        {"top1": "top-1"},
        "CC BY 4.0",
        "For identifying.",
        ["Bo", "Ada"],
    )
    final = Evaluation(0.5, {"top1": 0.5, "auroc": float("nan")}, {"top1": (0.25, 0.75)})
    result = RunResult(final, "score", HISTORY, "finished", 40, 90.0, True, 1, 718008)
    return write_card(facts, result, tmp_path / "curve.png")


def test_the_card_for_people_has_scores_with_intervals_licence_and_command(card):
    text = card[0].read_text()
    assert "| top-1 | 0.500 | 0.250 to 0.750 |" in text
    assert "| auroc | not to be had |  |" in text
    assert "Licence of the weights: CC BY 4.0." in text
    assert "python -m training.train_embedder --data dataset/fluke" in text
    assert "| minutes | 1.5 |" in text


def test_the_card_for_programs_is_json_without_nan(card):
    record = json.loads(card[1].read_text(), parse_constant=lambda name: pytest.fail(name))
    assert record["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert record["scores"] == {"top1": 0.5, "auroc": None}
    assert record["training individuals"] == ["Ada", "Bo"]
    assert record["software"]["torch"]


def test_the_curve_is_a_picture(tmp_path):
    draw_curve(tmp_path / "curve.png", HISTORY, "title", "score")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_bar_begins_where_a_resumed_run_begins(tmp_path, capsys):
    with progress_bar(tmp_path / "progress.json", "run"):
        write_progress(tmp_path / "progress.json", 40, 80, "loss 0.9000")
    assert "40/80" in capsys.readouterr().err


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    for add in (add_network, add_recipe, add_run):
        add(parser)
    return parser.parse_args(arguments)


def test_the_default_recipe_is_changed_one_thing_at_a_time():
    assert recipe_of(parsed()) == DEFAULT
    assert not recipe_of(parsed("--no-augmentation")).augmentation
    assert recipe_of(parsed("--no-augmentation")).loss == DEFAULT.loss
    assert recipe_of(parsed("--loss", "batch_hard")).sampler == "classes"
    assert recipe_of(parsed("--learning-rate", "0.01")).optimisation.learning_rate == 0.01


def test_the_seed_recipe_is_the_originals():
    recipe = recipe_of(parsed("--recipe", "seed"))
    assert recipe == SEED
    assert (recipe.loss, recipe.sampler, recipe.augmentation) == ("triplet", "triplets", False)
    assert (recipe.optimisation.name, recipe.optimisation.learning_rate) == ("adam", 1e-3)
    assert (recipe.optimisation.schedule, recipe.optimisation.weight_decay) == ("constant", 0.0)


def test_photos_take_the_place_of_minutes():
    assert budget_of(parsed()).minutes == 25.0
    assert (budget_of(parsed("--photos", "9")).photos, budget_of(parsed("--photos", "9")).minutes) == (9, None)


def test_the_input_size_follows_the_architecture():
    assert part_of(parsed(), "fluke").input_size_px == 128
    assert part_of(parsed("--architecture", "resnet101"), "fluke").input_size_px == 224
    assert part_of(parsed("--input-size", "96"), "fluke").input_size_px == 96

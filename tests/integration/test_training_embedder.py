"""Training an embedder by its command: killed and resumed on Ray Train, against an undisturbed run; then in service."""

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline.model_files import BodyPartSpec, SegmenterSpec, load_model_folder
from pipeline.networks.architectures import NARROW_DETECTOR, NARROW_EMBEDDER, build_detector, build_embedder
from pipeline.networks.embedding import EmbeddingNetwork
from tests.integration.alone import run_alone
from training.embedder import training
from training.models_yaml import write_part, write_segmenter
from training.runs.state import RunState
from training.synthetic.__main__ import main as synthetic
from training.train_embedder import main

ROOT = Path(__file__).parents[2]
PATIENCE_S = 250
"""Ray needs half a minute to start, several on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    size = ["--size", "240x160", "--parts", "fluke", "--photos", "4"]
    synthetic(["dataset", str(folder), "--individuals", "14", "--holdout", "6", *size])
    return folder


def command(photos, out, *more):
    data = ["--data", str(photos / "dataset/fluke"), "--holdout", str(photos / "holdout/fluke")]
    length = ["--photos", "800", "--rounds", "10", "--patience", "0", "--precision", "float32"]
    return [*data, "--out", str(out), "--validation-share", "0.3", "--classes", "4", *length, *more]


@contextmanager
def started(photos, out, log):
    line = [sys.executable, "-m", "training.train_embedder", *command(photos, out)]
    with log.open("w") as errors, subprocess.Popen(line, cwd=ROOT, stderr=errors) as process:
        try:
            yield process
        finally:
            process.kill()  # Ray's processes notice it by themselves


def wait_for_checkpoint(process, file, log):
    end = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def last_loss(out):
    records = [json.loads(line) for line in (out / "pm_fluke_history.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "loss" in record][-1]


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """A models folder whose fluke embedder the trainer made, in this process."""
    out = tmp_path_factory.mktemp("models")
    detector = SegmenterSpec(architecture=NARROW_DETECTOR, labels=("fluke", "flank"))
    flank = BodyPartSpec.model_validate({"name": "flank", "architecture": NARROW_EMBEDDER})
    torch.save(build_detector(detector).state_dict(), out / detector.file)
    torch.save(build_embedder(flank).state_dict(), out / flank.file)
    write_segmenter(out, detector)
    write_part(out, flank)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", run_alone)
        assert main(command(photos, out)) == 0
    return out


@pytest.mark.serve
@pytest.mark.slow
def test_a_killed_training_resumes_to_the_result_of_an_undisturbed_one(photos, trained, tmp_path):
    out, log = tmp_path / "killed", tmp_path / "log"
    checkpoint = out / "runs/pm_fluke/checkpoint.pt"
    with started(photos, out, log) as first:
        wait_for_checkpoint(first, checkpoint, log)
    left = RunState.read(checkpoint)
    assert not left.ended

    with started(photos, out, log) as second:
        assert second.wait(PATIENCE_S) == 0, log.read_text()
    ended = RunState.read(checkpoint)
    assert (ended.ended, ended.step) == ("finished", 50)
    assert ended.history[: len(left.history)] == left.history
    assert last_loss(out) == pytest.approx(last_loss(trained), rel=0.02)
    whole = RunState.read(trained / "runs/pm_fluke/checkpoint.pt")
    assert [one["photos"] for one in ended.history] == [one["photos"] for one in whole.history]


def test_the_weights_load_in_the_service_and_embed_as_trained(photos, trained):
    folder = load_model_folder(trained)
    assert folder.body_part_names == ("flank", "fluke")
    network = EmbeddingNetwork(folder, "fluke", backend="torch")
    crop = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    answer = network.embed([crop])[0]
    assert np.linalg.norm(answer.values) == pytest.approx(1.0, abs=1e-5)
    assert torch.load(trained / "pm_fluke.pth")["fc.0.weight"].shape == (128, 192)


def test_only_the_trained_parts_block_of_models_yaml_changes(trained):
    document = yaml.safe_load((trained / "models.yaml").read_text())
    assert [(part["name"], part.get("input_size_px", 224)) for part in document["body_parts"]] == [
        ("flank", 224),
        ("fluke", 128),
    ]
    assert document["segmenter"]["labels"] == ["fluke", "flank"]


def test_the_card_names_data_scores_with_intervals_and_the_weights_hash(trained):
    card = json.loads((trained / "pm_fluke.json").read_text())
    assert card["sha256"].startswith(load_hash(trained))
    assert card["data"]["training"] == "40 photos of 10 individuals, 30 encounters"
    assert len(card["training individuals"]) == 10
    low, high = card["intervals 95 %"]["holdout_top1"]
    assert 0.0 <= low <= card["scores"]["holdout_top1"] <= high <= 1.0
    text = (trained / "pm_fluke.md").read_text()
    assert re.search(r"\| sha256 \| `[0-9a-f]{64}` \|", text)
    assert "pm_fluke_curve.png" in text
    assert (trained / "pm_fluke_curve.png").read_bytes().startswith(b"\x89PNG")


def load_hash(folder):
    return EmbeddingNetwork(load_model_folder(folder), "fluke", backend="torch").model


def test_another_recipe_in_the_same_folder_is_refused(photos, trained, capsys):
    assert main(command(photos, trained, "--recipe", "seed")) == 1
    said = capsys.readouterr().err
    assert "recipe" in said
    assert "--restart" in said


def test_missing_initial_weights_are_refused_before_anything_starts(photos, tmp_path, capsys):
    assert main(command(photos, tmp_path, "--init", str(tmp_path / "none.pth"))) == 1
    assert "no such file of initial weights" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()

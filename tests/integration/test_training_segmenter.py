"""Training a detector by its command: killed and resumed on Ray Train, against an undisturbed run; then in service."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.model_files import BodyPartSpec, load_model_folder
from pipeline.networks.segmentation import SegmentationNetwork
from tests.integration.alone import run_alone
from training import evaluate_segmenter
from training.models_yaml import read_detector_folder, write_part
from training.runs.state import RunState
from training.segmenter import training
from training.segmenter.squashed import SquashedPhotos
from training.synthetic.__main__ import main as synthetic
from training.train_segmenter import main

ROOT = Path(__file__).parents[2]
SIDE = 96
PATIENCE_S = 250
"""Ray needs half a minute to start, several on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    size = ["--size", "240x160"]
    synthetic(["coco", str(folder / "data"), "--photos", "36", "--individuals", "18", "--empty", "6", *size])
    synthetic(["coco", str(folder / "holdout"), "--photos", "8", "--population", "holdout", "--empty", "2", *size])
    return folder


def command(photos, out, *more):
    data = ["--data", str(photos / "data/coco.json"), "--holdout", str(photos / "holdout/coco.json")]
    length = ["--photos", "240", "--rounds", "10", "--patience", "0", "--input-size", str(SIDE)]
    length += ["--precision", "float32"]  # what is chosen by the clock may differ from run to run
    return [*data, "--out", str(out), "--validation-share", "0.25", *length, *more]


@contextmanager
def started(photos, out, log):
    line = [sys.executable, "-m", "training.train_segmenter", *command(photos, out)]
    with log.open("w") as said, subprocess.Popen(line, cwd=ROOT, stdout=said, stderr=said) as process:
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
    records = [json.loads(line) for line in (out / "segmentation_history.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "loss" in record][-1]


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """A models folder whose detector was trained in this process, undisturbed."""
    out = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", run_alone)
        assert main(command(photos, out)) == 0
    return out


@pytest.mark.serve
@pytest.mark.slow
def test_a_killed_training_resumes_to_the_result_of_an_undisturbed_one(photos, trained, tmp_path):
    out, log = tmp_path / "killed", tmp_path / "log"
    checkpoint = out / "runs/segmentation/checkpoint.pt"
    with started(photos, out, log) as first:
        wait_for_checkpoint(first, checkpoint, log)
    left, whole = RunState.read(checkpoint), RunState.read(trained / "runs/segmentation/checkpoint.pt")
    assert not left.ended

    with started(photos, out, log) as second:
        assert second.wait(PATIENCE_S) == 0, log.read_text()
    ended = RunState.read(checkpoint)
    assert (ended.ended, ended.step) == ("finished", 30)
    assert ended.bfloat16 == left.bfloat16
    assert ended.history[: len(left.history)] == left.history
    assert [one["photos"] for one in ended.history] == [one["photos"] for one in whole.history]
    assert last_loss(out) == pytest.approx(last_loss(trained), rel=0.02)


def test_the_weights_load_in_the_service_with_the_threshold_that_was_chosen(trained):
    folder = read_detector_folder(trained)
    card = json.loads((trained / "segmentation.json").read_text())
    assert folder.segmenter.score_threshold == card["scores"]["score threshold"]
    assert (folder.segmenter.labels, folder.segmenter.input_size_px) == (("fluke", "flank"), SIDE)
    network = SegmentationNetwork(folder, backend="torch")
    assert card["sha256"].startswith(network.model)
    pictures = SquashedPhotos(next((trained / "runs/segmentation").glob("holdout-*")))
    answer = network.detect([pictures.picture(0)])[0]
    assert answer.model == network.model


def test_the_folder_is_whole_for_the_service_once_it_has_embedders(trained):
    for name in ("fluke", "flank"):
        part = BodyPartSpec.model_validate({"name": name})
        write_part(trained, part)
        (trained / part.file).touch()
    assert load_model_folder(trained).segmenter == read_detector_folder(trained).segmenter


def test_the_card_tells_data_choice_and_scores(trained):
    card = (trained / "segmentation.md").read_text()
    assert "# Detector of flukes and flanks" in card
    assert "bootstrap over photos" in card
    assert "Score threshold 0." in card
    assert "holdout: AP50" in card
    assert "segmentation_curve.png" in card
    assert (trained / "segmentation_curve.png").stat().st_size > 0


def test_the_evaluation_prints_what_the_card_says_of_the_holdout(photos, trained, tmp_path, capsys):
    report = tmp_path / "report.json"
    data = ["--models", str(trained), "--data", str(photos / "holdout/coco.json"), "--json", str(report)]
    assert evaluate_segmenter.main([*data, "--backend", "torch"]) == 0
    scores = json.loads(report.read_text())["scores"]
    card = json.loads((trained / "segmentation.json").read_text())["scores"]
    for name in ("AP50", "mAP", "animals missed", "empty photos with a box"):
        assert scores[name]["value"] == pytest.approx(card[f"holdout {name}"], abs=1e-3)
    assert "none of" in capsys.readouterr().out  # the individuals are others than the training's


def test_bad_data_is_reported_at_once_and_nothing_is_trained(photos, tmp_path, capsys):
    document = json.loads((photos / "data/coco.json").read_text())
    document["annotations"][0]["bbox"] = [500.0, 0.0, 50.0, 50.0]
    document["images"][-1]["file_name"] = "images/gone.jpg"
    broken = tmp_path / "coco.json"
    broken.write_text(json.dumps(document))
    out = tmp_path / "out"
    assert main(["--data", str(broken), "--images", str(photos / "data"), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert "boxes outside their photo: 1" in said
    assert "unreadable photos: 1" in said
    assert not out.exists()

"""How good an embedder is: spread, validation, and where its weights begin."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pipeline.model_files import BodyPartSpec
from pipeline.networks.architectures import NarrowResNet, build_embedder
from training.embedder.initial_weights import check_initial_weights, load_fitting_weights
from training.embedder.spread import measure_spread, stop_if_collapsed
from training.embedder.validation import Validation
from training.errors import CollapsedError, InitialWeightsError
from training.photos.records import LabelledPhoto
from training.photos.splits import split_encounters
from training.runs.initial_weights import initial_weights_file

NARROW = BodyPartSpec.model_validate({"name": "fluke", "architecture": "narrow_resnet"})


def test_spread_of_known_points():
    spread = measure_spread(np.eye(4, dtype=np.float32))
    assert spread.mean_distance == pytest.approx(2**0.5)
    assert spread.effective_rank == pytest.approx(3.0)  # four corners of a tetrahedron span three directions
    stop_if_collapsed(spread)


def test_equal_embeddings_are_a_dead_run():
    rows = np.tile(np.array([[1.0, 0.0, 0.0]], dtype=np.float32), (5, 1))
    assert measure_spread(rows).mean_distance == 0.0
    with pytest.raises(CollapsedError, match="--learning-rate"):
        stop_if_collapsed(measure_spread(rows))


def test_two_poles_are_a_dead_run_however_far_apart():
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]] * 4, dtype=np.float32)
    assert measure_spread(rows).effective_rank == pytest.approx(1.0)
    with pytest.raises(CollapsedError, match=r"1\.0 directions"):
        stop_if_collapsed(measure_spread(rows))


def seen(individuals, encounters, each=2):
    return [
        LabelledPhoto(Path(f"{name}-{encounter}-{number}.jpg"), name, "fluke", encounter=f"{name}{encounter}")
        for name in individuals
        for encounter in range(encounters)
        for number in range(each)
    ]


def test_perfect_embeddings_score_one_and_random_ones_near_chance():
    photos = seen([f"i{number:02d}" for number in range(30)], 3)
    validation = Validation(photos, seed=1)
    perfect = np.eye(30, dtype=np.float32)[[int(photo.individual[1:]) for photo in photos]]
    assert validation.scores(perfect).top1 == 1.0
    assert validation.scores(perfect).auroc == 1.0
    noise = np.random.default_rng(0).normal(size=(len(photos), 32)).astype(np.float32)
    random = validation.scores(noise / np.linalg.norm(noise, axis=1, keepdims=True))
    assert random.top1 < 0.2
    assert 0.3 < random.auroc < 0.7
    assert random.score == pytest.approx((random.top1 + random.auroc) / 2)


def test_an_encounter_is_never_on_both_sides():
    photos = seen(["a", "b"], 2)
    # each encounter looks like itself and like nothing else: with it on both sides, recognition would be perfect
    by_encounter = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3, 3]]
    scores = Validation(photos, seed=1).scores(by_encounter)
    assert scores.top1 < 1.0
    assert np.isnan(scores.auroc)
    assert scores.score == scores.top1


def answers_by_loops(photos, rows, seed):
    """Every query compared with the mean of its gallery's first three photos, one at a time: (right, near), near."""
    place = {photo: index for index, photo in enumerate(photos)}
    split = split_encounters(photos, 3, round(len({photo.individual for photo in photos}) / 3), seed)
    gallery = {}
    for photo in split.gallery:
        gallery.setdefault(photo.label, []).append(rows[place[photo]].astype(np.float64))
    means = {name: np.mean(taken[:3], axis=0) for name, taken in gallery.items()}

    def answer(photo):
        far = {name: np.linalg.norm(rows[place[photo]] - mean) for name, mean in means.items()}
        best = min(far, key=far.get)
        return photo.label, best == photo.label, far[best]

    return [answer(photo) for photo in split.queries], [answer(photo) for photo in split.unknown]


def top1_and_auroc(known, unknown):
    far = [distance for _, _, distance in (*known, *unknown)]
    auroc = roc_auc_score([0] * len(known) + [1] * len(unknown), far)
    return np.mean([right for _, right, _ in known]), auroc


def redrawn(answers, generator):
    names = sorted({name for name, _, _ in answers})
    drawn = generator.integers(len(names), size=len(names))
    return [one for number in drawn for one in answers if one[0] == names[number]]


@pytest.mark.parametrize(("seed", "sides"), [(0, (None,)), (5, ("left", "right"))])
def test_scores_and_intervals_are_those_of_photos_repeated_one_by_one(seed, sides):
    """The same draws, counted the long way, with scikit-learn's area."""
    photos = [
        replace(photo, side=sides[number % len(sides)])
        for number, photo in enumerate(seen([f"i{number:02d}" for number in range(15)], 3))
    ]
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(15, 8))
    rows = np.array([centres[int(photo.individual[1:])] for photo in photos]) + generator.normal(size=(len(photos), 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    validation = Validation(photos, seed)
    trials = [answers_by_loops(photos, rows, seed + number) for number in range(5)]
    top1, auroc = np.mean([top1_and_auroc(*trial) for trial in trials], axis=0)
    assert 0.1 < top1 < 0.95  # the comparison is not of trivial numbers
    scores = validation.scores(rows)
    assert (scores.top1, scores.auroc) == pytest.approx((top1, auroc), abs=1e-9)
    chance = np.random.default_rng(0)
    drawn = [
        top1_and_auroc(redrawn(known, chance), redrawn(unknown, chance))
        for _ in range(100)
        for known, unknown in trials
    ]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    intervals = validation.intervals(rows)
    assert intervals["top1"] == pytest.approx((low[0], high[0]), abs=1e-9)
    assert intervals["auroc"] == pytest.approx((low[1], high[1]), abs=1e-9)


def test_intervals_hold_the_score_and_narrow_with_more_individuals():
    widths = []
    for count in (12, 60):
        photos = seen([f"i{number:02d}" for number in range(count)], 2)
        rows = np.eye(count, dtype=np.float32)[[int(photo.individual[1:]) for photo in photos]]
        rows = rows + 0.5 * np.random.default_rng(1).normal(size=rows.shape).astype(np.float32)
        validation = Validation(photos, seed=1)
        low, high = validation.intervals(rows)["top1"]
        assert low <= validation.scores(rows).top1 <= high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_photos_without_encounters_count_as_one_each_and_it_is_said(caplog):
    photos = [LabelledPhoto(Path(f"{name}{number}.jpg"), name, "fluke") for name in "abcd" for number in range(4)]
    assert not Validation(photos, 1).encounters_known
    assert "optimistic" in caplog.text


def test_a_former_model_of_another_dimension_gives_all_but_its_head(tmp_path):
    former = build_embedder(NARROW.model_copy(update={"dimension": 64}))
    torch.save(former.state_dict(), tmp_path / "former.pth")
    network = build_embedder(NARROW)
    head = network.state_dict()["fc.0.weight"].clone()
    said = load_fitting_weights(network, tmp_path / "former.pth")
    assert said.endswith("random: fc.0.weight")
    assert torch.equal(network.state_dict()["conv1.weight"], former.state_dict()["conv1.weight"])
    assert torch.equal(network.state_dict()["fc.0.weight"], head)


def test_a_classifier_gives_its_trunk(tmp_path):
    classifier = NarrowResNet()  # its head is called fc, as in torchvision's ImageNet weights
    torch.save(classifier.state_dict(), tmp_path / "imagenet.pth")
    network = build_embedder(NARROW)
    load_fitting_weights(network, tmp_path / "imagenet.pth")
    assert torch.equal(network.state_dict()["layer4.0.conv1.weight"], classifier.state_dict()["layer4.0.conv1.weight"])


def test_weights_of_another_architecture_are_refused(tmp_path):
    other = build_embedder(BodyPartSpec.model_validate({"name": "fluke", "architecture": "resnet18"}))
    torch.save(other.state_dict(), tmp_path / "other.pth")
    with pytest.raises(InitialWeightsError, match="another architecture"):
        load_fitting_weights(build_embedder(NARROW), tmp_path / "other.pth")


def test_what_a_run_begins_with_is_said_before_it_starts(tmp_path, caplog):
    caplog.set_level("INFO")
    torch.save(build_embedder(NARROW).state_dict(), tmp_path / "former.pth")
    said = check_initial_weights(NARROW, tmp_path / "former.pth")
    assert re.fullmatch(r"(\d+) of \1 tensors from former\.pth \([0-9a-f]{12}\)", said)
    assert said in caplog.text
    assert check_initial_weights(NARROW, None) == "random"


def test_no_imagenet_weights_for_the_narrow_network():
    with pytest.raises(InitialWeightsError, match="resnet18"):
        initial_weights_file("imagenet", "narrow_resnet")


def test_a_download_without_network_says_where_the_file_belongs(tmp_path, monkeypatch):
    def no_network(*_args, **_options):
        raise URLError("no network here")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(
        InitialWeightsError, match=r"https://download.pytorch.org/models/resnet18.*checkpoints/resnet18"
    ):
        initial_weights_file("imagenet", "resnet18")

"""What an embedder learns from: classes, sides, mirror images, batches by number, triplets."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.embedder.classes import make_classes, may_mirror
from training.embedder.losses import build_loss
from training.embedder.recipe import DEFAULT, SEED
from training.embedder.sampling import BatchSampler
from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto


def photos(counts, body_part="fluke", sides=(None,)):
    return [
        LabelledPhoto(Path(f"{name}-{number}.jpg"), name, body_part, side=sides[number % len(sides)])
        for name, count in counts.items()
        for number in range(count)
    ]


SMALL = replace(DEFAULT, classes=4, photos_each=2)


def test_left_and_right_flanks_of_one_animal_are_two_classes_and_mirroring_makes_four():
    classes = make_classes(photos({"Ada": 4}, "flank", ("left", "right")), "auto")
    assert classes.names == ("Ada (left)", "Ada (right)", "Ada (left) (mirrored)", "Ada (right) (mirrored)")
    assert classes.labels.tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert classes.photos.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert classes.mirrored.tolist() == [False] * 4 + [True] * 4


def test_flanks_of_unknown_side_are_never_mirrored():
    unknown = photos({"Ada": 2, "Bo": 2}, "flank")
    one_unknown = [*photos({"Cy": 2}, "flank", ("left",)), *unknown]
    assert not may_mirror(one_unknown)
    assert not make_classes(one_unknown, "auto").mirrored.any()


def test_a_mirrored_fluke_is_another_animal():
    classes = make_classes(photos({"Ada": 2, "Bo": 1}), "auto")
    assert classes.names == ("Ada", "Bo", "Ada (mirrored)", "Bo (mirrored)")
    assert make_classes(photos({"Ada": 2}), "never").names == ("Ada",)


def test_a_batch_holds_p_classes_of_k_photos():
    classes = make_classes(photos(dict.fromkeys("abcdefgh", 5)), "never")
    sampler = BatchSampler(classes, SMALL, seed=1)
    for number in (0, 63, 64, 200):
        counts = Counter(classes.labels[sampler.batch(number)].tolist())
        assert sorted(counts.values()) == [2, 2, 2, 2]


def test_batches_depend_on_seed_and_number_only():
    classes = make_classes(photos(dict.fromkeys("abcdefgh", 3)), "auto")
    forwards, backwards = BatchSampler(classes, SMALL, 1), BatchSampler(classes, SMALL, 1)
    there = {number: forwards.batch(number).tolist() for number in range(150)}
    back = {number: backwards.batch(number).tolist() for number in reversed(range(150))}
    assert there == back
    assert BatchSampler(classes, SMALL, 2).batch(0).tolist() != there[0]


def test_batches_of_one_number_are_the_same_whatever_ran_in_between():
    classes = make_classes(photos(dict.fromkeys("abcdefgh", 3)), "auto")
    sampler = BatchSampler(classes, SMALL, 1)
    first = sampler.batch(5).tolist()
    np.random.shuffle([1, 2, 3])  # the library draws from a generator that anybody may use
    for number in range(0, 640, 64):
        sampler.batch(number)
    assert sampler.batch(5).tolist() == first


def test_individuals_with_one_photo_are_negatives_only():
    classes = make_classes(photos({"a": 4, "b": 4, "c": 4, "d": 4, "single 1": 1, "single 2": 1}), "never")
    sampler = BatchSampler(classes, SMALL, 1)
    singles = {classes.names.index("single 1"), classes.names.index("single 2")}
    for number in range(20):
        counts = Counter(classes.labels[sampler.batch(number)].tolist())
        assert [counts[label] for label in singles] == [1, 1]
        assert sum(counts.values()) == 8


def test_fewer_classes_than_asked_for_still_fill_a_batch():
    classes = make_classes(photos({"a": 9, "b": 9}), "never")
    batch = BatchSampler(classes, SMALL, 1).batch(0)
    assert len(batch) == 8
    assert set(classes.labels[batch].tolist()) == {0, 1}


def test_one_individual_cannot_be_trained_on():
    classes = make_classes(photos({"a": 9, "b": 1}), "never")
    with pytest.raises(TrainingDataError, match="at least 2"):
        BatchSampler(classes, SMALL, 1)


def test_the_seed_recipe_draws_triplets_of_two_photos_of_one_and_one_of_another():
    classes = make_classes(photos({"a": 3, "b": 2, "c": 1}), "never")
    sampler = BatchSampler(classes, SEED, 1)
    assert SEED.batch_photos == 63
    for number in range(10):
        anchors, positives, negatives = np.split(sampler.batch(number), 3)
        assert (classes.labels[anchors] == classes.labels[positives]).all()
        assert (anchors != positives).all()
        assert (classes.labels[anchors] != classes.labels[negatives]).all()
        assert not (classes.labels[anchors] == classes.names.index("c")).any()


def test_the_seed_recipes_loss_is_the_triplet_margin_loss():
    rows = torch.nn.functional.normalize(torch.randn(9, 4, generator=torch.Generator().manual_seed(3)))
    anchors, positives, negatives = rows.chunk(3)
    gaps = (anchors - positives).norm(dim=1) - (anchors - negatives).norm(dim=1) + 1.0
    expected = gaps.clip(min=0)
    loss = build_loss(SEED)(rows, torch.arange(9))
    assert float(loss) == pytest.approx(float(expected[expected > 0].mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["multi_similarity", "triplet", "batch_hard", "contrastive", "supcon", "circle"])
def test_every_loss_prefers_individuals_apart_to_individuals_mixed(name):
    loss = build_loss(replace(DEFAULT, loss=name))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    noise = 0.05 * torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    apart = torch.nn.functional.normalize(torch.eye(8)[labels] + noise)
    mixed = torch.nn.functional.normalize(torch.eye(8)[torch.tensor([0, 1, 2, 0, 1, 2])] + noise)
    assert float(loss(apart, labels)) < float(loss(mixed, labels))

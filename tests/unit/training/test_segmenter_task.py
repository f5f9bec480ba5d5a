"""The detector as the training loop sees it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import UnavailableError
from pipeline.model_files import SegmenterSpec
from pipeline.networks.architectures import NARROW_DETECTOR
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.records import BoundingBox, Failure, UInt8Array
from training.models_yaml import read_detector_folder
from training.photos.records import BoxedPhoto, LabelledBox
from training.runs.task import Evaluation
from training.segmenter.augmentation import UNCHANGED, PhotoAugmentation
from training.segmenter.evaluation import detect, evaluate_detector
from training.segmenter.network import find
from training.segmenter.scores import BEST_RIGHT, MISSED
from training.segmenter.squashed import SquashedPhotos, squash_photos
from training.segmenter.task import DetectorBatch, DetectorSpec, DetectorTask, detect_squashed

SIDE, COUNT, BATCH = 64, 7, 3
LABELS = ("fluke", "flank")


def photo(folder: Path, grey: int) -> BoxedPhoto:
    """A photo whose grey tells which it is; every third one is empty."""
    path = folder / f"{grey}.png"
    Image.new("RGB", (128, 64), (grey, grey, grey)).save(path)
    boxes = (LabelledBox(BoundingBox(grey, 0.0, grey + 32.0, 32.0), LABELS[grey % 2]),)
    return BoxedPhoto(path, () if grey % 3 == 2 else boxes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("detector")


@pytest.fixture(scope="module")
def photos(folder: Path) -> list[BoxedPhoto]:
    return [photo(folder, grey) for grey in range(COUNT)]


@pytest.fixture(scope="module")
def spec(folder: Path, photos: list[BoxedPhoto]) -> DetectorSpec:
    squashed = folder / "squashed"
    squash_photos(photos, LABELS, SIDE, squashed, progress=False)
    segmenter = SegmenterSpec(architecture=NARROW_DETECTOR, labels=LABELS, input_size_px=SIDE)
    return DetectorSpec(folder / "out", segmenter, squashed, squashed, squashed, BATCH, augmentation=UNCHANGED)


@pytest.fixture(scope="module")
def exported(spec: DetectorSpec) -> tuple[DetectorTask, Evaluation]:
    """A detector of random weights in its models folder, with its final evaluation."""
    task = task_of(spec)
    task.network.eval()
    with torch.inference_mode():
        task.evaluate(task.network, final=False)
        final = task.evaluate(task.network, final=True)
    task.export(task.network)
    return task, final


def task_of(spec: DetectorSpec) -> DetectorTask:
    return spec.build(torch.device("cpu"))


def greys(batch: DetectorBatch) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in batch.pictures]


def test_every_photo_is_seen_once_before_any_is_seen_again(spec: DetectorSpec) -> None:
    task = task_of(spec)
    seen = [grey for number in range(COUNT) for grey in greys(task.batch(number))]  # 21 places: three epochs of 7
    epochs = [seen[start : start + COUNT] for start in range(0, 3 * COUNT, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3  # each in an order of its own


def test_batch_is_a_function_of_its_number(spec: DetectorSpec) -> None:
    varied = DetectorSpec(*(getattr(spec, name) for name in spec.__slots__[:7]), augmentation=PhotoAugmentation())
    first, again = task_of(varied).batch(4), task_of(varied)
    again.batch(0)
    second = again.batch(4)
    assert torch.equal(first.pictures, second.pictures)
    assert all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(first.targets, second.targets, strict=True))
    assert not torch.equal(first.pictures, again.batch(5).pictures)


def test_targets_are_those_of_the_pictures(spec: DetectorSpec) -> None:
    task = task_of(spec)
    for number in range(COUNT):
        batch = task.batch(number)
        assert batch.pictures.shape == (BATCH, 3, SIDE, SIDE)
        assert batch.pictures.dtype == torch.uint8
        for grey, target in zip(greys(batch), batch.targets, strict=True):
            # 128 x 64 becomes 64 x 64: x is halved.
            expected = [] if grey % 3 == 2 else [[grey / 2, 0.0, grey / 2 + 16.0, 32.0]]
            assert target["boxes"].tolist() == expected
            assert target["boxes"].shape[1] == 4
            assert target["labels"].tolist() == ([] if grey % 3 == 2 else [grey % 2 + 1])


def test_training_lowers_the_loss(spec: DetectorSpec) -> None:
    task = task_of(spec)
    task.network.train()
    optimiser = torch.optim.SGD(task.network.parameters(), lr=0.02)
    losses = []
    for step in range(8):
        torch.manual_seed(step)
        loss = task.loss(task.network, task.batch(0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_final_evaluation_scores_both_sets_and_export_ships_the_threshold(
    spec: DetectorSpec, exported: tuple[DetectorTask, Evaluation]
) -> None:
    _, final = exported
    assert 0.05 <= final.values["score threshold"] <= 0.95
    assert final.values[f"validation {MISSED}"] == final.values[f"holdout {MISSED}"]  # the same photos here
    assert f"holdout {BEST_RIGHT}" in final.intervals
    shipped = read_detector_folder(spec.out).segmenter
    assert shipped.score_threshold == final.values["score threshold"]
    assert shipped.labels == LABELS
    assert shipped.input_size_px == SIDE


class BrokenDetector:
    """Answers no picture."""

    def detect(self, pictures: list[UInt8Array]) -> list[Failure]:
        return [Failure("unavailable", "out of memory") for _ in pictures]


def test_a_detector_that_fails_stops_the_evaluation_with_its_reason(photos: list[BoxedPhoto]) -> None:
    with pytest.raises(UnavailableError, match=r"0\.png: out of memory"):
        detect(BrokenDetector(), SIDE, photos, progress=False)


def test_the_service_finds_what_training_found(
    spec: DetectorSpec, photos: list[BoxedPhoto], exported: tuple[DetectorTask, Evaluation]
) -> None:
    task, _ = exported
    with torch.inference_mode():
        ours = detect_squashed(task.network, SquashedPhotos(spec.training), LABELS)
        pictures = torch.from_numpy(np.stack([SquashedPhotos(spec.training).picture(0)])).permute(0, 3, 1, 2)
        assert len(find(task.network, pictures, LABELS)[0]) > 0
    folder = read_detector_folder(spec.out)
    network = SegmentationNetwork(folder, backend="torch")
    theirs = detect(network, SIDE, photos, progress=False)
    for one, other in zip(ours, theirs, strict=True):
        assert len(one.detections) == len(other.detections)
        for ours_, theirs_ in zip(one.detections[:3], other.detections[:3], strict=True):
            x_min, y_min, x_max, y_max = ours_.box.xyxy()  # in the square; x is half of the photo's
            assert theirs_.score == pytest.approx(ours_.score, abs=1e-4)
            assert theirs_.box.xyxy() == pytest.approx((2 * x_min, y_min, 2 * x_max, y_max), abs=0.1)
    report = evaluate_detector(folder, network, photos, progress=False)
    assert report.scores.photos == COUNT
    assert report.empty == 2
    assert report.as_json()["model"] == network.model
    assert "not known which individuals the detector was trained on" in str(report)

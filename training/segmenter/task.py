"""The detector on the shared loop: batches, loss, score, export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pipeline.model_files import SegmenterSpec
from pipeline.records import BoundingBox
from training.arrays import Int64Array
from training.models_yaml import write_segmenter
from training.photos.records import LabelledBox
from training.runs.state import write_weights
from training.runs.task import Evaluation
from training.scoring.intervals import Interval
from training.segmenter.augmentation import PhotoAugmentation, augment
from training.segmenter.initial_weights import load_detector_weights
from training.segmenter.matching import DetectedPhoto
from training.segmenter.network import build_network, find, total_loss
from training.segmenter.scores import AP50, MEAN_AP, BoxThresholds, DetectorScores, score_photos
from training.segmenter.squashed import SquashedPhotos
from training.segmenter.threshold import ThresholdChoice, choose_threshold

THRESHOLD = "score threshold"
FALSE_AT_CHOICE = "false boxes that the choice of the threshold counted"

_CHUNK = 8
"""Photos in one forward pass of an evaluation."""


@dataclass(frozen=True, slots=True)
class DetectorBatch:
    """Photos for one step.

    Attributes:
        pictures: (n, 3, s, s) uint8 RGB.
        targets: torchvision's, one a photo: boxes (k, 4) float32 in pixels, labels (k,) int64 from 1.
    """

    pictures: Tensor
    targets: tuple[dict[str, Tensor], ...]


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """What is trained, as Ray sends it to its workers.

    Attributes:
        out: the models folder.
        segmenter: architecture, labels, input size.
        training: folder of squashed photos.
        validation: likewise.
        holdout: likewise, looked at once, at the end; None without one.
        batch_photos: photos in a batch.
        seed: of order and augmentation.
        augmentation: how far photos are changed.
        initial: file of initial weights; None for random ones.
    """

    out: Path
    segmenter: SegmenterSpec
    training: Path
    validation: Path
    holdout: Path | None
    batch_photos: int
    seed: int = 1
    augmentation: PhotoAugmentation = field(default_factory=PhotoAugmentation)
    initial: Path | None = None

    def build(self, device: torch.device) -> "DetectorTask":
        """Open the photos and build the network; see `training.runs.task`."""
        return DetectorTask(self)


class DetectorTask:
    """One detector in training; see `training.runs.task.Task`."""

    score_name = "validation mAP"

    def __init__(self, spec: DetectorSpec) -> None:
        cv2.setNumThreads(1)  # batches are made in threads already
        torch.manual_seed(spec.seed)
        self.network: nn.Module = build_network(spec.segmenter)
        if spec.initial is not None:
            load_detector_weights(self.network, spec.initial)
        self._spec = spec
        self._training = SquashedPhotos(spec.training)
        self._validation = SquashedPhotos(spec.validation)
        self._choice: ThresholdChoice | None = None

    def batch(self, number: int) -> DetectorBatch:
        """Return one batch; every photo is seen once before any is seen again."""
        chance = np.random.default_rng([self._spec.seed, number])
        pictures, targets = [], []
        for place in self._places(number):
            picture, animals = augment(
                self._training.picture(place), self._training.animals(place), chance, self._spec.augmentation
            )
            pictures.append(torch.from_numpy(picture).permute(2, 0, 1))  # (3, s, s)
            boxes, classes = torch.from_numpy(animals.boxes_px), torch.from_numpy(animals.classes)
            targets.append({"boxes": boxes, "labels": classes})
        return DetectorBatch(torch.stack(pictures), tuple(targets))

    def loss(self, network: nn.Module, batch: DetectorBatch) -> Tensor:
        """Return the sum of the detector's four losses."""
        return total_loss(network, batch.pictures, batch.targets)

    def evaluate(self, network: nn.Module, final: bool) -> Evaluation:
        """Score by mAP on the validation photos; at the end choose the score threshold and score the holdout, too."""
        photos = detect_squashed(network, self._validation, self._spec.segmenter.labels)
        thresholds = BoxThresholds(self._spec.segmenter.score_threshold, self._spec.segmenter.suppression_iou)
        if not final:
            validation = self._scores(photos, thresholds, with_intervals=False)
            return Evaluation(validation.values.get(MEAN_AP, 0.0), {AP50: validation.values.get(AP50, 0.0)})
        self._choice = choose_threshold(photos, thresholds.suppression_iou)
        thresholds = BoxThresholds(self._choice.threshold, thresholds.suppression_iou)
        scores = {"validation": self._scores(photos, thresholds, with_intervals=True)}
        if self._spec.holdout is not None:
            held = detect_squashed(network, SquashedPhotos(self._spec.holdout), self._spec.segmenter.labels)
            scores["holdout"] = self._scores(held, thresholds, with_intervals=True)
        return _report(scores, self._choice)

    def export(self, network: nn.Module) -> None:
        """Write `segmentation.pth` and the segmenter's block of models.yaml."""
        assert self._choice is not None, "evaluated before it is exported"
        segmenter = self._spec.segmenter
        write_weights(self._spec.out / segmenter.file, network)
        write_segmenter(self._spec.out, segmenter.model_copy(update={"score_threshold": self._choice.threshold}))

    def _scores(
        self, photos: Sequence[DetectedPhoto], thresholds: BoxThresholds, with_intervals: bool
    ) -> DetectorScores:
        return score_photos(photos, self._spec.segmenter.labels, thresholds, with_intervals)

    def _places(self, number: int) -> list[int]:
        """Return which photos a batch holds."""
        count, size = len(self._training), self._spec.batch_photos
        places = range(number * size, (number + 1) * size)
        orders = {epoch: _epoch_order(self._spec.seed, count, epoch) for epoch in {place // count for place in places}}
        return [int(orders[place // count][place % count]) for place in places]


def detect_squashed(network: nn.Module, photos: SquashedPhotos, labels: Sequence[str]) -> list[DetectedPhoto]:
    """Return truth and detections of squashed photos.

    Args:
        network: in evaluation mode, gradients off.
        photos: to look at.
        labels: body part of class 1, 2, ...
    """
    detected = []
    for start in range(0, len(photos), _CHUNK):
        places = range(start, min(start + _CHUNK, len(photos)))
        pictures = torch.from_numpy(np.stack([photos.picture(place) for place in places])).permute(0, 3, 1, 2)
        for place, found in zip(places, find(network, pictures, labels), strict=True):
            animals = photos.animals(place)
            rows = zip(animals.boxes_px.tolist(), animals.classes.tolist(), strict=True)
            truths = tuple(LabelledBox(BoundingBox(*box), labels[number - 1]) for box, number in rows)
            detected.append(DetectedPhoto(truths, found))
    return detected


def named_by_split(split: str, score: str) -> str:
    """Return the name of a split's score in the final evaluation."""
    return f"{split} {score}"


def _report(scores: Mapping[str, DetectorScores], choice: ThresholdChoice) -> Evaluation:
    """Return the final evaluation."""
    values = {THRESHOLD: choice.threshold, FALSE_AT_CHOICE: choice.false}
    intervals: dict[str, Interval] = {}
    for split, one in scores.items():
        values |= {named_by_split(split, name): value for name, value in one.values.items()}
        intervals |= {named_by_split(split, name): pair for name, pair in one.intervals.items()}
    return Evaluation(scores["validation"].values.get(MEAN_AP, 0.0), values, intervals)


def _epoch_order(seed: int, count: int, epoch: int) -> Int64Array:
    """Return the order of all photos in an epoch; epochs draw from another stream than batches."""
    return np.random.default_rng([seed, epoch, 1]).permutation(count)

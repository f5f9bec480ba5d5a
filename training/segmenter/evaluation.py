"""Scores of a models folder's detector on labelled photos, run as the service runs it."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.model_files import ModelFolder
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import box_in_photo, decode_photo, detector_input
from pipeline.records import Detection, Failure, PathSource, UInt8Array
from training.evaluation.seen_in_training import seen_in_training
from training.photos.records import BoxedPhoto
from training.segmenter.matching import DetectedPhoto
from training.segmenter.scores import EXPLANATIONS, BoxThresholds, DetectorScores, score_photos

_CHUNK = 8
"""Photos that are given to the network at once."""


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What an evaluation found.

    Attributes:
        scores: what the detector reaches.
        model: short hash of the weights.
        engine: that ran them.
        thresholds: of the models folder.
        empty: photos without an animal.
        seen: what is known of the individuals that the detector was trained on, in a sentence.
    """

    scores: DetectorScores
    model: str
    engine: str
    thresholds: BoxThresholds
    empty: int
    seen: str

    def __str__(self) -> str:
        """Return the report for people."""
        one, thresholds = self.scores, self.thresholds
        head = [
            f"detector {self.model} ({self.engine}) on {one.photos} photos with {one.animals} animals,"
            f" {self.empty} of them without any",
            f"score threshold {thresholds.score_threshold:g}, suppression {thresholds.suppression_iou:g}",
            self.seen,
            "95 % intervals: bootstrap over photos",
        ]
        width = max(len(name) for name in EXPLANATIONS)
        rows = [
            f"  {name:<{width}}  {value:.4f}  [{one.intervals[name][0]:.4f}, {one.intervals[name][1]:.4f}]"
            for name, value in one.values.items()
        ]
        return "\n".join([*head, *rows])

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        one = self.scores
        scores = {
            name: {"value": value, "interval 95 %": list(one.intervals[name]), "is": EXPLANATIONS[name]}
            for name, value in one.values.items()
        }
        return {
            "model": self.model,
            "engine": self.engine,
            "photos": one.photos,
            "animals": one.animals,
            "photos without an animal": self.empty,
            "score threshold": self.thresholds.score_threshold,
            "suppression iou": self.thresholds.suppression_iou,
            "training individuals": self.seen,
            "scores": scores,
        }


def evaluate_detector(
    folder: ModelFolder, network: SegmentationNetwork, photos: Sequence[BoxedPhoto], progress: bool = True
) -> DetectorReport:
    """Score a detector with the score threshold and the suppression of its models folder.

    Args:
        folder: the models.
        network: its detector.
        photos: readable, with boxes of its body parts only.
        progress: whether to show a progress bar.

    Raises:
        ItemError: the network gives no answer for a photo; names the photo.
    """
    segmenter = folder.segmenter
    thresholds = BoxThresholds(segmenter.score_threshold, segmenter.suppression_iou)
    detected = detect(network, segmenter.input_size_px, photos, progress)
    return DetectorReport(
        score_photos(detected, segmenter.labels, thresholds, with_intervals=True),
        network.model,
        network.engine,
        thresholds,
        sum(not photo.boxes for photo in photos),
        _seen(folder.segmenter_file, photos),
    )


def detect(
    network: SegmentationNetwork, side_px: int, photos: Sequence[BoxedPhoto], progress: bool = True
) -> list[DetectedPhoto]:
    """Return truth and detections of photos, in pixels of each photo.

    Args:
        network: as the service runs it.
        side_px: of its input.
        photos: to look at.
        progress: whether to show a progress bar.

    Raises:
        ItemError: the network gives no answer for a photo; names the photo.
    """
    detected: list[DetectedPhoto] = []
    with tqdm(total=len(photos), desc="detecting", disable=not progress, leave=False) as bar:
        for chunk in _in_chunks(photos, side_px):
            answers = network.detect([picture for _, picture, _ in chunk])
            for (photo, _, size_px), answer in zip(chunk, answers, strict=True):
                if isinstance(answer, Failure):
                    raise Failure.of(answer.as_error(), str(photo.path)).as_error()
                boxes = [(box_in_photo(one.box, size_px, side_px), one) for one in answer.items]
                found = tuple(Detection(box, one.body_part, one.score) for box, one in boxes)
                detected.append(DetectedPhoto(photo.boxes, found))
            bar.update(len(chunk))
    return detected


_Squashed = tuple[BoxedPhoto, UInt8Array, tuple[int, int]]


def _in_chunks(photos: Sequence[BoxedPhoto], side_px: int) -> Iterator[list[_Squashed]]:
    """Decode photos in threads, a few ahead of the network."""
    waiting: deque[Future[_Squashed]] = deque()
    chunk: list[_Squashed] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for photo in photos:
            waiting.append(pool.submit(_squash, photo, side_px))
            if len(waiting) > 2 * _CHUNK:
                chunk.append(waiting.popleft().result())
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
        chunk += [future.result() for future in waiting]
        for start in range(0, len(chunk), _CHUNK):
            yield chunk[start : start + _CHUNK]


def _squash(photo: BoxedPhoto, side_px: int) -> _Squashed:
    """Return a photo, its square and its own size."""
    content = PhotoFiles().read(PathSource(str(photo.path), local_peer=True))
    decoded = decode_photo(content, photo.path.name)
    return photo, detector_input(decoded, side_px), decoded.size_px


def _seen(weights: Path, photos: Sequence[BoxedPhoto]) -> str:
    """Say whether the detector was trained on animals of these photos."""
    names = {box.individual for photo in photos for box in photo.boxes if box.individual}
    return seen_in_training(weights, names, "detector").text

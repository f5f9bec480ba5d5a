"""Scores of a detector in the words of who uses it, with 95 % intervals over photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.arrays import Int64Array
from training.scoring.intervals import Interval, percentile_interval
from training.segmenter.average_precision import CocoPrecision
from training.segmenter.matching import DetectedPhoto, answered_boxes, match

AP50 = "AP50"
MEAN_AP = "mAP"
PART_RIGHT = "body part right"
BEST_RIGHT = "best box right"
MISSED = "animals missed"
FALSE_ON_EMPTY = "empty photos with a box"
BOTH_FOUND = "both of two animals found"
EXPLANATIONS: Mapping[str, str] = {
    AP50: "COCO's average precision at an intersection over union of 0.5, mean over body parts",
    MEAN_AP: "COCO's mean average precision, thresholds 0.5 to 0.95",
    PART_RIGHT: "share of the boxes on an animal that name its body part, at the score threshold",
    BEST_RIGHT: "share of the photos with animals whose best box, whatever its score, is on one and names its part",
    MISSED: "share of the animals without a box, at the score threshold",
    FALSE_ON_EMPTY: "share of the photos without an animal that get a box, at the score threshold",
    BOTH_FOUND: "share of the photos with two animals in which both get a box, at the score threshold",
}

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class BoxThresholds:
    """From which score a box is answered, and which overlap makes two boxes one animal; see `SegmenterSpec`."""

    score_threshold: float
    suppression_iou: float = 0.5


@dataclass(frozen=True, slots=True)
class DetectorScores:
    """Scores by name; a score that the photos say nothing about (no empty photo, say) is left out.

    Attributes:
        values: see `EXPLANATIONS`.
        intervals: 95 %, by the same names; empty where they were not asked for.
        photos: how many.
        animals: in them.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    photos: int
    animals: int


def score_photos(
    photos: Sequence[DetectedPhoto],
    labels: Sequence[str],
    thresholds: BoxThresholds,
    with_intervals: bool = False,
    resamples: int = _RESAMPLES,
) -> DetectorScores:
    """Score what a detector found in photos.

    Args:
        photos: with truth and detections.
        labels: body parts.
        thresholds: of the service.
        with_intervals: whether to bootstrap over photos: percentiles of the scores of photos drawn with replacement.
        resamples: how often to draw.
    """
    counts = {name: np.array(rows, np.int64) for name, rows in _counts(photos, thresholds).items()}
    coco = CocoPrecision(photos, labels)
    values = _scores(coco, counts, np.arange(len(photos)))
    intervals: dict[str, Interval] = {}
    if with_intervals:
        chance = np.random.default_rng(1)
        drawn = [_scores(coco, counts, chance.integers(len(photos), size=len(photos))) for _ in range(resamples)]
        intervals = {name: _interval([scores[name] for scores in drawn if name in scores]) for name in values}
    return DetectorScores(values, intervals, len(photos), sum(len(photo.truths) for photo in photos))


def _scores(coco: CocoPrecision, counts: Mapping[str, Int64Array], chosen: Int64Array) -> dict[str, float]:
    """Return the scores of some photos."""
    precision = coco(chosen.tolist())
    scores = {AP50: precision.ap50, MEAN_AP: precision.mean}
    for name, rows in counts.items():
        part, whole = rows[chosen].sum(axis=0)
        scores[name] = part / whole if whole else float("nan")
    return {name: float(score) for name, score in scores.items() if not np.isnan(score)}


def _interval(drawn: Sequence[float]) -> Interval:
    low, high = percentile_interval(np.array(drawn))
    return float(low), float(high)


def _counts(photos: Sequence[DetectedPhoto], thresholds: BoxThresholds) -> dict[str, list[tuple[int, int]]]:
    """Return, for every photo, how many there are of what a share is of: (of those counted, of all)."""
    rows = [_count(photo, thresholds) for photo in photos]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _count(photo: DetectedPhoto, thresholds: BoxThresholds) -> dict[str, tuple[int, int]]:
    animals = len(photo.truths)
    matches = match(
        photo.truths, answered_boxes(photo.detections, thresholds.score_threshold, thresholds.suppression_iou)
    )
    found = [(one.answer, photo.truths[one.truth]) for one in matches if one.truth is not None]
    named = sum(answer.body_part == truth.body_part for answer, truth in found)
    return {
        PART_RIGHT: (named, len(found)),
        BEST_RIGHT: (int(_best_is_right(photo)), int(animals > 0)),
        MISSED: (animals - len(found), animals),
        FALSE_ON_EMPTY: (int(not animals and bool(matches)), int(not animals)),
        BOTH_FOUND: (int(animals == 2 and len(found) == 2), int(animals == 2)),
    }


def _best_is_right(photo: DetectedPhoto) -> bool:
    best = sorted(photo.detections, key=lambda detection: -detection.score)[:1]
    return any(
        one.truth is not None and photo.truths[one.truth].body_part == one.answer.body_part
        for one in match(photo.truths, best)
    )

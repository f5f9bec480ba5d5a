"""How good a detector is, in the words of who uses it, with 95 % intervals over photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.arrays import Int64Array
from training.scoring.intervals import percentile_interval
from training.segmenter.average_precision import PrecisionOf
from training.segmenter.judged import JudgedPhoto, answers, match

Interval = tuple[float, float]

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
class AnswerRules:
    """What the service asks of a box; see `pipeline.model_files.SegmenterSpec`."""

    score_threshold: float
    suppression_iou: float = 0.5


@dataclass(frozen=True, slots=True)
class Judgement:
    """Scores by name; a score that the photos say nothing about (no empty photo, say) is left out.

    Attributes:
        values: see `EXPLANATIONS`.
        intervals: 95 %, by the same names; empty where they were not asked for.
        photos: judged.
        animals: in them.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    photos: int
    animals: int


def judge(
    photos: Sequence[JudgedPhoto],
    labels: Sequence[str],
    rules: AnswerRules,
    with_intervals: bool = False,
    resamples: int = _RESAMPLES,
) -> Judgement:
    """Judge a detector by its answers.

    Args:
        photos: with truth and detections.
        labels: body parts.
        rules: of the service.
        with_intervals: whether to bootstrap over photos: percentiles of the scores of photos drawn with replacement.
        resamples: how often to draw.
    """
    counts = {name: np.array(rows, np.int64) for name, rows in _counts(photos, rules).items()}
    precision_of = PrecisionOf(photos, labels)
    values = _scores(precision_of, counts, np.arange(len(photos)))
    intervals: dict[str, Interval] = {}
    if with_intervals:
        chance = np.random.default_rng(1)
        drawn = [
            _scores(precision_of, counts, chance.integers(len(photos), size=len(photos))) for _ in range(resamples)
        ]
        intervals = {name: _interval([scores[name] for scores in drawn if name in scores]) for name in values}
    return Judgement(values, intervals, len(photos), sum(len(photo.truths) for photo in photos))


def _scores(precision_of: PrecisionOf, counts: Mapping[str, Int64Array], chosen: Int64Array) -> dict[str, float]:
    """Return the scores of some photos."""
    precision = precision_of(chosen.tolist())
    scores = {AP50: precision.ap50, MEAN_AP: precision.mean}
    for name, rows in counts.items():
        part, whole = rows[chosen].sum(axis=0)
        scores[name] = part / whole if whole else float("nan")
    return {name: float(score) for name, score in scores.items() if not np.isnan(score)}


def _interval(drawn: Sequence[float]) -> Interval:
    low, high = percentile_interval(np.array(drawn))
    return float(low), float(high)


def _counts(photos: Sequence[JudgedPhoto], rules: AnswerRules) -> dict[str, list[tuple[int, int]]]:
    """Return, for every photo, how many there are of what a share is of: (of those counted, of all)."""
    rows = [_count(photo, rules) for photo in photos]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _count(photo: JudgedPhoto, rules: AnswerRules) -> dict[str, tuple[int, int]]:
    animals = len(photo.truths)
    matches = match(photo.truths, answers(photo.detections, rules.score_threshold, rules.suppression_iou))
    found = [(one.answer, photo.truths[one.truth]) for one in matches if one.truth is not None]
    named = sum(answer.body_part == truth.body_part for answer, truth in found)
    return {
        PART_RIGHT: (named, len(found)),
        BEST_RIGHT: (int(_best_is_right(photo)), int(animals > 0)),
        MISSED: (animals - len(found), animals),
        FALSE_ON_EMPTY: (int(not animals and bool(matches)), int(not animals)),
        BOTH_FOUND: (int(animals == 2 and len(found) == 2), int(animals == 2)),
    }


def _best_is_right(photo: JudgedPhoto) -> bool:
    best = sorted(photo.detections, key=lambda detection: -detection.score)[:1]
    return any(
        one.truth is not None and photo.truths[one.truth].body_part == one.answer.body_part
        for one in match(photo.truths, best)
    )

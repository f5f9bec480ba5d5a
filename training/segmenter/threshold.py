"""The score from which a box is answered: chosen on validation photos, false boxes against missed animals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.networks.suppression import MAX_OVERLAP
from training.segmenter.matching import DetectedPhoto, Match, answered_boxes, match

_CANDIDATES = tuple(round(0.05 + 0.01 * number, 2) for number in range(91))
"""From torchvision's own floor to 0.95."""


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A score threshold and what it costs.

    Attributes:
        threshold: the lowest score that is answered.
        missed: share of the animals without a box, at the threshold.
        false: share of the empty photos with a box, at the threshold.
        empty: number of empty photos that this was seen on; 0 means that false boxes beside animals were counted, as a
            share of all photos.
    """

    threshold: float
    missed: float
    false: float
    empty: int

    def __str__(self) -> str:
        """Return the choice with its reason, for the model card."""
        on = f"{self.empty} empty photos" if self.empty else "the photos (none of them empty)"
        return (
            f"Score threshold {self.threshold:.2f}: on the validation photos the middle of the range in which the share"
            f" of animals missed ({self.missed:.1%}) plus the share of {on} with a false box ({self.false:.1%}) is"
            " least"
        )


def choose_threshold(photos: Sequence[DetectedPhoto], suppression_iou: float = MAX_OVERLAP) -> ThresholdChoice:
    """Choose the score threshold with the least animals missed plus false boxes.

    Where many thresholds are equally good, the middle one of the longest such range is taken, which is the farthest
    from doing worse on other photos.

    Args:
        photos: of the validation split.
        suppression_iou: of the service.
    """
    empty = sum(not photo.truths for photo in photos)
    animals = sum(len(photo.truths) for photo in photos)
    # Suppression and matching go from the best score down, so that a threshold only cuts their end off.
    matched = [
        match(photo.truths, answered_boxes(photo.detections, _CANDIDATES[0], suppression_iou)) for photo in photos
    ]
    counted = [matches for photo, matches in zip(photos, matched, strict=True) if not (photo.truths and empty)]
    found = np.array([one.answer.score for matches in matched for one in matches if one.truth is not None])
    best_false = np.array([_best_false(matches) for matches in counted])
    thresholds = np.array(_CANDIDATES)[:, None]
    missed = 1.0 - np.sum(found >= thresholds, axis=1) / max(1, animals)
    false = np.sum(best_false >= thresholds, axis=1) / max(1, len(counted))
    costs = np.round(missed + false, 9)
    best = _middle_of_longest(np.flatnonzero(costs == costs.min()).tolist())
    return ThresholdChoice(_CANDIDATES[best], float(missed[best]), float(false[best]), empty)


def _best_false(matches: Sequence[Match]) -> float:
    """Return the best score of a false box, 0 where there is none."""
    return max((one.answer.score for one in matches if one.truth is None), default=0.0)


def _middle_of_longest(places: Sequence[int]) -> int:
    """Return the middle of the longest stretch of neighbours."""
    stretches: list[list[int]] = []
    for place in places:
        if stretches and place == stretches[-1][-1] + 1:
            stretches[-1].append(place)
        else:
            stretches.append([place])
    longest = max(stretches, key=len)
    return longest[len(longest) // 2]

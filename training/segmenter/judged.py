"""Photos with what is in them and what a detector found, and which answers count as which animal."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.networks.suppression import suppress
from pipeline.records import BoundingBox, Detection
from training.photos.records import LabelledBox

MATCH_IOU = 0.5
"""Intersection over union from which a box counts as found, as in COCO's AP50 and PASCAL VOC."""


@dataclass(frozen=True, slots=True)
class JudgedPhoto:
    """One photo; truth and detections in the same pixels.

    Stretching a photo changes no intersection over union, so that squashed photos give the same judgement.

    Attributes:
        truths: the animals in it; none for an empty sea.
        detections: all boxes that the detector gave.
    """

    truths: tuple[LabelledBox, ...]
    detections: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """One answered box.

    Attributes:
        answer: the box.
        truth: place of its animal in the photo's truths; None for a false box.
    """

    answer: Detection
    truth: int | None


def answers(detections: Sequence[Detection], score_threshold: float, suppression_iou: float) -> tuple[Detection, ...]:
    """Return the boxes that the service answers where all animals are asked for, best score first."""
    confident = [detection for detection in detections if detection.score >= score_threshold]
    return suppress(confident, suppression_iou)


def match(truths: Sequence[LabelledBox], answered: Sequence[Detection]) -> tuple[Match, ...]:
    """Match boxes with animals, whatever the body parts.

    Each box in turn, best score first, takes the free animal that it overlaps most.

    Args:
        truths: the animals.
        answered: boxes, best score first.

    Returns:
        One match a box, in order.
    """
    free = set(range(len(truths)))
    matches = []
    for answer in answered:
        overlaps = {place: overlap(answer.box, truths[place].box_px) for place in sorted(free)}
        best = max(overlaps, key=lambda place: overlaps[place], default=None)
        if best is not None and overlaps[best] < MATCH_IOU:
            best = None
        matches.append(Match(answer, best))
        free -= {best}
    return tuple(matches)


def overlap(one: BoundingBox, other: BoundingBox) -> float:
    """Return the intersection over union of two boxes; 0 where both are empty."""
    width = min(one.x_max_px, other.x_max_px) - max(one.x_min_px, other.x_min_px)
    height = min(one.y_max_px, other.y_max_px) - max(one.y_min_px, other.y_min_px)
    shared = max(width, 0.0) * max(height, 0.0)
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0.0 else 0.0


def _area(box: BoundingBox) -> float:
    return (box.x_max_px - box.x_min_px) * (box.y_max_px - box.y_min_px)

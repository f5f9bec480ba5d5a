"""Photos with what is in them and what a detector found, and which answers count as which animal."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from pipeline.networks.suppression import suppress
from pipeline.records import BoundingBox, Detection
from training.photos.records import LabelledBox

MATCH_IOU = 0.5
"""Intersection over union from which a box counts as found, as in COCO's AP50 and PASCAL VOC."""


@dataclass(frozen=True, slots=True)
class DetectedPhoto:
    """One photo; truth and detections in the same pixels.

    Stretching a photo changes no intersection over union, so that squashed photos give the same scores.

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


def answered_boxes(
    detections: Sequence[Detection], score_threshold: float, suppression_iou: float
) -> tuple[Detection, ...]:
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
    overlaps = box_iou(_tensor([one.box for one in answered]), _tensor([truth.box_px for truth in truths])).numpy()
    matches = []
    for row, answer in enumerate(answered):  # overlaps: (answered, truths), -1 for an animal that is taken
        best = int(overlaps[row].argmax()) if truths else None
        if best is not None and not overlaps[row, best] >= MATCH_IOU:
            best = None
        if best is not None:
            overlaps[:, best] = -1.0
        matches.append(Match(answer, best))
    return tuple(matches)


def _tensor(boxes: Sequence[BoundingBox]) -> Tensor:
    """Return (n, 4) float64."""
    return torch.tensor([box.xyxy() for box in boxes], dtype=torch.float64).reshape(-1, 4)

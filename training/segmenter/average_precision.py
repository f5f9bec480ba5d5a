"""COCO's average precision, by the library that COCO's own evaluation lives on in."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

from pipeline.records import BoundingBox
from training.segmenter.judged import JudgedPhoto

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Means over the body parts that occur; NaN where no photo shows any.

    Attributes:
        ap50: at an intersection over union of 0.5.
        mean: COCO's mAP, the mean over 0.5, 0.55, ..., 0.95.
    """

    ap50: float
    mean: float


def average_precision(photos: Sequence[JudgedPhoto], labels: Sequence[str]) -> AveragePrecision:
    """Return COCO's AP50 and mAP of all detections, with 101 recall points and at most 100 boxes a photo.

    Args:
        photos: every one counts as a photo of its own, also one that stands twice.
        labels: body parts.
    """
    if not any(photo.truths for photo in photos):
        return AveragePrecision(float("nan"), float("nan"))
    truth = COCO(_document(photos, labels))
    run = COCOeval_faster(truth, truth.loadRes(_results(photos, labels)), "bbox", print_function=logger.debug)
    run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], run.params.areaRngLbl[:1]  # "all"
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][..., -1]  # (10 thresholds, 101 recalls, parts, 1 area); -1: no such part
    return AveragePrecision(_mean(precision[:1]), _mean(precision))


def _mean(precision: npt.NDArray[np.float64]) -> float:
    return float(np.mean(precision[precision > -1]))


def _document(photos: Sequence[JudgedPhoto], labels: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    annotations: list[dict[str, object]] = []
    for number, photo in enumerate(photos, start=1):
        for truth in photo.truths:
            place = {"id": len(annotations) + 1, "image_id": number, "category_id": labels.index(truth.body_part)}
            x, y, width, height = _xywh(truth.box_px)
            annotations.append(place | {"bbox": [x, y, width, height], "area": width * height, "iscrowd": 0})
    return {
        "images": [{"id": number} for number in range(1, len(photos) + 1)],
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for number, label in enumerate(labels)],
    }


def _results(photos: Sequence[JudgedPhoto], labels: Sequence[str]) -> list[dict[str, object]]:
    return [
        {
            "image_id": number,
            "category_id": labels.index(found.body_part),
            "bbox": _xywh(found.box),
            "score": found.score,
        }
        for number, photo in enumerate(photos, start=1)
        for found in photo.detections
    ]


def _xywh(box: BoundingBox) -> list[float]:
    return [box.x_min_px, box.y_min_px, box.x_max_px - box.x_min_px, box.y_max_px - box.y_min_px]

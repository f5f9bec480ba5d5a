"""COCO's average precision, by the library that COCO's own evaluation lives on in."""

import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.faster_eval_api_cpp import COCOevalAccumulate

from pipeline.records import BoundingBox
from training.segmenter.matching import DetectedPhoto

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


class CocoPrecision:
    """AP50 and mAP of all detections in any choice of the photos; 101 recall points, at most 100 boxes a photo.

    Boxes are matched once; for every choice the library only sums up again, as a bootstrap does a thousand times.

    Args:
        photos: with truth and detections.
        labels: body parts.
    """

    def __init__(self, photos: Sequence[DetectedPhoto], labels: Sequence[str]) -> None:
        self._photos, self._parts = len(photos), len(labels)
        if not photos:
            return
        truth = COCO(_document(photos, labels))
        found = truth.loadRes(_results(photos, labels))
        run = COCOeval_faster(truth, found, "bbox", print_function=logger.debug, separate_eval=True)
        run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], run.params.areaRngLbl[:1]  # "all"
        run.evaluate()
        # Part by part, photo by photo. The library has no public way to sum up a choice of them.
        self._matches, self._params = run._evalImgs_cpp, run._paramsEval

    def __call__(self, chosen: Sequence[int]) -> AveragePrecision:
        """Return the scores of some of the photos.

        Args:
            chosen: their places; one that stands twice counts as two photos.
        """
        if not self._photos:
            return AveragePrecision(float("nan"), float("nan"))
        matches = [self._matches[part * self._photos + place] for part in range(self._parts) for place in chosen]
        params = copy(self._params)
        params.imgIds = list(range(len(chosen)))  # only their number counts here
        summed = COCOevalAccumulate(params, matches)
        precision = np.asarray(summed["precision"])[..., -1]  # (10 thresholds, 101 recalls, parts, 1 area)
        return AveragePrecision(_mean(precision[:1]), _mean(precision))


def _mean(precision: npt.NDArray[np.float64]) -> float:
    """Return the mean over the parts that occur; the library marks others by -1."""
    known = precision[precision > -1]
    return float(np.mean(known)) if known.size else float("nan")


def _document(photos: Sequence[DetectedPhoto], labels: Sequence[str]) -> dict[str, list[dict[str, object]]]:
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


def _results(photos: Sequence[DetectedPhoto], labels: Sequence[str]) -> list[dict[str, object]]:
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

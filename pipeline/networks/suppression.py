"""Non-maximum suppression across body parts: one animal, one box."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.records import Detection

Float64Array = npt.NDArray[np.float64]

MAX_OVERLAP = 0.5


def suppress(detections: Sequence[Detection], max_overlap: float = MAX_OVERLAP) -> tuple[Detection, ...]:
    """Drop every box that overlaps a better-scoring one, whatever their body parts.

    Args:
        detections: in any order.
        max_overlap: intersection over union above which two boxes count as one animal.

    Returns:
        The kept detections, best score first; of equal scores the earlier one counts as better.
    """
    ranked = sorted(detections, key=lambda detection: -detection.score)
    boxes = np.array([detection.box.xyxy() for detection in ranked], dtype=np.float64).reshape(-1, 4)  # (n, 4)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)  # (n,)
    kept: list[int] = []
    for place in range(len(ranked)):
        overlaps = _overlaps(boxes[place], areas[place], boxes[kept], areas[kept])
        if not np.any(overlaps > max_overlap):
            kept.append(place)
    return tuple(ranked[place] for place in kept)


def _overlaps(box: Float64Array, area: float, others: Float64Array, other_areas: Float64Array) -> Float64Array:
    """Intersection over union of one (4,) box with (k, 4) others, (k,); 0 where both are empty."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared: Float64Array = np.prod(np.maximum(sides, 0.0), axis=1)
    union = area + other_areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)

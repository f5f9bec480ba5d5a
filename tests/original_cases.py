"""Photos with the original's answers: random weights in exactly the original's files, asked by `tests.reference`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline.photos.images import grow
from pipeline.records import BoundingBox
from tests import reference
from training.random_models.pictures import draw_pictures

MIN_LEAD = 1e-3
MIN_EDGE_PX = 0.01
MIN_DISTANCE_STEP = 1e-5


@dataclass(frozen=True)
class Case:
    """A photo whose answer does not hang on a rounding, and the original's answer."""

    photo: Path
    expected: reference.ReferenceAnswer


def find_cases(models_dir: Path, folder: Path, count: int, every_body_part: bool) -> list[Case]:
    """Return the first so many photos, of several sizes, formats and qualities, whose best box leads clearly.

    Args:
        models_dir: weights and catalogues.
        folder: where the photos are drawn.
        count: of photos, at the least.
        every_body_part: go on until each body part is among the answers.
    """
    models = reference.load_models(models_dir)
    found: list[Case] = []
    for photo in _candidates(folder):
        with torch.inference_mode():
            answer = reference.answer(models, photo)
        if answer is not None and _is_clear(answer, photo):
            found.append(Case(photo, answer))
        parts = {case.expected.body_part for case in found}
        if len(found) >= count and (not every_body_part or len(parts) == len(reference.BODY_PARTS)):
            break
    assert len(found) >= count
    return found


def _candidates(folder: Path) -> Iterator[Path]:
    kinds = [("jpg", {"quality": 90}), ("png", {}), ("jpg", {"quality": 75, "progressive": True}), ("png", {})]
    pictures = [picture for pair in zip(draw_pictures(20, 0), draw_pictures(20, 3), strict=True) for picture in pair]
    for place, picture in enumerate(pictures):
        suffix, options = kinds[place % len(kinds)]
        path = folder / f"photo {place}.{suffix}"
        picture.image.save(path, **options)
        yield path


def _is_clear(answer: reference.ReferenceAnswer, photo: Path) -> bool:
    """The best box leads, no crop edge is near a half pixel where PIL's rounding turns over, and no distances tie."""
    with Image.open(photo) as image:
        size_px = image.size
    edges_px = grow(BoundingBox(*answer.box_xyxy_px), size_px).xyxy()
    distances = [distance for _, distance in answer.ranking]
    return (
        answer.lead >= MIN_LEAD
        and all(abs(edge - math.floor(edge) - 0.5) >= MIN_EDGE_PX for edge in edges_px)
        and float(np.diff(distances).min()) >= MIN_DISTANCE_STEP
    )

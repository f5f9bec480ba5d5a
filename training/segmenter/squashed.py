"""Photos decoded and squashed once, as the service squashes them, with their boxes scaled along."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import decode_photo, detector_input
from pipeline.records import BoundingBox, Float32Array, PathSource, UInt8Array
from training.arrays import Int64Array
from training.photos.records import BoxedPhoto

_DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class Animals:
    """The animals of one squashed photo.

    Attributes:
        boxes_px: (k, 4) float32 (x_min, y_min, x_max, y_max) in pixels of the square.
        classes: (k,) int64, from 1; class 0 is the background.
    """

    boxes_px: Float32Array
    classes: Int64Array


def squash_box(box_px: BoundingBox, photo_size_px: tuple[int, int], side_px: int) -> tuple[float, float, float, float]:
    """Scale a box from the photo to the detector's square; the inverse of `pipeline.photos.images.box_in_photo`.

    Args:
        box_px: in pixels of the photo; what lies outside is cut off.
        photo_size_px: width and height of the upright photo.
        side_px: of the square.

    Returns:
        The edges (x_min, y_min, x_max, y_max) in pixels of the square.
    """
    x_scale, y_scale = (side_px / length for length in photo_size_px)
    x_min, y_min, x_max, y_max = box_px.xyxy()
    edges = (x_min * x_scale, y_min * y_scale, x_max * x_scale, y_max * y_scale)
    left, top, right, bottom = (min(max(edge, 0.0), float(side_px)) for edge in edges)
    return (left, top, right, bottom)


def data_digest(photos: Sequence[BoxedPhoto], digests: Mapping[Path, str], labels: Sequence[str], side_px: int) -> str:
    """Return what changes with anything that `squash_photos` would write.

    Args:
        photos: in order.
        digests: sha256 of each photo's bytes.
        labels: body part of class 1, 2, ...
        side_px: of the square.
    """
    rows = [[digests[photo.path], [[box.box_px.xyxy(), box.body_part] for box in photo.boxes]] for photo in photos]
    text = json.dumps([side_px, list(labels), rows])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]


def squash_photos(
    photos: Sequence[BoxedPhoto], labels: Sequence[str], side_px: int, folder: Path, progress: bool = True
) -> None:
    """Write photos and boxes to a folder that `SquashedPhotos` opens; does nothing where it exists.

    The folder appears as a whole: a run that is killed here begins this step anew.

    Args:
        photos: readable, with boxes of these labels only.
        labels: body part of class 1, 2, ...
        side_px: of the square.
        folder: to make.
        progress: whether to show a bar.
    """
    if folder.exists():
        return
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shape = (len(photos), side_px, side_px, 3)
    pictures = np.lib.format.open_memmap(partial / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape)
    boxes: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    ends: list[int] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        squashed = pool.map(lambda photo: _squash(photo, side_px), photos)
        bar = tqdm(zip(photos, squashed, strict=True), "squashing photos", len(photos), disable=not progress)
        for place, (photo, (picture, photo_size_px)) in enumerate(bar):
            pictures[place] = picture
            boxes += [squash_box(box.box_px, photo_size_px, side_px) for box in photo.boxes]
            classes += [labels.index(box.body_part) + 1 for box in photo.boxes]
            ends.append(len(boxes))
    pictures.flush()
    np.savez(
        partial / "animals.npz",
        ends=np.array(ends, np.int64),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(classes, np.int64),
    )
    partial.rename(folder)


class SquashedPhotos:
    """Photos of a folder that `squash_photos` wrote; pictures stay on disk until they are asked for.

    Args:
        folder: of the photos.
    """

    def __init__(self, folder: Path) -> None:
        self._pictures = np.load(folder / "pictures.npy", mmap_mode="r")  # (n, s, s, 3) uint8
        with np.load(folder / "animals.npz") as table:
            self._boxes, self._classes, self._ends = table["boxes"], table["classes"], table["ends"]

    def __len__(self) -> int:
        return len(self._ends)

    def picture(self, place: int) -> UInt8Array:
        """Return one photo as (s, s, 3) uint8 RGB, a copy."""
        return np.array(self._pictures[place])

    def animals(self, place: int) -> Animals:
        """Return the animals of one photo."""
        start = int(self._ends[place - 1]) if place else 0
        rows = slice(start, int(self._ends[place]))
        return Animals(self._boxes[rows], self._classes[rows])


def _squash(photo: BoxedPhoto, side_px: int) -> tuple[UInt8Array, tuple[int, int]]:
    """Return one photo's square and its own size."""
    content = PhotoFiles().read(PathSource(str(photo.path), local_peer=True))
    decoded = decode_photo(content, photo.path.name)
    return detector_input(decoded, side_px), decoded.size_px

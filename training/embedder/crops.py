"""Crops of photos, decoded once and kept in a memory-mapped file that workers and later attempts share."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from tqdm import tqdm

from pipeline.errors import NoAnimalError
from pipeline.photos.images import Photo, crop, grow
from pipeline.records import BoundingBox, Float32Array, UInt8Array
from training.arrays import BoolArray
from training.errors import TrainingDataError

logger = logging.getLogger(__name__)

_MISSING, _MADE, _NOTHING = 0, 1, 2

MapNumbers = Callable[[Iterable[int]], Iterable["Crop | None"]]
"""Makes crops of photos by number, in order; None where there is nothing to see."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop.

    Attributes:
        pixels: (s, s, 3) uint8 RGB.
        box: (4,) float32, what the service would cut out, in shares of the crop: x_min, y_min, x_max, y_max.
    """

    pixels: UInt8Array
    box: Float32Array


@dataclass(frozen=True, slots=True)
class Cut:
    """How crops are made.

    Attributes:
        size_px: their side.
        margin: what the service adds on each side of a box, in shares of it.
        context: what is kept beyond that for the augmentation, likewise.
    """

    size_px: int
    margin: float
    context: float = 0.0

    def apply(self, photo: Photo, box_px: BoundingBox) -> Crop | None:
        """Cut out a box with the service's own code; None where it holds no pixel."""
        inner = grow(box_px, photo.size_px, self.margin)
        outer = grow(box_px, photo.size_px, self.margin + self.context)
        try:
            pixels = crop(photo, box_px, self.margin + self.context, self.size_px)
        except NoAnimalError:
            return None
        left, top, right, bottom = outer.xyxy()
        corner, span = np.array([left, top] * 2), np.array([right - left, bottom - top] * 2)
        return Crop(pixels, ((np.array(inner.xyxy()) - corner) / span).astype(np.float32))


class CropStore:
    """The crops of one set of photos.

    Attributes:
        pixels: (n, s, s, 3) uint8 RGB, memory-mapped.
        boxes: (n, 4) float32, see `Crop`.
    """

    def __init__(self, folder: Path, mode: Literal["r", "r+"] = "r") -> None:
        """Open a store.

        Args:
            folder: where its files are.
            mode: "r", or "r+" to add crops.
        """
        self._folder = folder
        self.pixels: UInt8Array = np.load(folder / "pixels.npy", mmap_mode=mode)
        self.boxes: Float32Array = np.load(folder / "boxes.npy", mmap_mode=mode)
        self._states: UInt8Array = np.load(folder / "states.npy", mmap_mode=mode)

    @classmethod
    def prepare(cls, folder: Path, key: Mapping[str, Any], count: int, size_px: int) -> Self:
        """Open a store for adding, with what a former attempt has left in it if it was made for the same crops.

        Args:
            folder: made where it is missing.
            key: what decides the crops, as plain JSON values.
            count: of photos.
            size_px: side of the crops.
        """
        key_file, text = folder / "key.json", json.dumps(dict(key), sort_keys=True)
        if not key_file.exists() or key_file.read_text(encoding="utf-8") != text:
            folder.mkdir(parents=True, exist_ok=True)
            key_file.unlink(missing_ok=True)
            _create(folder / "pixels.npy", (count, size_px, size_px, 3), np.uint8)
            _create(folder / "boxes.npy", (count, 4), np.float32)
            _create(folder / "states.npy", (count,), np.uint8)
            key_file.write_text(text, encoding="utf-8")
        return cls(folder, "r+")

    def fill(self, make: MapNumbers, words: str) -> BoolArray:
        """Make the crops that are missing.

        Args:
            make: makes crops of photos by number.
            words: for the progress bar.

        Returns:
            (n,) bool, whether there is a crop.

        Raises:
            TrainingDataError: no photo has any.
        """
        missing = np.flatnonzero(self._states == _MISSING).tolist()
        made = make(missing) if missing else ()
        for number, found in zip(missing, tqdm(made, words, len(missing), unit="photos"), strict=True):
            if found is not None:
                self.pixels[number], self.boxes[number] = found.pixels, found.box
            self._states[number] = _NOTHING if found is None else _MADE
        have: BoolArray = self._states == _MADE
        if not have.any():
            raise TrainingDataError(
                f"{words}: no animal was found in any of {len(have)} photos; check boxes or detector"
            )
        if not have.all():
            logger.warning("%s: nothing found in %d of %d photos; left out", words, (~have).sum(), len(have))
        return have


def _create(file: Path, shape: tuple[int, ...], kind: type[np.generic]) -> None:
    np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=shape).flush()

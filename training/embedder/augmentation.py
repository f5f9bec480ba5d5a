"""Varies crops as sea, light, camera and detector vary them; whole batches, on uint8 pixels, with OpenCV."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.records import Float32Array, UInt8Array

_NOISE_VALUES = 1 << 20


@dataclass(frozen=True, slots=True)
class CropAugmentation:
    """How much photos are varied; probabilities are per photo.

    Attributes:
        box: twice the spread of each edge of the box, in shares of its width and height; the demo detector's edges
            are off by a spread of 0.05 to 0.08.
        rotation_deg: largest.
        light: spread of contrast and brightness.
        colour: spread of the channels' gains.
        blurred: probability of motion or defocus blur.
        coarse: probability of a photo from afar: fewer pixels, enlarged.
        noisy: probability of sensor noise.
        cut: probability of a patch that hides a part, as water and spray do.
    """

    box: float = 0.1
    rotation_deg: float = 8.0
    light: float = 0.25
    colour: float = 0.08
    blurred: float = 0.25
    coarse: float = 0.25
    noisy: float = 0.3
    cut: float = 0.4


class CropAugmenter:
    """Varies crops; a pure function of the generator that it is given.

    Args:
        size_px: side of the pictures it makes.
        strength: how much it varies.
    """

    def __init__(self, size_px: int, strength: CropAugmentation | None = None) -> None:
        self._size = size_px
        self._by = strength or CropAugmentation()
        noise = np.random.default_rng(0).normal(size=_NOISE_VALUES + 3 * size_px * size_px)
        self._noise: Float32Array = noise.astype(np.float32)  # drawn once: normal numbers are slow to draw

    def vary(self, crop: UInt8Array, box: Float32Array, mirror: bool, rng: np.random.Generator) -> UInt8Array:
        """Return one variation of a crop.

        Args:
            crop: (s, s, 3) uint8 RGB, wider than the box around the animal.
            box: (4,) the box in shares of the crop: x_min, y_min, x_max, y_max.
            mirror: whether to mirror it.
            rng: of this photo in this batch.

        Returns:
            (size, size, 3) uint8 RGB.
        """
        picture = self._place(crop, box, mirror, rng)
        if rng.random() < self._by.cut:
            self._hide(picture, rng)
        picture = self._light(picture, rng)
        if rng.random() < self._by.coarse:
            picture = self._coarsen(picture, rng)
        if rng.random() < self._by.blurred:
            picture = self._blur(picture, rng)
        return self._add_noise(picture, rng) if rng.random() < self._by.noisy else picture

    def _place(self, crop: UInt8Array, box: Float32Array, mirror: bool, rng: np.random.Generator) -> UInt8Array:
        """Cut out the box with shifted edges, turned a little."""
        side, size = crop.shape[0], self._size
        spans = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        x_min, y_min, x_max, y_max = (box + rng.normal(0.0, self._by.box / 2, 4).clip(-0.15, 0.15) * spans) * side
        turn = np.deg2rad(rng.uniform(-1.0, 1.0) * self._by.rotation_deg)
        cosine, sine = np.cos(turn), np.sin(turn)
        x_scale, y_scale = size / max(x_max - x_min, 2.0), size / max(y_max - y_min, 2.0)
        x_scale *= -1.0 if mirror else 1.0
        linear = np.array([[x_scale * cosine, -x_scale * sine], [y_scale * sine, y_scale * cosine]])
        middle = np.array([(x_min + x_max) / 2, (y_min + y_max) / 2])
        matrix = np.hstack([linear, (size / 2 - linear @ middle)[:, None]])
        placed = cv2.warpAffine(crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(placed, dtype=np.uint8)

    def _light(self, picture: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        """Change contrast, brightness and colour with one table a channel."""
        contrast = np.exp(rng.normal(0.0, self._by.light))
        brightness = rng.normal(0.0, self._by.light) * 100.0
        gains = np.exp(rng.normal(0.0, self._by.colour, 3))
        levels = (np.arange(256.0)[:, None] - 128.0) * contrast + 128.0 + brightness
        table = (levels * gains).clip(0, 255).astype(np.uint8)[None]  # (1, 256, 3)
        return np.asarray(cv2.LUT(picture, table), dtype=np.uint8)

    def _coarsen(self, picture: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        side = int(self._size * rng.uniform(0.35, 0.9))
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (self._size, self._size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large, dtype=np.uint8)

    def _blur(self, picture: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        """Blur by defocus, or along a line."""
        if rng.random() < 0.5:
            return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6)), dtype=np.uint8)
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), dtype=np.float32)
        turn = rng.uniform(0.0, np.pi)
        along = np.linspace(-0.5, 0.5, 4 * length) * (length - 1)
        middle = (length - 1) / 2
        np.add.at(
            kernel,
            (np.rint(middle + along * np.sin(turn)).astype(int), np.rint(middle + along * np.cos(turn)).astype(int)),
            1.0,
        )
        return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), dtype=np.uint8)

    def _hide(self, picture: UInt8Array, rng: np.random.Generator) -> None:
        """Paint a patch over a part, in one of the picture's own colours."""
        width, height = (rng.uniform(0.08, 0.3, 2) * self._size).astype(int)
        left, top = rng.integers(0, self._size - width), rng.integers(0, self._size - height)
        colour = picture[rng.integers(self._size), rng.integers(self._size)].copy()
        picture[top : top + height, left : left + width] = colour

    def _add_noise(self, picture: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        start = int(rng.integers(_NOISE_VALUES))
        noise = self._noise[start : start + picture.size].reshape(picture.shape)
        noisy = picture.astype(np.float32) + noise * np.float32(rng.uniform(2.0, 12.0))
        return noisy.clip(0, 255).astype(np.uint8)

"""How an animal stands in a picture: the exact map from its own coordinates to pixels, and the way back."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.exact import Points, fill, wobble

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pose:
    """One view of one animal. Lengths are parts of the picture's width, so that any size shows the same view.

    Attributes:
        x: where the animal's origin stands, from the left edge.
        water_y: row of the waterline below the origin, from the upper edge.
        scale: one unit of the outline.
        level: height, in outline units, at which the water cuts the animal.
        flip: -1 for an animal that heads to the right.
        stretch: foreshortening of the left and the right half, in (0, 1].
        lift: foreshortening upwards, in (0, 1].
        bend: how far the left and the right end rise (+) or hang (-).
        shear: how far the top leans to the right.
        turn: half the tangent of half the roll (rational rotation, exact without sines).
        swell: (7,) heights of the waterline, in outline units.
    """

    x: float
    water_y: float
    scale: float
    level: float
    flip: float
    stretch: tuple[float, float]
    lift: float
    bend: tuple[float, float]
    shear: float
    turn: float
    swell: int

    def place(self, outline: Points, width_px: int) -> Points:
        """Return an outline's points in pixels of a picture of this width."""
        u, v = outline[:, 0] * self.flip, outline[:, 1]
        rear = u < 0.0
        x = u * np.where(rear, self.stretch[0], self.stretch[1]) + v * self.shear
        y = v * self.lift + u * u * np.where(rear, self.bend[0], self.bend[1]) - self.level * self.lift
        cos, sin = self._rotation()
        across = x * cos + y * sin
        upward = y * cos - x * sin
        return np.stack(
            [(across * self.scale + self.x) * width_px - 0.5, (self.water_y - upward * self.scale) * width_px - 0.5],
            axis=1,
        )

    def _rotation(self) -> tuple[float, float]:
        """Return cosine and sine of the roll."""
        square = self.turn * self.turn
        return (1.0 - square) / (1.0 + square), 2.0 * self.turn / (1.0 + square)

    def waterline(self, width_px: int) -> Points:
        """Return the waterline across the animal as points in pixels, left to right."""
        rng = np.random.Generator(np.random.PCG64(self.swell))
        t = np.arange(97) / 96.0
        amplitude = 0.012 + 0.025 * float(rng.random())
        height = wobble(rng, t, 5) * amplitude + wobble(rng, t, 17) * amplitude * 0.4
        x = (self.x + (t * 3.2 - 1.6) * self.scale) * width_px - 0.5
        return np.stack([x, (self.water_y - height * self.scale) * width_px - 0.5], axis=1)

    def unplace(self, columns_px: Float32, rows_px: Float32, width_px: int) -> tuple[Float32, Float32]:
        """Return the outline coordinates (u, v) that pixels show; a few fixed-point steps, for appearance only."""
        right = ((columns_px + 0.5) / width_px - self.x) / self.scale
        upward = (self.water_y - (rows_px + 0.5) / width_px) / self.scale
        cos, sin = self._rotation()
        x = (right * cos - upward * sin).astype(np.float32)
        y = (upward * cos + right * sin).astype(np.float32) + np.float32(self.level * self.lift)
        v = y / np.float32(self.lift)
        for _ in range(3):
            u = x - v * np.float32(self.shear)
            u = u / np.where(u < 0, np.float32(self.stretch[0]), np.float32(self.stretch[1]))
            v = (y - u * u * np.where(u < 0, np.float32(self.bend[0]), np.float32(self.bend[1]))) / np.float32(
                self.lift
            )
        return u * np.float32(self.flip), v


def water_polygon(waterline: Points, height_px: int) -> Points:
    """Return the polygon of all that lies below a waterline, down past the picture's lower edge."""
    deep = max(float(height_px), float(waterline[:, 1].max())) + 64.0
    ends = np.asarray([[waterline[-1, 0], deep], [waterline[0, 0], deep]])
    return np.concatenate([waterline, ends])


def visible_mask(outline_px: Points, waterline_px: Points, width_px: int, height_px: int) -> Mask:
    """Return (h, w) uint8, 255 where the animal shows above the water; integer arithmetic only."""
    mask = np.zeros((height_px, width_px), np.uint8)
    fill(mask, outline_px, 255)
    fill(mask, water_polygon(waterline_px, height_px), 0)
    return mask


def mask_box(mask: Mask) -> tuple[int, int, int, int] | None:
    """Return the tight box (x_min, y_min, x_max, y_max) of a mask's pixels, edges exclusive; None where it is empty."""
    x, y, width, height = cv2.boundingRect(mask)
    return (x, y, x + width, y + height) if width and height else None

"""Paints animals into a picture: skin warped into the pose, lit, wet, with the sea's edge around it."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.exact import Points, fill
from training.synthetic.light import Light
from training.synthetic.plans import AnimalPlan, outline_of
from training.synthetic.pose import water_polygon
from training.synthetic.skin import WIDTH, skin_of
from training.synthetic.warp import enlarge, sample

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

SKIN_WIDTHS = (256, 512, 1024, 2048, 4096)


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the picture that holds an animal.

    Attributes:
        left: its first column.
        top: its first row.
        alpha: (h, w) float32 in [0, 1]: how much of each pixel the animal covers, without the water's edge.
        solid: (h, w) float32: the same with what is under water included.
        colour: (h, w, 3) float32 linear RGB, defined everywhere, so that no fringe shows.
        waterline: (n, 2) points in pixels of the picture.
    """

    left: int
    top: int
    alpha: Float32
    solid: Float32
    colour: Float32
    waterline: Points

    @property
    def window(self) -> tuple[slice, slice]:
        """Return rows and columns of the picture that the patch covers."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def paint(
    animal: AnimalPlan, year: float, light: Light, size: tuple[int, int], rng: np.random.Generator
) -> Patch | None:
    """Return an animal's patch in a picture of (width, height) pixels, or None where it lies outside."""
    width_px, height_px = size
    outline = animal.pose.place(outline_of(animal.individual, animal.body_part, year), width_px)
    waterline = animal.pose.waterline(width_px)
    margin = 2
    low = float(waterline[:, 1].max())
    left, right = int(outline[:, 0].min()) - margin, int(outline[:, 0].max()) + margin + 2
    top, bottom = int(outline[:, 1].min()) - margin, int(min(outline[:, 1].max(), low)) + margin + 2
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, width_px), min(bottom, height_px)
    if right - left < 2 or bottom - top < 2:
        return None
    shape = (bottom - top, right - left)
    offset = np.asarray([left, top], np.float64)
    solid = _coverage(outline - offset, shape)
    water = _coverage(water_polygon(waterline, height_px) - offset, shape)
    colour = _lit(animal, year, light, (left, top, *shape), width_px, rng)
    return Patch(left, top, solid * (1.0 - water), solid, colour, waterline)


def _coverage(polygon: Points, shape: tuple[int, int]) -> Float32:
    """Return how much of each pixel a polygon covers, by supersampling."""
    factor = 4 if shape[0] * shape[1] < 2_000_000 else 2
    fine = np.zeros((shape[0] * factor, shape[1] * factor), np.uint8)
    fill(fine, (polygon + 0.5) * factor - 0.5, 255)
    return cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)


def _lit(
    animal: AnimalPlan,
    year: float,
    light: Light,
    window: tuple[int, int, int, int],
    width_px: int,
    rng: np.random.Generator,
) -> Float32:
    """Return the lit colour of a window (left, top, height, width) of the picture."""
    left, top, height, width = window
    pose = animal.pose
    columns = (np.arange(width, dtype=np.float32) + left)[None, :]
    rows = (np.arange(height, dtype=np.float32) + top)[:, None]
    u, v = pose.unplace(columns, rows, width_px)
    needed = 2.2 * pose.scale * width_px * 1.2
    skin = skin_of(animal.individual, animal.body_part, animal.side, year, _skin_width(needed))
    map_x = (u + np.float32(WIDTH / 2)) * np.float32(skin.per_unit) - np.float32(0.5)
    map_y = (np.float32(skin.top) - v) * np.float32(skin.per_unit) - np.float32(0.5)
    albedo = sample(skin.albedo, map_x, map_y)
    relief = sample(skin.relief, map_x, map_y)
    streaks = _streaks(width, height, pose.scale * width_px, rng)
    return _shade(albedo, relief, streaks, animal, light, rng)


def _skin_width(needed_px: float) -> int:
    """Return the smallest texture that is fine enough."""
    return next((width for width in SKIN_WIDTHS if width >= needed_px), SKIN_WIDTHS[-1])


def _streaks(width: int, height: int, unit_px: float, rng: np.random.Generator) -> Float32:
    """Return films of water running down, (h, w) about zero: noise drawn out vertically."""
    across = max(4, int(width / max(unit_px * 0.03, 2.0)))
    grid = rng.standard_normal((max(3, int(height / max(unit_px * 0.25, 4.0))), across), np.float32)
    return enlarge(grid, width, height)


def _shade(
    albedo: Float32, relief: Float32, streaks: Float32, animal: AnimalPlan, light: Light, rng: np.random.Generator
) -> Float32:
    """Return the radiance of wet skin: sky from above, sun, water from below, and the sky mirrored in the wet."""
    pose = animal.pose
    facing = rng.normal(0.0, 0.18)
    upright = rng.normal(0.1, 0.2) if animal.body_part == "fluke" else 0.0
    right = relief[..., 0] * np.float32(pose.flip) + np.float32(facing)
    upward = relief[..., 1] + np.float32(upright)
    gloss = relief[..., 2] + 0.12 * streaks
    norm = 1.0 / np.maximum(1.0, np.sqrt(right * right + upward * upward))
    right, upward = right * norm, upward * norm
    toward = np.sqrt(np.maximum(1.0 - right * right - upward * upward, 0.0025))
    sun_x, sun_y, sun_away = light.sun
    sunny = np.maximum(right * sun_x + upward * sun_y - toward * sun_away, 0.0)
    open_sky = 0.5 + 0.5 * upward
    mirrored = 2.0 * toward * upward
    wet = (0.028 + 0.5 * (1.0 - toward) ** 4) * np.clip(gloss + 0.25, 0.15, 1.3)
    half = np.asarray([sun_x, sun_y, 1.0 - sun_away])
    half = half / np.linalg.norm(half)
    glare = np.exp(90.0 * (right * half[0] + upward * half[1] + toward * half[2] - 1.0)).astype(np.float32)
    glare += 5.0 * np.exp(900.0 * (right * half[0] + upward * half[1] + toward * half[2] - 1.0))
    ambient = light.ambient_rgb()
    sky = 0.35 * np.asarray(light.horizon_rgb, np.float32) + 0.65 * np.asarray(light.zenith_rgb, np.float32)
    sun = np.asarray(light.sun_rgb, np.float32)
    water = np.asarray(light.water_rgb, np.float32) * 2.0
    lit = open_sky[..., None] * ambient + (1.0 - open_sky)[..., None] * water + (sunny * 0.9)[..., None] * sun
    above = np.clip(0.5 + 1.2 * mirrored, 0.0, 1.0)
    shine = (wet * above * 1.5)[..., None] * sky + (glare * np.clip(gloss, 0.1, 1.2) * 0.16)[..., None] * sun
    return np.asarray(albedo * lit + shine, np.float32)

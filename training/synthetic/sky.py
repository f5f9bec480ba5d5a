"""Sky with clouds, and the coast: what stands over the horizon."""

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.light import Light
from training.synthetic.optics import Optics
from training.synthetic.warp import enlarge, sample

Float32 = npt.NDArray[np.float32]
COARSE = 4


def paint_sky(optics: Optics, light: Light, rows: int, rng: np.random.Generator) -> Float32:
    """Return the uppermost rows of the picture as sky, (rows, width, 3) float32 linear RGB.

    Clouds are flat layers high up, so they crowd together towards the horizon. All of it is soft, so it is drawn on
    every fourth pixel and enlarged.
    """
    width = optics.width_px
    columns = np.linspace(-width / 2, width / 2, width // COARSE + 2, dtype=np.float32)
    down = np.linspace(0, rows, rows // COARSE + 2, dtype=np.float32)[:, None]
    above = np.float32(optics.horizon_px) + np.float32(optics.tilt) * columns - down
    angle = np.maximum(above, 0.0) / np.float32(optics.focal_px)
    lean = columns / np.float32(optics.focal_px)
    height = 1.0 - np.exp(-angle * np.float32(3.5))
    bright = np.clip(_clouds(angle, lean, rng) * np.float32(light.clouds), -0.5, 1.0)
    parts = cv2.merge([1.0 - height, height, bright, _sun_glow(light, angle, lean)])
    cloud = (np.asarray(light.horizon_rgb) * 0.45 + np.asarray(light.sun_rgb) * 0.12).astype(np.float32)
    matrix = np.asarray([light.horizon_rgb, light.zenith_rgb, cloud, light.sun_rgb], np.float32).T
    coarse = np.maximum(cv2.transform(parts, np.ascontiguousarray(matrix)), np.float32(0.01))
    return np.asarray(cv2.resize(coarse, (width, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _sun_glow(light: Light, angle: Float32, lean: Float32) -> Float32:
    """Return the brightening towards the sun."""
    right, up, away = light.sun
    towards = away + right * lean + up * angle
    return np.clip(towards, 0.0, 1.0) ** 4 * np.float32(0.18)


def _clouds(angle: Float32, lean: Float32, rng: np.random.Generator) -> Float32:
    """Return cloud brightness about zero: noise in perspective, drawn out along the horizon, bright parts fuller."""
    total = np.zeros_like(angle)
    span = float(angle.max()) + 1e-4
    depth = np.log1p(angle * np.float32(30.0)) / np.float32(np.log1p(30.0 * span))
    side = lean / np.float32(2 * max(float(lean.max()), 1e-4)) + np.float32(0.5)
    across, upward = rng.uniform(1.5, 4.0), rng.uniform(1.5, 3.5)
    for octave in range(5):
        cells = 2.0**octave
        grid = rng.standard_normal((int(upward * cells) + 4, int(across * cells) + 4), np.float32)
        grid = enlarge(grid, grid.shape[1] * 4, grid.shape[0] * 4)
        map_x = np.broadcast_to(side * np.float32(across * cells * 4), angle.shape)
        total += sample(grid, map_x + 6.0, depth * np.float32(upward * cells * 4) + 6.0) * np.float32(0.58**octave)
    return np.asarray(np.maximum(total, -0.6) * np.float32(0.5), np.float32)


def paint_hills(sky: Float32, optics: Optics, light: Light, rng: np.random.Generator) -> None:
    """Draw one to three ranges of hills along the horizon, far to near, in place."""
    rows, width = sky.shape[:2]
    columns = np.arange(width, dtype=np.float32)
    horizon = np.float32(optics.horizon_px) + np.float32(optics.tilt) * (columns - width / 2)
    count = int(rng.integers(1, 4))
    for index in range(count):
        distance_m = rng.uniform(2.5e3, 12e3) * (count - index)
        peak_px = rng.uniform(0.01, 0.05) * width / (1 + 0.4 * (count - 1 - index))
        ridge = _ridge(width, rng) * np.float32(peak_px)
        rock = np.asarray([0.050, 0.060, 0.048]) * np.exp(rng.normal(0.0, 0.3, 3) * 0.4)
        clear = float(np.exp(-distance_m / light.visibility_m * 0.9))
        lit = rock * (light.ambient_rgb() + np.asarray(light.sun_rgb) * 0.5)
        colour = lit * clear + np.asarray(light.horizon_rgb) * (1.0 - clear)
        cover = np.clip(np.arange(rows, dtype=np.float32)[:, None] - (horizon - ridge) + 0.5, 0.0, 1.0)
        grain = 1.0 + 0.12 * clear * cv2.resize(
            rng.standard_normal((max(rows // 5, 3), max(width // 8, 3)), np.float32),
            (width, rows),
            interpolation=cv2.INTER_CUBIC,
        )
        sky += cover[..., None] * (colour.astype(np.float32) * grain[..., None] - sky)


def _ridge(width: int, rng: np.random.Generator) -> Float32:
    """Return a ridge line's heights in about [0, 1]; zero where the land ends."""
    x = np.linspace(0.0, 1.0, width)
    total = np.zeros(width)
    for octave in range(7):
        knots = 3 * 2**octave
        if knots > width / 3:
            break
        heights = rng.normal(0.0, 1.0, knots + 2)
        line = cv2.resize(heights[None, :].astype(np.float32), (width, 1), interpolation=cv2.INTER_CUBIC)[0]
        total += line * 0.5**octave
    slope = rng.normal(0.0, 1.5) * (x - rng.random())
    return np.clip(total * 0.35 + 0.35 + slope, 0.0, 2.0).astype(np.float32)

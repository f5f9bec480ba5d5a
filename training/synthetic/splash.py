"""Where animal and sea meet: reflection, foam along the waterline, spray, drops, blow."""

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.animals import Patch
from training.synthetic.light import Light
from training.synthetic.warp import enlarge, sample

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


def white(light: Light) -> Float32:
    """Return the radiance of foam."""
    sun = np.asarray(light.sun_rgb, np.float32)
    return (light.ambient_rgb() * 0.95 + sun * np.float32(0.45 * max(light.sun[1], 0.15))).astype(np.float32)


def blend(picture: Float32, top: int, left: int, alpha: Float32, colour: Float32) -> None:
    """Lay a colour, (3,) or (h, w, 3), over a rectangle of the picture in place; clipped to the picture."""
    height, width = alpha.shape
    row, column = max(top, 0), max(left, 0)
    bottom, right = min(top + height, picture.shape[0]), min(left + width, picture.shape[1])
    if bottom <= row or right <= column:
        return
    part = np.s_[row - top : bottom - top, column - left : right - left]
    cover = alpha[part][..., None]
    under = picture[row:bottom, column:right]
    under += cover * ((colour[part] if colour.ndim == 3 else colour) - under)


def reflect(picture: Float32, patch: Patch, strength: float, rough: float) -> None:
    """Mirror an animal in the water before it, broken up by the waves, in place."""
    height, width = patch.alpha.shape
    line = np.interp(np.arange(width) + patch.left, patch.waterline[:, 0], patch.waterline[:, 1]).astype(np.float32)
    first = max(int(line.min()), 0)
    last = min(int(line.max() + height * 0.75) + 1, picture.shape[0])
    if last - first < 2:
        return
    under = picture[first:last, patch.left : patch.left + width]
    level = under.mean(axis=2)
    waves = (level - cv2.blur(level, (31, 31))) / max(float(level.mean()), 1e-6)
    rows = np.arange(first, last, dtype=np.float32)[:, None]
    below = rows - line
    source_y = line - patch.top - below / np.float32(0.75) + waves * np.float32(rough * height)
    source_x = np.broadcast_to(np.arange(width, dtype=np.float32), source_y.shape) + waves * np.float32(
        rough * height * 0.3
    )
    alpha = sample(patch.alpha, source_x, source_y, outside=0.0)
    colour = sample(patch.colour, source_x, source_y)
    fade = np.clip(1.0 - below / np.float32(height), 0.0, 1.0) * (below > 0)
    under += (alpha * fade * np.float32(strength))[..., None] * (colour * 0.8 - under)


def foam_line(
    picture: Float32, patch: Patch, unit_px: float, churn: float, light: Light, rng: np.random.Generator
) -> None:
    """Draw foam and broken water along the waterline where the animal stands in it, in place."""
    width = patch.alpha.shape[1]
    pad = int(unit_px * 0.25) + 4
    line_at = np.arange(-pad, width + pad) + patch.left
    line = np.interp(line_at, patch.waterline[:, 0], patch.waterline[:, 1]).astype(np.float32)
    wet = _wet_columns(patch, pad)
    thick = np.float32(unit_px * (0.012 + 0.06 * churn))
    top = int(line.min() - thick * 3) - 2
    rows = np.arange(top, int(line.max() + thick * 5) + 3, dtype=np.float32)[:, None]
    below = (rows - line) / thick
    spread = np.where(below < 0, np.exp(-((below * 1.7) ** 2)), np.exp(-((below / 2.2) ** 2)))
    lumps = _lumps(rng, (len(rows), width + 2 * pad), unit_px * 0.05)
    fine = _lumps(rng, (len(rows), width + 2 * pad), max(unit_px * 0.012, 1.2))
    cover = spread * wet * np.clip(0.3 + 0.8 * churn + 0.36 * lumps + 0.3 * fine, 0.0, 1.0)
    shaded = np.clip(0.72 + 0.16 * lumps + 0.14 * fine, 0.4, 1.0)[..., None] * white(light)
    blend(picture, top, patch.left - pad, (cover * 0.92).astype(np.float32), shaded.astype(np.float32))


def _wet_columns(patch: Patch, pad: int) -> Float32:
    """Return in [0, 1], for each column and `pad` more on each side, whether the animal enters the water there."""
    height, width = patch.alpha.shape
    rows = np.clip(
        np.interp(np.arange(width) + patch.left, patch.waterline[:, 0], patch.waterline[:, 1]) - patch.top,
        0,
        height - 1,
    )
    at = patch.solid[rows.astype(np.int64), np.arange(width)]
    wide = np.pad(at, pad)[None, :].astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(wide, (0, 0), max(pad * 0.35, 1.0))[0], np.float32)
    return np.asarray(np.minimum(soft * np.float32(1.5), 1.0), np.float32)


def _lumps(rng: np.random.Generator, shape: tuple[int, int], size_px: float) -> Float32:
    """Return smooth noise of a lump size, about zero; flat lumps, for they float on water seen from low down."""
    flat = max(size_px / 3.0, 1.0)
    grid = rng.standard_normal((int(shape[0] / flat) + 3, int(shape[1] / size_px) + 3), np.float32)
    return enlarge(grid, shape[1], shape[0])


def spray(
    picture: Float32, patch: Patch, unit_px: float, amount: float, light: Light, rng: np.random.Generator
) -> None:
    """Throw drops and mist up from the waterline, in place."""
    height, width = patch.alpha.shape
    reach = int(unit_px * (0.12 + 0.4 * amount)) + 2
    wet = np.flatnonzero(_wet_columns(patch, reach) > 0.3)
    if len(wet) == 0:
        return
    line = np.interp(wet - reach + patch.left, patch.waterline[:, 0], patch.waterline[:, 1]) - patch.top + reach
    layer = np.zeros((height + 2 * reach, width + 2 * reach), np.uint8)
    source = int(rng.integers(len(wet)))
    finer = min(max(unit_px / 150.0, 1.0), 8.0)
    for _ in range(int((60 + 500 * amount) * finer)):
        index = int(np.clip(source + rng.normal(0.0, 0.22) * len(wet), 0, len(wet) - 1))
        spot = (wet[index] + rng.normal(0.0, 0.15) * reach, line[index] - rng.exponential(0.35) * reach)
        _drop(layer, spot, unit_px * 0.0032 * float(np.exp(rng.normal(0.0, 0.5))) / finer**0.6, rng)
    drops = layer.astype(np.float32) * np.float32(1 / 255)
    mist = cv2.GaussianBlur(drops, (0, 0), max(unit_px * 0.03, 1.0)) * np.float32(1.0 + 0.6 * amount)
    cover = np.asarray(np.clip(drops * 0.85 + mist, 0.0, 0.93), np.float32)
    blend(picture, patch.top - reach, patch.left - reach, cover, white(light))


def _drop(layer: UInt8, spot: tuple[float, float], radius_px: float, rng: np.random.Generator) -> None:
    """Draw one drop: a dot while it is small, a short streak of its flight where it would show as a disc."""
    shade = int(rng.integers(90, 255))
    place = (round(spot[0] * 16), round(spot[1] * 16))
    if radius_px < 1.2:
        cv2.circle(layer, place, max(6, round(radius_px * 16)), shade, -1, cv2.LINE_AA, 4)
        return
    flight = rng.normal(0.0, 1.0, 2) * radius_px * (16, 30)
    end = (place[0] + round(flight[0]), place[1] + round(flight[1]))
    cv2.line(layer, place, end, shade, max(1, round(radius_px * 1.3)), cv2.LINE_AA, 4)


def drips(picture: Float32, patch: Patch, unit_px: float, light: Light, rng: np.random.Generator) -> None:
    """Let water run off the animal's lower edges in thin falling threads, in place."""
    height, width = patch.alpha.shape
    layer = np.zeros((height * 2, width), np.uint8)
    inside = patch.alpha > 0.5
    bottoms = height - 1 - np.argmax(inside[::-1], axis=0)
    filled = np.flatnonzero(inside.any(axis=0))
    if len(filled) < 4:
        return
    for column in rng.choice(filled, min(int(rng.integers(4, 26)), len(filled)), replace=False):
        start = int(bottoms[column])
        length = int(rng.exponential(0.06) * unit_px) + 2
        shade = int(rng.integers(30, 120))
        thick = max(1, round(unit_px * 0.004))
        cv2.line(layer, (int(column), start), (int(column), start + length), shade, thick, cv2.LINE_AA)
    line = np.interp(np.arange(width) + patch.left, patch.waterline[:, 0], patch.waterline[:, 1]) - patch.top
    dry = np.arange(height * 2)[:, None] < line
    blend(picture, patch.top, patch.left, layer.astype(np.float32) * np.float32(0.7 / 255) * dry, white(light))

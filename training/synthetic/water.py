"""The sea's surface in perspective: which water each pixel sees, and its colour.

Wave crests hide what lies behind them: for every column the surface is walked from near to far and a pixel sees the
first water that rises into its line of sight. Slopes are averaged exactly over each row's footprint in depth (box
filters from running sums), and what averaging takes from the slopes' variance comes back as roughness of the glitter
(after Bruneton et al. 2010, "Real-time realistic ocean lighting").
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.light import Light
from training.synthetic.optics import Optics
from training.synthetic.warp import sample
from training.synthetic.waves import DIRECTIONS, TILE_TEXELS, WIND_CLASSES_MPS, wave_tile

Float32 = npt.NDArray[np.float32]

STRIP_PX = 320
STEP_PX = 1.0
COLUMN_STEP = 4
MOST_MIRRORED = 0.66
HIGHEST_CREST = 0.5
FINE_M = 0.009


@dataclass(frozen=True, slots=True)
class SeaState:
    """The sea of an encounter.

    Attributes:
        wind_class: index of WIND_CLASSES_MPS.
        direction: where the waves run, in sixths of a half turn.
        steepness: factor on heights and slopes.
    """

    wind_class: int
    direction: int
    steepness: float


@dataclass(frozen=True, slots=True)
class Surface:
    """What each pixel of a strip sees; arrays are (rows, columns) float32.

    Attributes:
        cover: how much of the pixel is water, 0 for sky.
        slope_x: rise to the right.
        slope_y: rise away from the camera.
        rough: variance of the slopes that are too small to see.
        grazing: slope of the line of sight, downwards.
        distance_m: of the water seen.
    """

    cover: Float32
    slope_x: Float32
    slope_y: Float32
    rough: Float32
    grazing: Float32
    distance_m: Float32


@dataclass(frozen=True, slots=True)
class _Band:
    """One wave scale averaged over the depth samples.

    Attributes:
        per_m: texels a metre.
        shift: where the tile starts, in texels.
        slopes: (n, texels + 1, 2) float32.
        heights: (n, texels + 1) float32.
        lost: (n,) variance of the slopes that averaging took away.
    """

    per_m: float
    shift: float
    slopes: Float32
    heights: Float32
    lost: Float32


class Sea:
    """One photo's sea: depth samples shared by all columns, walked strip by strip."""

    def __init__(self, optics: Optics, state: SeaState, rng: np.random.Generator) -> None:
        """Lay out the depth samples and average the waves over them."""
        self.optics = optics
        self.state = state
        crest_m = wave_tile(0, state.wind_class, state.direction).crest_m
        self.steepness = min(state.steepness, HIGHEST_CREST * optics.eye_m / crest_m)
        self.below = self._depth_samples(self.steepness * crest_m / optics.eye_m)
        self.depth = optics.eye_m * optics.focal_px / self.below
        scales = range(2 if self.depth[0] / optics.focal_px > FINE_M else 3)
        self.bands = [self._band(scale, rng) for scale in scales]
        capillary = 0.0006 * WIND_CLASSES_MPS[state.wind_class] + 0.0006
        lost = np.sum([band.lost for band in self.bands], axis=0)
        self.rough = (lost * self.steepness**2 + capillary).astype(np.float32)

    def _depth_samples(self, crest: float) -> npt.NDArray[np.float64]:
        """Return where to sample the surface, as rows below the horizon if it were flat, near to far.

        Args:
            crest: height of the highest crest over the lens's height. Water that far above the mean appears at
                (1 - crest) of its flat row, so samples begin nearer than the picture's lower edge and end past its top.
        """
        optics = self.optics
        horizons = (optics.horizon_at(0.0), optics.horizon_at(float(optics.width_px)))
        bottom = max(optics.height_px - min(horizons), 4.0)
        top = max(-max(horizons), 0.0)
        return np.arange(bottom / (1.0 - crest) + 4.0, max(top / (1.0 + crest) - 4.0, 0.4), -STEP_PX)

    def _band(self, scale: int, rng: np.random.Generator) -> _Band:
        """Average one scale's tile over the footprint of every depth sample."""
        tile = wave_tile(scale, self.state.wind_class, self.state.direction)
        half = np.maximum(np.gradient(self.depth), tile.texel_m) / 2.0
        start = (self.depth + float(rng.random()) * tile.size_m - half) / tile.texel_m
        length = 2.0 * half / tile.texel_m
        lateral = self.optics.eye_m / self.below
        scale_rows = np.clip(2.0 - lateral / (2.0 * tile.texel_m), 0.0, 1.0) / length * self.steepness
        slopes = _averages(tile.slopes, start, length, scale_rows)
        kept = np.einsum("nuc,nuc->n", slopes, slopes) / (TILE_TEXELS * self.steepness**2)
        heights = _averages(
            tile.heights[:, :, None] if scale == 0 else tile.heights[:, :1, None], start, length, scale_rows
        )[..., 0]
        lost = np.maximum(tile.slope_variance - kept, 0.0).astype(np.float32)
        return _Band(1.0 / tile.texel_m, float(rng.random()) * TILE_TEXELS, slopes, heights, lost)

    def surface(self, first: int, last: int, first_row: int) -> Surface:
        """Return what the pixels of columns [first, last) see, from `first_row` down."""
        optics = self.optics
        columns = np.arange(first, last, dtype=np.float32) + np.float32(0.5 - optics.width_px / 2.0)
        lean = columns / np.float32(optics.focal_px)
        index, edge = self._seen(columns, first_row)
        below = np.float32(self.below[0]) - index * np.float32(STEP_PX)
        distance = np.float32(optics.eye_m * optics.focal_px) / below
        place = distance * lean
        slopes = _look_up(self.bands[0], self.bands[0].slopes, place, index)
        for band in self.bands[1:]:
            slopes += _look_up(band, band.slopes, place, index)
        slope_x, slope_y = np.ascontiguousarray(slopes[..., 0]), np.ascontiguousarray(slopes[..., 1])
        rough = np.take(self.rough, index.astype(np.int32), mode="clip")
        rows = np.arange(first_row, optics.height_px, dtype=np.float32)[:, None]
        cover = np.clip(rows - edge + np.float32(0.5), 0.0, 1.0)
        return Surface(cover, slope_x, slope_y, rough, below / np.float32(optics.focal_px), distance)

    def _seen(self, columns: Float32, first_row: int) -> tuple[Float32, Float32]:
        """Walk the surface from near to far along some of the columns, and interpolate between them.

        Returns:
            the fractional depth sample each pixel sees, (rows, columns); the row of the sea's far edge, (columns,).
        """
        optics = self.optics
        few = np.linspace(columns[0], columns[-1], max(2, len(columns) // COLUMN_STEP), dtype=np.float32)
        horizon = np.float32(optics.horizon_px - first_row - 0.5) + np.float32(optics.tilt) * few
        depth = self.depth.astype(np.float32)[:, None]
        index = np.repeat(np.arange(len(depth), dtype=np.float32)[:, None], len(few), axis=1)
        line = self.below.astype(np.float32)[:, None] + horizon
        rise = _look_up(self.bands[0], self.bands[0].heights, depth * (few / np.float32(optics.focal_px)), index)
        line -= rise * (np.float32(optics.focal_px) / depth)
        line = np.minimum.accumulate(line, axis=0)
        line = np.asarray(cv2.resize(line, (len(columns), len(line)), interpolation=cv2.INTER_LINEAR), np.float32)
        seen = np.minimum(_first_below(line, optics.height_px - first_row), np.float32(len(depth) - 1))
        return seen, line[-1] + np.float32(first_row)


def _look_up(band: _Band, rows: Float32, place: Float32, index: Float32) -> Float32:
    """Sample averaged rows at lateral places (m) and fractional depth samples."""
    across = place * np.float32(band.per_m) + np.float32(band.shift)
    across -= np.floor(across * np.float32(1.0 / TILE_TEXELS)) * np.float32(TILE_TEXELS)
    return sample(rows, across, index)


def _first_below(line: Float32, rows: int) -> Float32:
    """Return, for each pixel row, the fractional index at which a falling line passes it.

    Args:
        line: (n, columns) rows, never rising along axis 0.
        rows: number of pixel rows.

    Returns:
        (rows, columns) float32 in [0, n]; n where the line never falls so far.
    """
    count, width = line.shape
    entered = np.ceil(np.clip(line, 0, rows)).astype(np.int32)
    entered *= width
    entered += np.arange(width, dtype=np.int32)
    histogram = np.bincount(entered.ravel(), minlength=(rows + 1) * width)[: rows * width].reshape(rows, width)
    index = np.int32(count) - np.cumsum(histogram, axis=0, dtype=np.int32)
    place = np.asarray(index * np.int32(width) + np.arange(width, dtype=np.int32), np.int32)
    after = np.take(line, place, mode="clip")
    before = np.take(line, np.asarray(place - np.int32(width)), mode="clip")
    part = (before - np.arange(rows, dtype=np.float32)[:, None]) / np.maximum(before - after, np.float32(1e-4))
    inner = index.astype(np.float32) - 1 + np.clip(part, 0.0, 1.0, dtype=np.float32)
    return np.where((index > 0) & (index < count), inner, index.astype(np.float32))


def _averages(
    running: Float32, start: npt.NDArray[np.float64], length: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
) -> Float32:
    """Return scaled means of a periodic field over stretches of depth.

    Args:
        running: (texels + 1, texels, c) running sums along depth.
        start: (n,) where each stretch begins, in texels.
        length: (n,) how long it is, in texels.
        scale: (n,) factor on each row's sum.

    Returns:
        (n, texels + 1, c) float32; the first column is repeated after the last, so that interpolation wraps.
    """
    total = np.zeros((len(start), *running.shape[1:]), np.float32)
    for place, sign in ((start + length, 1.0), (start, -1.0)):
        turns = np.floor(place / TILE_TEXELS)
        inside = place - turns * TILE_TEXELS
        cell = np.minimum(inside.astype(np.int64), TILE_TEXELS - 1)
        part = inside - cell
        turns -= np.floor(start[0] / TILE_TEXELS)
        for rows, weight in ((cell, 1.0 - part), (cell + 1, part), (np.full_like(cell, TILE_TEXELS), turns)):
            total += running[rows] * (sign * weight * scale).astype(np.float32)[:, None, None]
    return np.concatenate([total, total[:, :1]], axis=1)


def shade(surface: Surface, light: Light, focal_px: float, columns_px: Float32) -> Float32:
    """Return the water's radiance.

    Args:
        surface: what each pixel sees.
        light: the encounter's light.
        focal_px: focal length.
        columns_px: (columns,) columns relative to the picture's middle.

    Returns:
        (rows, columns, 3) float32 linear RGB.
    """
    lean = columns_px / np.float32(focal_px)
    norm = surface.slope_x * surface.slope_x
    norm += surface.slope_y * surface.slope_y
    norm = 1.0 / np.sqrt(norm + 1.0)
    facing = (surface.slope_y + surface.grazing + surface.slope_x * lean) * norm
    facing = 0.5 * (facing + np.sqrt(facing * facing + np.float32(1.5) * surface.rough))
    spread = np.sqrt(surface.rough)
    mirror = 1.0 - np.minimum(facing, 1.0)
    square = mirror * mirror
    mirror *= square
    mirror *= square
    mirror *= 0.92 / (1.0 + 14.0 * surface.rough * spread)
    mirror = np.minimum(mirror + 0.02, MOST_MIRRORED)
    high = np.clip(2.0 * facing * norm - surface.grazing + 0.55 * spread, 0.0, 1.0)
    high *= 1.9 - 0.9 * high
    clear = np.exp(surface.distance_m * np.float32(-1.0 / light.visibility_m))
    mirrored = mirror * clear
    parts = [clear - mirrored, mirrored * (1.0 - high) + (1.0 - clear), mirrored * high]
    colours = [light.water_rgb, light.horizon_rgb, light.zenith_rgb]
    if max(light.sun_rgb) > 0.02:
        parts.append(_glint(surface, light, lean) * mirrored)
        colours.append(light.sun_rgb)
    matrix = np.ascontiguousarray(np.asarray(colours, np.float32).T)
    return np.asarray(cv2.transform(cv2.merge(parts), matrix), np.float32)


def _glint(surface: Surface, light: Light, lean: Float32) -> Float32:
    """Return the sun's glitter over its white: a Gaussian of the slopes around the one that mirrors the sun."""
    right, up, away = light.sun
    half_up = 1.0 / (surface.grazing + np.float32(up))
    ask_x = (lean - np.float32(right)) * half_up - surface.slope_x
    ask_y = np.float32(1.0 - away) * half_up - surface.slope_y
    ask_x *= ask_x
    ask_y *= ask_y
    rough = 1.0 / (surface.rough + np.float32(0.0012))
    peak = np.exp((ask_x + ask_y) * rough * np.float32(-0.5)) * rough
    return np.asarray(np.minimum(peak * np.float32(0.35), 14.0), np.float32)


def draw_sea_state(rng: np.random.Generator) -> SeaState:
    """Draw the sea of one encounter; calm more often than rough, for that is when photos are taken."""
    wind = int(rng.choice(len(WIND_CLASSES_MPS), p=(0.22, 0.28, 0.24, 0.16, 0.10)))
    return SeaState(wind, int(rng.integers(DIRECTIONS)), float(rng.uniform(0.65, 1.1)))

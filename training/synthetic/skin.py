"""Skin: colour, relief and gloss of one animal's body part as a texture, from the individual's seed."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.exact import fill
from training.synthetic.individuals import BodyPart, Draw, Individual, Side
from training.synthetic.outlines import flank_outline, fluke_outline
from training.synthetic.warp import enlarge

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

WIDTH = 2.2
TOP = {"fluke": 0.85, "flank": 0.55}
BOTTOM = {"fluke": -0.75, "flank": -0.35}
BOLD = {"fluke": 1.0, "flank": 1.8}
ROUNDNESS = {"fluke": 0.07, "flank": 0.26}


@dataclass(frozen=True, slots=True)
class Skin:
    """A texture over the outline's coordinates: x in [-1.1, 1.1] to the right, y from TOP down to BOTTOM.

    Attributes:
        per_unit: texels per outline unit.
        top: y of the first row.
        albedo: (h, w, 3) float32 linear RGB reflectance.
        relief: (h, w, 3) float32: normal to the right, normal upwards, gloss in [0, 1].
    """

    per_unit: float
    top: float
    albedo: Float32
    relief: Float32


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Where outline coordinates fall on the texture, and how large marks are on this body part."""

    width: int
    height: int
    per_unit: float
    top: float
    bold: float

    def place(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return outline points in texels."""
        return np.stack([(points[:, 0] + WIDTH / 2) * self.per_unit, (self.top - points[:, 1]) * self.per_unit], axis=1)


@lru_cache(maxsize=24)
def skin_of(individual: Individual, body_part: BodyPart, side: Side | None, year: float, width: int) -> Skin:
    """Return the skin at a resolution of `width` texels; left and right flanks bear different marks."""
    per_unit = width / WIDTH
    height = round((TOP[body_part] - BOTTOM[body_part]) * per_unit)
    canvas = _Canvas(width, height, per_unit, TOP[body_part], BOLD[body_part])
    key = 0 if side is None else 1 + ("left", "right").index(side)
    make = Draw.FLUKE_SKIN if body_part == "fluke" else Draw.FLANK_SKIN
    bright = _pattern(individual, make, canvas) if body_part == "fluke" else _mottle(individual, make, key, canvas)
    scars, dents = _scars(individual, make, key, year, canvas)
    albedo = _colour(individual, make, bright, scars)
    relief = _relief(individual, body_part, year, canvas, dents)
    return Skin(per_unit, canvas.top, albedo, relief)


def fractal(
    rng_keys: tuple[Individual, Draw, int], canvas: _Canvas, cells: float, octaves: int, fall: float
) -> Float32:
    """Return smooth noise about zero, standard deviation near one, that gains detail with resolution.

    Args:
        rng_keys: individual, use and number of the stream.
        canvas: size of the texture.
        cells: lattice cells across the texture's width in the first octave.
        octaves: how many; those finer than two texels are left out.
        fall: amplitude of each octave relative to the one before.
    """
    individual, use, number = rng_keys
    total = np.zeros((canvas.height, canvas.width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        across = cells * 2.0**octave
        if across > canvas.width / 2:
            break
        rng = individual.stream(use, number, octave)
        grid = rng.standard_normal((int(across * canvas.height / canvas.width) + 2, int(across) + 2), np.float32)
        total += enlarge(grid, canvas.width, canvas.height) * np.float32(weight)
        weight *= fall
    return total


def _smoothstep(values: Float32, low: float, high: float) -> Float32:
    """Return the smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    step: Float32 = t * t * (3.0 - 2.0 * t)
    return step


def _pattern(individual: Individual, use: Draw, canvas: _Canvas) -> Float32:
    """Return a fluke's pale pigment in [0, 1]: from all dark over patches to nearly all white."""
    rng = individual.stream(use, 10)
    kind = rng.random()
    u = np.abs(np.linspace(-WIDTH / 2, WIDTH / 2, canvas.width, dtype=np.float32))[None, :]
    v = (canvas.top - np.arange(canvas.height, dtype=np.float32) / np.float32(canvas.per_unit))[:, None]
    field = fractal((individual, use, 11), canvas, 5.0, 6, 0.6)
    lean = np.float32(rng.normal(0.0, 1.2)) * (u - 0.5) + np.float32(rng.normal(0.0, 1.5)) * (v - 0.2)
    shift = rng.uniform(1.6, 2.6) if kind < 0.5 else rng.uniform(0.2, 1.5) if kind < 0.85 else rng.uniform(-1.2, 0.0)
    pale = _smoothstep(np.asarray(field + lean - shift, np.float32), 0.0, rng.uniform(0.25, 0.9))
    pale *= _smoothstep(np.asarray(v + 0.25 * u, np.float32), -0.12, 0.1)
    speck = fractal((individual, use, 12), canvas, 40.0, 4, 0.8)
    mottled: Float32 = pale * np.clip(0.85 + 0.12 * speck, 0.3, 1.1) * np.float32(rng.uniform(0.55, 1.0))
    return mottled


def _mottle(individual: Individual, use: Draw, key: int, canvas: _Canvas) -> Float32:
    """Return a flank's paler blotches in [0, 1], different on each side."""
    rng = individual.stream(use, 10)
    field = fractal((individual, use, 20 + key), canvas, rng.uniform(6.0, 13.0), 6, rng.uniform(0.45, 0.7))
    pale = _smoothstep(field - np.float32(rng.uniform(0.0, 1.4)), 0.0, rng.uniform(0.3, 1.0))
    return pale * np.float32(rng.uniform(0.3, 0.8))


def _scars(individual: Individual, use: Draw, key: int, year: float, canvas: _Canvas) -> tuple[Float32, UInt8]:
    """Draw scratches, rakes, pocks and ovals.

    Returns:
        How much paler (+) or darker (-) they make the skin, and the dents they leave, 0..255.
    """
    rng = individual.stream(use, 30 + key)
    pale = np.zeros((canvas.height, canvas.width), np.uint8)
    dark = np.zeros_like(pale)
    for index in range(int(rng.integers(5, 22)) + 5):
        late = index % 5 == 4
        got = float(rng.random()) * 12.0 if late else 0.0
        draw_mark = (_scratch, _rake, _pocks, _oval)[int(rng.choice(4, p=(0.36, 0.16, 0.3, 0.18)))]
        place = np.asarray(
            [rng.uniform(-0.95, 0.95), rng.uniform(-0.25, 0.45) if use is Draw.FLUKE_SKIN else rng.uniform(-0.05, 0.22)]
        )
        shade = int(rng.uniform(70, 255))
        target = pale if rng.random() < 0.8 else dark
        layer = target if got <= year else np.zeros_like(pale)
        draw_mark(rng, layer, canvas, place, shade)
    dents = np.maximum(pale, dark)
    return (pale.astype(np.float32) - dark.astype(np.float32)) * np.float32(1 / 255), dents


def _line(layer: UInt8, canvas: _Canvas, points: npt.NDArray[np.float64], shade: int, thick: float) -> None:
    """Draw a smooth line; `thick` in outline units."""
    texels = np.rint(canvas.place(points) * 16).astype(np.int32)[:, None, :]
    cv2.polylines(layer, [texels], False, shade, max(1, round(thick * canvas.bold * canvas.per_unit)), cv2.LINE_AA, 4)


def _curve(rng: np.random.Generator, place: npt.NDArray[np.float64], length: float) -> npt.NDArray[np.float64]:
    """Return a gently bent line of nine points through a place."""
    angle, bent = rng.uniform(0.0, np.pi), rng.normal(0.0, 0.25)
    t = np.linspace(-0.5, 0.5, 9)
    along = np.stack([np.cos(angle + bent * t), np.sin(angle + bent * t)], axis=1)
    return place + along * (t * length)[:, None]


def _scratch(
    rng: np.random.Generator, layer: UInt8, canvas: _Canvas, place: npt.NDArray[np.float64], shade: int
) -> None:
    """Draw one scratch."""
    _line(layer, canvas, _curve(rng, place, rng.uniform(0.08, 0.5)), shade, rng.uniform(0.003, 0.014))


def _rake(rng: np.random.Generator, layer: UInt8, canvas: _Canvas, place: npt.NDArray[np.float64], shade: int) -> None:
    """Draw the parallel lines that teeth leave."""
    line = _curve(rng, place, rng.uniform(0.08, 0.25))
    across = np.asarray([-(line[-1] - line[0])[1], (line[-1] - line[0])[0]])
    across *= 0.022 * canvas.bold / max(float(np.hypot(*across)), 1e-6)
    for index in range(int(rng.integers(3, 6))):
        _line(layer, canvas, line + across * index, shade, 0.005)


def _pocks(rng: np.random.Generator, layer: UInt8, canvas: _Canvas, place: npt.NDArray[np.float64], shade: int) -> None:
    """Draw a loose group of small round marks."""
    for _ in range(int(rng.integers(2, 9))):
        spot = canvas.place((place + rng.normal(0.0, 0.09, 2))[None, :])[0]
        radius = rng.uniform(0.005, 0.017) * canvas.bold * canvas.per_unit
        cv2.circle(layer, _fixed(spot), max(8, round(radius * 16)), shade, -1, cv2.LINE_AA, 4)


def _oval(rng: np.random.Generator, layer: UInt8, canvas: _Canvas, place: npt.NDArray[np.float64], shade: int) -> None:
    """Draw one healed oval bite: a soft patch, sometimes a ring."""
    unit = canvas.bold * canvas.per_unit * 16
    axes = (rng.uniform(0.015, 0.05) * unit, rng.uniform(0.012, 0.03) * unit)
    thick = -1 if rng.random() < 0.6 else max(1, round(0.008 * canvas.bold * canvas.per_unit))
    centre = _fixed(canvas.place(place[None, :])[0])
    sizes = (max(16, round(axes[0])), max(16, round(axes[1])))
    cv2.ellipse(layer, centre, sizes, rng.uniform(0, 180), 0, 360, shade * 3 // 4, thick, cv2.LINE_AA, 4)


def _fixed(spot: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Return texels in OpenCV's fixed point."""
    return (round(float(spot[0]) * 16), round(float(spot[1]) * 16))


def _colour(individual: Individual, use: Draw, bright: Float32, scars: Float32) -> Float32:
    """Mix dark skin, pale skin and scars into linear RGB."""
    rng = individual.stream(use, 40)
    dark = np.asarray([0.042, 0.044, 0.050]) * np.exp(rng.normal(0.0, 0.3)) * np.exp(rng.normal(0.0, 0.035, 3))
    if use is Draw.FLANK_SKIN:
        dark = dark * rng.uniform(1.0, 2.0)
    pale = np.asarray([0.46, 0.47, 0.47]) * np.exp(rng.normal(0.0, 0.06, 3))
    mixed = np.clip(bright + 0.42 * scars, -0.6, 1.0)
    matrix = np.concatenate([(pale - dark)[:, None], dark[:, None]], axis=1).astype(np.float32)
    return np.maximum(cv2.transform(mixed[..., None], matrix), np.float32(0.008))


def _relief(individual: Individual, body_part: BodyPart, year: float, canvas: _Canvas, dents: UInt8) -> Float32:
    """Return normals and gloss: round towards the outline's edges, finely uneven, dented by scars."""
    outline = (fluke_outline if body_part == "fluke" else flank_outline)(individual, year)
    solid = np.zeros((canvas.height, canvas.width), np.uint8)
    fill(solid, canvas.place(outline), 255)
    radius = ROUNDNESS[body_part] * canvas.per_unit
    inside = np.minimum(cv2.distanceTransform(solid, cv2.DIST_L2, 3) / np.float32(radius), 1.0)
    bulge = np.sqrt(1.0 - (1.0 - inside) ** 2) * np.float32(radius)
    bulge = cv2.GaussianBlur(bulge, (0, 0), max(1.0, radius * 0.16))
    use = Draw.FLUKE_SKIN if body_part == "fluke" else Draw.FLANK_SKIN
    uneven = fractal((individual, use, 50), canvas, 9.0, 6, 0.55)
    bulge += uneven * np.float32(0.006 * canvas.per_unit) - dents * np.float32(0.006 * canvas.per_unit / 255)
    slope_x = cv2.Sobel(bulge, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    slope_y = cv2.Sobel(bulge, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    norm = 1.0 / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    gloss = np.clip(0.75 + 0.2 * uneven, 0.1, 1.0)
    return np.asarray(cv2.merge([-slope_x * norm, slope_y * norm, gloss]), np.float32)

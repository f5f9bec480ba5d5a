"""Arithmetic that decides ground truth, the same to the last bit on every machine.

Only +, -, *, / and sqrt in float64 (correctly rounded by IEEE 754) on numpy's fixed PCG64 streams: no sin, exp or pow
(they differ between C libraries and SIMD widths), no sums by BLAS, no fused multiply-add inside a C loop.
Polygons are rounded to 1/16 px and filled by integer arithmetic, so boxes cannot differ either.
"""

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

FRACTION_BITS = 4


def stream(*keys: int) -> np.random.Generator:
    """Return the random stream that belongs to these keys.

    Raises:
        ValueError: a key is negative or needs more than 32 bits, so that other keys could share its stream.
    """
    if any(not 0 <= key < 2**32 for key in keys):
        raise ValueError(f"keys of a random stream are numbers from 0 to 4294967295, not {keys}")
    # SeedSequence takes (1,) and (1, 0) for the same, hence the length in front.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((len(keys), *keys))))


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from [low, high); written out because `Generator.uniform` may be fused on some processors."""
    return low + (high - low) * float(rng.random())


def bell(rng: np.random.Generator, centre: float, reach: float) -> float:
    """Draw from a bell around `centre`, never further than `reach` (mean of three uniforms, so about reach/3 wide)."""
    total = float(rng.random()) + float(rng.random()) + float(rng.random())
    return centre + reach * (total * (2.0 / 3.0) - 1.0)


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with this probability."""
    return float(rng.random()) < probability


def catmull_rom(controls: Points, samples: int) -> Points:
    """Interpolate control points by a uniform Catmull-Rom spline.

    Args:
        controls: (k, 2) points the curve goes through.
        samples: points a segment.

    Returns:
        ((k - 1) * samples + 1, 2) points.
    """
    first = controls[:1] * 2.0 - controls[1:2]
    last = controls[-1:] * 2.0 - controls[-2:-1]
    padded = np.concatenate([first, controls, last])
    t = (np.arange(samples) / samples)[:, None]
    pieces = [_segment(padded[i : i + 4], t) for i in range(len(controls) - 1)]
    return np.concatenate([*pieces, controls[-1:]])


def _segment(p: Points, t: Floats) -> Points:
    """Evaluate one Catmull-Rom segment between p[1] and p[2] at t, (n, 1)."""
    slope = (p[2] - p[0]) * t
    square = (p[0] * 2.0 - p[1] * 5.0 + p[2] * 4.0 - p[3]) * (t * t)
    cube = (p[1] * 3.0 - p[0] - p[2] * 3.0 + p[3]) * (t * t * t)
    points: Points = (p[1] * 2.0 + slope + square + cube) * 0.5
    return points


def bump(x: Floats) -> Floats:
    """Return (1 - x^2)^2 inside [-1, 1] and 0 outside: a smooth bump of height one."""
    inside = 1.0 - np.minimum(x * x, 1.0)
    return inside * inside


def wobble(rng: np.random.Generator, t: Floats, knots: int) -> Floats:
    """Return smooth random values in [-1, 1] along t in [0, 1], with `knots` lattice points."""
    lattice = rng.random(knots + 2) * 2.0 - 1.0
    place = np.clip(t, 0.0, 1.0) * knots
    cell = np.minimum(np.floor(place).astype(np.int64), knots - 1)
    part = place - cell
    ease = part * part * (3.0 - part * 2.0)
    values: Floats = lattice[cell] + (lattice[cell + 1] - lattice[cell]) * ease
    return values


def to_fixed(points_px: Points) -> npt.NDArray[np.int32]:
    """Round points in pixels (pixel centres at whole numbers) to the fixed point of `fill`."""
    scaled = np.clip(points_px * float(1 << FRACTION_BITS), -(2.0**24), 2.0**24)
    return np.rint(scaled).astype(np.int32)


def fill(mask: npt.NDArray[np.uint8], points_px: Points, value: int) -> None:
    """Fill a polygon in place by integer arithmetic."""
    cv2.fillPoly(mask, [to_fixed(points_px)[:, None, :]], value, lineType=cv2.LINE_8, shift=FRACTION_BITS)

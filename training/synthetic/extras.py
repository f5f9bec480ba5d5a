"""Things that are no whales: birds and boats, so that a detector learns to leave them alone."""

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.light import Light
from training.synthetic.optics import Optics
from training.synthetic.splash import blend

Float32 = npt.NDArray[np.float32]
SHIFT = 4


def paint_bird(picture: Float32, light: Light, unit_px: float, rng: np.random.Generator) -> None:
    """Draw one flying seabird in place; `unit_px` is a metre at the animals' distance."""
    height, width = picture.shape[:2]
    span = float(np.clip(unit_px * rng.uniform(0.5, 1.6), 0.012 * width, 0.09 * width))
    side = int(span * 1.4) + 6
    layer = np.zeros((side, side), np.uint8)
    middle = np.asarray([side / 2, side / 2])
    lean, flap = rng.normal(0.0, 0.25), rng.uniform(-0.35, 0.5)
    body = np.asarray([[-0.16, 0.0], [0.0, 0.035], [0.17, 0.0], [0.0, -0.03]]) @ _turned(lean + 0.2)
    for wing in (-1.0, 1.0):
        elbow = [wing * 0.24, 0.10 + flap * 0.45]
        tip = [wing * rng.uniform(0.42, 0.55), flap * rng.uniform(0.3, 1.0) - 0.05]
        points = np.asarray([[wing * 0.02, 0.04], elbow, tip, [elbow[0], elbow[1] - 0.09], [wing * 0.02, -0.04]])
        _polygon(layer, middle + points @ _turned(lean) * [span, -span], 255)
    _polygon(layer, middle + body * [span, -span], 255)
    tone = np.asarray(rng.choice([0.05, 0.35, 0.7]), np.float32)
    colour = tone * (light.ambient_rgb() * 0.7 + np.asarray(light.sun_rgb, np.float32) * 0.25)
    place = rng.random(2) * [height - side * 0.5, width - side * 0.5]
    blend(picture, int(place[0]), int(place[1]), layer.astype(np.float32) * np.float32(1 / 255), colour)


def paint_boat(picture: Float32, optics: Optics, light: Light, rng: np.random.Generator) -> None:
    """Draw a boat on the water in place: hull, house, mast, and its blurred mirror image."""
    distance = float(np.exp(rng.uniform(np.log(250.0), np.log(2500.0))))
    column = rng.uniform(0.05, 0.95) * optics.width_px
    length = float(
        np.clip(rng.uniform(6.0, 22.0) * optics.focal_px / distance, 0.03 * optics.width_px, 0.3 * optics.width_px)
    )
    row = optics.horizon_at(column) + min(optics.focal_px * optics.eye_m / distance, 0.05 * optics.width_px)
    if not 4.0 < row < optics.height_px - 2:
        return
    side, head = int(length * 1.2) + 6, int(length * 0.9) + 6
    flip = float(rng.choice([-1.0, 1.0]))
    base = np.asarray([side / 2, head - 2.0])
    clear = float(np.exp(-distance / light.visibility_m))
    shine = light.ambient_rgb() * 0.7 + np.asarray(light.sun_rgb, np.float32) * 0.3
    haze = np.asarray(light.horizon_rgb, np.float32) * (1 - clear)
    for points, paint in _boat_parts(rng):
        layer = np.zeros((head, side), np.uint8)
        _polygon(layer, base + np.asarray(points) * [flip * length, -length], 255)
        cover = layer.astype(np.float32) * np.float32(1 / 255)
        colour = (np.asarray(paint, np.float32) * shine * clear + haze).astype(np.float32)
        mirror = cv2.GaussianBlur(cover[::-1], (0, 0), max(length * 0.02, 0.8))
        blend(picture, int(row) - 2, int(column - side / 2), mirror * np.float32(0.3), colour * np.float32(0.6))
        blend(picture, int(row) - head + 2, int(column - side / 2), cover, colour)


def _boat_parts(rng: np.random.Generator) -> list[tuple[list[list[float]], list[float]]]:
    """Return a boat's polygons (length 1, waterline at 0, bow to the right) with their paint."""
    hull = [[0.55, 0.55, 0.52], [0.05, 0.09, 0.2], [0.35, 0.05, 0.04], [0.06, 0.06, 0.06], [0.1, 0.2, 0.14]]
    free, house = rng.uniform(0.07, 0.13), rng.uniform(0.1, 0.2)
    start = rng.uniform(-0.35, 0.0)
    stop = start + rng.uniform(0.2, 0.36)
    mast = (start + stop) / 2
    parts: list[tuple[list[list[float]], list[float]]] = [
        ([[mast, free], [mast + 0.012, free], [mast + 0.012, rng.uniform(0.4, 0.75)], [mast, 0.5]], [0.3, 0.3, 0.3]),
        (
            [[start, free * 0.8], [stop, free * 0.8], [stop - 0.03, free + house], [start, free + house]],
            [0.6, 0.6, 0.58],
        ),
        (
            [
                [start + 0.03, free + house * 0.5],
                [stop - 0.04, free + house * 0.5],
                [stop - 0.05, free + house * 0.8],
                [start + 0.03, free + house * 0.8],
            ],
            [0.04, 0.05, 0.06],
        ),
        ([[-0.47, 0.0], [0.4, 0.0], [0.5, free * 1.5], [0.2, free], [-0.5, free]], hull[int(rng.integers(len(hull)))]),
    ]
    return parts


def _turned(angle: float) -> npt.NDArray[np.float64]:
    """Return a rotation matrix for row vectors."""
    return np.asarray([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _polygon(layer: npt.NDArray[np.uint8], points: npt.NDArray[np.float64], shade: int) -> None:
    """Fill an antialiased polygon, points in pixels."""
    cv2.fillPoly(layer, [np.rint(points * 2**SHIFT).astype(np.int32)[:, None, :]], shade, cv2.LINE_AA, SHIFT)

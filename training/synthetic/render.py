"""Renders planned photos: sky, coast, sea, animals, water in motion, camera."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.synthetic import camera, extras, splash
from training.synthetic.animals import Patch, paint
from training.synthetic.individuals import BODY_PARTS, Draw
from training.synthetic.light import Light, draw_light
from training.synthetic.optics import Optics
from training.synthetic.plans import Encounter, PhotoPlan
from training.synthetic.sky import paint_hills, paint_sky
from training.synthetic.water import STRIP_PX, Sea, SeaState, draw_sea_state, shade

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


SPRAY = 0.17


@dataclass(frozen=True, slots=True)
class Scene:
    """What an encounter's photos share.

    Attributes:
        light: sun, sky, haze.
        sea: the waves.
        hills: whether there is a coast.
        birds: how many a photo has on average.
        boats: how likely a photo has one.
        spray: how likely an animal throws up water.
    """

    light: Light
    sea: SeaState
    hills: bool
    birds: float
    boats: float
    spray: float


def scene_of(encounter: Encounter) -> Scene:
    """Return the light and sea of an encounter."""
    rng = encounter.individual.stream(Draw.SCENE, encounter.number)
    light, sea = draw_light(rng), draw_sea_state(rng)
    birds, boats = float(rng.random()) ** 3, 0.5 * float(rng.random()) ** 3
    return Scene(light, sea, bool(rng.random() < 0.35), birds, boats, SPRAY)


def render_pixels(plan: PhotoPlan, width_px: int, height_px: int) -> UInt8:
    """Return a photo as (h, w, 3) uint8 RGB, before JPEG; the height is `plan.aspect` times the width, rounded."""
    return _take(plan, width_px, height_px)[0]


def render_jpeg(plan: PhotoPlan, width_px: int, height_px: int) -> bytes:
    """Return a photo as a JPEG file with its date in EXIF."""
    pixels, shot = _take(plan, width_px, height_px)
    return camera.encode_jpeg(pixels, shot.quality, plan.taken)


def _take(plan: PhotoPlan, width_px: int, height_px: int) -> tuple[UInt8, camera.Exposure]:
    """Render a photo and expose it."""
    rng = _looks(plan)
    shot = camera.draw_exposure(rng)
    scene = scene_of(plan.encounter)
    # The white balance is a factor on every light source, so it is free here and a pass over all pixels later.
    balanced = replace(scene, light=scene.light.balanced(shot.white_balance))
    radiance = render_radiance(plan, width_px, height_px, balanced, rng)
    return camera.expose(radiance, shot, rng), shot


def _looks(plan: PhotoPlan) -> np.random.Generator:
    """Return the stream of all that is not ground truth in one photo."""
    parts = [1 + BODY_PARTS.index(animal.body_part) for animal in plan.animals]
    return plan.encounter.individual.stream(Draw.LOOKS, plan.encounter.number, plan.number, *parts)


def render_radiance(plan: PhotoPlan, width_px: int, height_px: int, scene: Scene, rng: np.random.Generator) -> Float32:
    """Return the light that reaches the camera, (h, w, 3) float32 linear RGB."""
    optics = plan.optics(width_px, height_px)
    picture = np.empty((height_px, width_px, 3), np.float32)
    _paint_background(picture, optics, scene, rng)
    unit_px = plan.per_m * width_px
    if rng.random() < scene.boats:
        extras.paint_boat(picture, optics, scene.light, rng)
    for animal in plan.animals:
        patch = paint(animal, plan.encounter.year, scene.light, (width_px, height_px), rng)
        if patch is not None:
            _set_in(picture, patch, animal.pose.scale * width_px, animal.body_part == "fluke", scene, rng)
    for _ in range(int(rng.poisson(scene.birds))):
        extras.paint_bird(picture, scene.light, unit_px, rng)
    return picture


def _paint_background(picture: Float32, optics: Optics, scene: Scene, rng: np.random.Generator) -> None:
    """Paint sky, coast and sea, in place."""
    height, width = picture.shape[:2]
    lowest = max(optics.horizon_at(0.0), optics.horizon_at(float(width)))
    sky_rows = min(max(int(lowest) + 8, 0), height)
    if sky_rows > 0:
        sky = paint_sky(optics, scene.light, sky_rows, rng)
        if scene.hills:
            paint_hills(sky, optics, scene.light, rng)
        picture[:sky_rows] = sky
    sea = Sea(optics, scene.sea, rng)
    first_row = max(int(min(optics.horizon_at(0.0), optics.horizon_at(float(width)))) - 3, 0)
    for first in range(0, width, STRIP_PX):
        last = min(first + STRIP_PX, width)
        surface = sea.surface(first, last, first_row)
        columns = np.arange(first, last, dtype=np.float32) + np.float32(0.5 - width / 2)
        water = shade(surface, scene.light, optics.focal_px, columns)
        edge = max(sky_rows - first_row, 0)
        over = picture[first_row:sky_rows, first:last]
        over += surface.cover[:edge, :, None] * (water[:edge] - over)
        picture[first_row + edge :, first:last] = water[edge:]


def _set_in(
    picture: Float32, patch: Patch, unit_px: float, fluke: bool, scene: Scene, rng: np.random.Generator
) -> None:
    """Set one animal into the sea: its mirror image, itself, the water it moves."""
    # A back is low: the foam that a fluke's stalk stands in would hide it.
    churn = float(rng.random()) ** 2.5 * (1.0 if fluke else 0.45)
    splash.reflect(picture, patch, rng.uniform(0.25, 0.6), rng.uniform(0.15, 0.5))
    splash.blend(picture, patch.top, patch.left, patch.alpha, patch.colour)
    if fluke and rng.random() < 0.5:
        splash.drips(picture, patch, unit_px, scene.light, rng)
    splash.foam_line(picture, patch, unit_px, churn, scene.light, rng)
    if rng.random() < scene.spray * (1.0 if fluke else 0.35):
        splash.spray(picture, patch, unit_px, float(rng.random()) ** 3, scene.light, rng)

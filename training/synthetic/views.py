"""Draws views: where the camera is and how the animals stand, until every animal shows enough (exact arithmetic)."""

from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import cv2
import numpy as np

from training.synthetic.exact import bell, chance, uniform
from training.synthetic.individuals import BODY_PARTS, BodyPart, Draw, Individual, Side
from training.synthetic.plans import AnimalPlan, Box, Encounter, PhotoPlan, animal_mask, visible_masks
from training.synthetic.pose import Pose, mask_box

ASPECT = 427 / 640
REFERENCE_PX = 640
NEAREST_M = 13.0
"""Distance of the water at the picture's lower edge, at least."""
MIN_BOX_PX = (24, 8)
MIN_INSIDE = 0.6
MIN_UNHIDDEN = 0.75
MAX_BOX_IOU = 0.15
"""Intersection over union of two animals' visible boxes; makes finding both easier than among animals that overlap."""
SIZE_M = {"fluke": 4.6, "flank": 11.5}
ATTEMPTS = 500


def plan_photo(
    encounter: Encounter,
    number: int,
    body_part: BodyPart,
    side: Side | None = None,
    companion: Individual | None = None,
    aspect: float = ASPECT,
) -> PhotoPlan:
    """Plan one photo.

    Args:
        encounter: whose photo; decides light, sea, day.
        number: which photo of the encounter.
        body_part: what of the individual shows.
        side: which flank shows; None lets the encounter decide. Flukes have no side.
        companion: a second animal in the picture, or None.
        aspect: height over width of the picture.

    Returns:
        The first of a stream of draws in which every animal's visible part is large enough.

    Raises:
        RuntimeError: no draw was acceptable.
    """
    keys = (encounter.number, number, BODY_PARTS.index(body_part), 0 if companion is None else 1)
    rng = encounter.individual.stream(Draw.PHOTO, *keys)
    if body_part == "fluke":
        side = None
    elif side is None:
        side = "left" if chance(encounter.individual.stream(Draw.ENCOUNTER, encounter.number, 1), 0.5) else "right"
    for _ in range(ATTEMPTS):
        plan = _draw_camera(rng, encounter, number, aspect)
        plan = _with_animals(rng, plan, body_part, side, companion)
        if shows_all(plan):
            return plan
    raise RuntimeError(f"no acceptable view of {encounter.name} in {ATTEMPTS} draws")


def plan_empty(encounter: Encounter, number: int, aspect: float = ASPECT) -> PhotoPlan:
    """Plan a photo of the sea with no animal in it; the encounter only lends light, sea and day."""
    return _draw_camera(encounter.individual.stream(Draw.PHOTO, encounter.number, number, 9), encounter, number, aspect)


def _draw_camera(rng: np.random.Generator, encounter: Encounter, number: int, aspect: float) -> PhotoPlan:
    """Draw the camera, with no animal yet."""
    taken = encounter.start + timedelta(minutes=number * 2 + int(rng.integers(2)), seconds=int(rng.integers(60)))
    eye = 2.0 + 7.0 * float(rng.random()) * float(rng.random())
    far = float(rng.random())
    per_m = 0.024 / (0.17 + 0.33 * float(rng.random()))
    water_y = aspect * uniform(rng, 0.36, 0.9)
    distance = (NEAREST_M + 130.0 * far * far) * (1.0 + (aspect - water_y) / (per_m * eye))
    return PhotoPlan(
        encounter=encounter,
        number=number,
        taken=taken,
        animals=(),
        aspect=aspect,
        eye_m=eye,
        distance_m=distance,
        horizon=water_y - per_m * eye,
        tilt=bell(rng, 0.0, 0.06),
        per_m=per_m,
    )


def _with_animals(
    rng: np.random.Generator, plan: PhotoPlan, body_part: BodyPart, side: Side | None, companion: Individual | None
) -> PhotoPlan:
    """Add the individual and its companion to a plan, far to near."""
    animals = [_draw_animal(rng, plan, plan.encounter.individual, body_part, side, 1.0, uniform(rng, 0.15, 0.85))]
    if companion is not None:
        other: BodyPart = body_part if chance(rng, 0.6) else BODY_PARTS[1 - BODY_PARTS.index(body_part)]
        shown: Side | None = None
        if other == "flank":
            shown = "left" if chance(rng, 0.5) else "right"
        nearer = uniform(rng, 0.72, 1.35)
        animals.append(_draw_animal(rng, plan, companion, other, shown, nearer, uniform(rng, 0.1, 0.9)))
    return replace(plan, animals=tuple(sorted(animals, key=lambda animal: animal.pose.water_y)))


def _draw_animal(
    rng: np.random.Generator,
    plan: PhotoPlan,
    individual: Individual,
    body_part: BodyPart,
    side: Side | None,
    nearer: float,
    x: float,
) -> AnimalPlan:
    """Draw one animal that is `nearer` times as near as the plan's distance, on the row of that distance."""
    draw_pose = _fluke_pose if body_part == "fluke" else _flank_pose
    row = plan.horizon + plan.per_m * nearer * plan.eye_m + plan.tilt * (x - 0.5)
    scale = plan.per_m * nearer * SIZE_M[body_part] * 0.5 * uniform(rng, 0.85, 1.15)
    pose = replace(draw_pose(rng), x=x, water_y=row, scale=scale, flip=-1.0 if side == "right" else 1.0)
    return AnimalPlan(individual, body_part, side, pose)


def _fluke_pose(rng: np.random.Generator) -> Pose:
    """Draw how a raised fluke stands: yaw shortens one lobe, sag bends both, the water hides stalk or more."""
    yaw, sag, width = bell(rng, 0.0, 0.26), bell(rng, 0.02, 0.2), uniform(rng, 0.75, 1.0)
    return Pose(
        x=0.0,
        water_y=0.0,
        scale=1.0,
        level=bell(rng, -0.3, 0.5),
        flip=1.0,
        stretch=(width - max(yaw, 0.0), width + min(yaw, 0.0)),
        lift=uniform(rng, 0.5, 1.0),
        bend=(sag + bell(rng, 0.0, 0.1), sag + bell(rng, 0.0, 0.1)),
        shear=bell(rng, 0.0, 0.22),
        turn=bell(rng, 0.0, 0.13),
        swell=int(rng.integers(2**31)),
    )


def _flank_pose(rng: np.random.Generator) -> Pose:
    """Draw how a back stands: yaw shortens head or tail end, the animal arches, the water hides its lower part."""
    yaw, arch, width = bell(rng, 0.0, 0.14), uniform(rng, -0.11, 0.02), uniform(rng, 0.75, 1.0)
    return Pose(
        x=0.0,
        water_y=0.0,
        scale=1.0,
        level=bell(rng, 0.012, 0.045),
        flip=1.0,
        stretch=(width - max(yaw, 0.0), width + min(yaw, 0.0)),
        lift=uniform(rng, 0.8, 1.1),
        bend=(arch + bell(rng, 0.0, 0.04), arch + bell(rng, 0.0, 0.04)),
        shear=bell(rng, 0.0, 0.14),
        turn=bell(rng, 0.0, 0.05),
        swell=int(rng.integers(2**31)),
    )


def shows_all(plan: PhotoPlan) -> bool:
    """Return whether each animal shows: large enough, mostly inside the picture, apart from others and not hidden.

    Always judged at the reference size, so that a photo shows the same view at every size.
    """
    height = round(REFERENCE_PX * plan.aspect)
    masks = visible_masks(plan, REFERENCE_PX, height)
    boxes = [mask_box(mask) for mask in masks]
    if any(_overlap(one, other) > MAX_BOX_IOU for one, other in combinations(filter(None, boxes), 2)):
        return False
    for animal, mask, box in zip(plan.animals, masks, boxes, strict=True):
        if box is None or box[2] - box[0] <= MIN_BOX_PX[0] or box[3] - box[1] <= MIN_BOX_PX[1]:
            return False
        alone = animal_mask(animal, plan.encounter.year, REFERENCE_PX, height)
        if cv2.countNonZero(mask) < MIN_UNHIDDEN * cv2.countNonZero(alone):
            return False
        if cv2.countNonZero(alone) < MIN_INSIDE * _unframed_area(animal, plan.encounter.year, height):
            return False
    return True


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = float(max(width, 0) * max(height, 0))
    areas = [float(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def _unframed_area(animal: AnimalPlan, year: float, height_px: int) -> int:
    """Return how many pixels an animal would show if the picture had no edges: a picture's width added on each side."""
    pose = animal.pose
    third = replace(pose, x=(pose.x + 1.0) / 3.0, water_y=(pose.water_y + 1.0) / 3.0, scale=pose.scale / 3.0)
    canvas = animal_mask(replace(animal, pose=third), year, REFERENCE_PX * 3, height_px + REFERENCE_PX * 2)
    return cv2.countNonZero(canvas)

"""Plans of photos: who is in the picture, where, when and on which side. Plans and the masks they imply are exact."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from training.synthetic.exact import Points
from training.synthetic.individuals import BodyPart, Draw, Individual, Side
from training.synthetic.optics import Optics
from training.synthetic.outlines import flank_outline, fluke_outline
from training.synthetic.pose import Mask, Pose, mask_box, visible_mask

Box = tuple[int, int, int, int]

FIRST_DAY = datetime(2010, 1, 1)
DAYS = 4383
DAY_STEP = 1607
"""Days between an individual's successive encounters, modulo DAYS: coprime, so no two of them share a day."""


@dataclass(frozen=True, slots=True)
class Encounter:
    """One animal, one time and place: its photos share light and sea.

    Attributes:
        individual: whom the encounter is with.
        number: which of the individual's encounters, below DAYS.
    """

    individual: Individual
    number: int

    @property
    def name(self) -> str:
        """Return a name unique within a world."""
        return f"{self.individual.name}-E{self.number:04d}"

    @property
    def start(self) -> datetime:
        """Return when it began."""
        first = int(self.individual.stream(Draw.ENCOUNTER).integers(DAYS))
        minute = int(self.individual.stream(Draw.ENCOUNTER, self.number).integers(8 * 60, 17 * 60))
        return FIRST_DAY + timedelta(days=(first + self.number * DAY_STEP) % DAYS, minutes=minute)

    @property
    def year(self) -> float:
        """Return years since FIRST_DAY; decides which marks the animal bears by now."""
        return (self.start - FIRST_DAY).days / 365.25


@dataclass(frozen=True, slots=True)
class AnimalPlan:
    """One animal in one photo: who, which part, which side (flanks only), how it stands."""

    individual: Individual
    body_part: BodyPart
    side: Side | None
    pose: Pose


@dataclass(frozen=True, slots=True)
class PhotoPlan:
    """One photo, at no particular size; lengths in the picture are parts of its width.

    Attributes:
        encounter: whose light, sea and day it has.
        number: which photo of the encounter.
        taken: when.
        animals: far to near; empty for an empty sea.
        aspect: height over width.
        eye_m: height of the lens over the water.
        distance_m: of the first animal, or of the middle of an empty sea.
        horizon: row of the horizon; may be negative.
        tilt: rows the horizon falls per column.
        per_m: length of one metre at `distance_m`.
    """

    encounter: Encounter
    number: int
    taken: datetime
    animals: tuple[AnimalPlan, ...]
    aspect: float
    eye_m: float
    distance_m: float
    horizon: float
    tilt: float
    per_m: float

    @property
    def name(self) -> str:
        """Return a name unique within a world for photos of one body part."""
        return f"{self.encounter.name}-P{self.number:03d}"

    def optics(self, width_px: int, height_px: int) -> Optics:
        """Return the camera at a size."""
        focal = self.per_m * width_px * self.distance_m
        return Optics(width_px, height_px, focal, self.eye_m, self.horizon * width_px, self.tilt)


@lru_cache(maxsize=256)
def outline_of(individual: Individual, body_part: BodyPart, year: float) -> Points:
    """Return the outline, (n, 2) in its own units, that an animal's part has in a year."""
    return fluke_outline(individual, year) if body_part == "fluke" else flank_outline(individual, year)


def animal_mask(animal: AnimalPlan, year: float, width_px: int, height_px: int) -> Mask:
    """Return (h, w) uint8, 255 where one animal shows above the water, as if it were alone."""
    outline = animal.pose.place(outline_of(animal.individual, animal.body_part, year), width_px)
    return visible_mask(outline, animal.pose.waterline(width_px), width_px, height_px)


def visible_masks(plan: PhotoPlan, width_px: int, height_px: int) -> list[Mask]:
    """Return each animal's visible pixels, in the plan's order: above the water, not hidden by a nearer animal."""
    masks: list[Mask] = []
    for animal in plan.animals:
        mask = animal_mask(animal, plan.encounter.year, width_px, height_px)
        for farther in masks:
            np.copyto(farther, 0, where=mask > 0)
        masks.append(mask)
    return masks


def visible_boxes(plan: PhotoPlan, width_px: int, height_px: int) -> list[Box | None]:
    """Return each animal's tight visible box, edges exclusive; None for one that does not show."""
    return [mask_box(mask) for mask in visible_masks(plan, width_px, height_px)]

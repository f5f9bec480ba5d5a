"""Contact sheets: many photos in one picture, with or without their boxes."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.synthetic.individuals import BODY_PARTS, Individual, Population, Side
from training.synthetic.plans import Encounter, PhotoPlan, visible_boxes
from training.synthetic.render import render_pixels
from training.synthetic.series import FirstEncounter, empty_seas
from training.synthetic.views import plan_photo

UInt8 = npt.NDArray[np.uint8]

COLUMNS = 5
REFERENCE_PX = 640
YELLOW = (250, 230, 60)


def sheet_plans(world: int, rows: int) -> list[PhotoPlan]:
    """Plan a sheet: each row one individual in several encounters, flukes and flanks in turn.

    The last photo of every second row shows two animals; the last row is empty seas.
    """
    plans = []
    for row in range(rows - 1):
        individual = Individual(world, Population.TRAIN, row)
        companion = Individual(world, Population.TRAIN, rows + row)
        for column in range(COLUMNS):
            both = companion if column == COLUMNS - 1 and row % 4 < 2 else None
            encounter = Encounter(individual, int(FirstEncounter.DATASET) + (column + 1) // 2)
            side: Side | None = "left" if row % 2 else None
            plans.append(plan_photo(encounter, column, BODY_PARTS[row % 2], side, both))
    return [*plans, *empty_seas(world, Population.TRAIN, COLUMNS)]


def draw_sheet(plans: Sequence[PhotoPlan], tile_px: int, boxes: bool) -> UInt8:
    """Render plans of one aspect into one picture, COLUMNS a row.

    Args:
        plans: what to show, row by row.
        tile_px: width of each photo in the sheet.
        boxes: whether to draw the ground truth boxes.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    tiles = [_tile(plan, tile_px, boxes) for plan in plans]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % COLUMNS)
    return np.vstack([np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)])


def _tile(plan: PhotoPlan, tile_px: int, boxes: bool) -> UInt8:
    """Render one photo at the reference size, mark its boxes, and shrink it."""
    height = round(REFERENCE_PX * plan.aspect)
    picture = render_pixels(plan, REFERENCE_PX, height)
    if boxes:
        for box in visible_boxes(plan, REFERENCE_PX, height):
            if box is not None:
                cv2.rectangle(picture, box[:2], box[2:], YELLOW, 1)
    small = cv2.resize(picture, (tile_px, round(tile_px * plan.aspect)), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)

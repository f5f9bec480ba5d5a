"""Writes rendered photos and their ground truth: JPEG files, COCO, and a wildlife-datasets metadata table."""

import csv
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2

from pipeline.records import BoundingBox
from training.synthetic.individuals import BODY_PARTS, BodyPart, Side
from training.synthetic.plans import PhotoPlan, visible_masks
from training.synthetic.pose import mask_box
from training.synthetic.render import render_jpeg

METADATA_COLUMNS = (
    "image_id",
    "identity",
    "path",
    "bbox",
    "date",
    "encounter",
    "orientation",
    "body_part",
    "split",
)


@dataclass(frozen=True, slots=True)
class Truth:
    """One animal that shows in a photo.

    Attributes:
        identity: the individual's name.
        body_part: "fluke" or "flank".
        side: which flank; None for flukes.
        box: tight around the visible pixels, edges exclusive.
        area_px: number of visible pixels.
    """

    identity: str
    body_part: BodyPart
    side: Side | None
    box: BoundingBox
    area_px: int


@dataclass(frozen=True, slots=True)
class Photo:
    """One file to write: where, what, and for the metadata table, of which split."""

    path: Path
    plan: PhotoPlan
    split: str


@dataclass(frozen=True, slots=True)
class Written:
    """One file that was written, with its ground truth."""

    photo: Photo
    width_px: int
    height_px: int
    truths: tuple[Truth, ...]


def truths_of(plan: PhotoPlan, width_px: int, height_px: int) -> tuple[Truth, ...]:
    """Return the ground truth of a photo at a size, far animals first."""
    truths = []
    for animal, mask in zip(plan.animals, visible_masks(plan, width_px, height_px), strict=True):
        box = mask_box(mask)
        if box is not None:
            edges = BoundingBox(*(float(edge) for edge in box))
            name = animal.individual.name
            truths.append(Truth(name, animal.body_part, animal.side, edges, cv2.countNonZero(mask)))
    return tuple(truths)


def write_photos(folder: Path, photos: Iterable[Photo], width_px: int, jobs: int = 1) -> Iterator[Written]:
    """Render photos and write them under a folder, in order.

    Args:
        folder: the root of the paths.
        photos: what to write.
        width_px: width of every picture; the plan's aspect gives the height.
        jobs: processes to use.
    """
    if jobs <= 1:
        for photo in photos:
            yield _write_one((folder, photo, width_px))
        return
    waiting = iter(photos)
    with ProcessPoolExecutor(jobs, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        while batch := list(islice(waiting, jobs * 64)):
            yield from pool.map(_write_one, [(folder, photo, width_px) for photo in batch], chunksize=8)


def _write_one(task: tuple[Path, Photo, int]) -> Written:
    """Render one photo and write its file."""
    folder, photo, width_px = task
    height_px = round(width_px * photo.plan.aspect)
    path = folder / photo.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render_jpeg(photo.plan, width_px, height_px))
    return Written(photo, width_px, height_px, truths_of(photo.plan, width_px, height_px))


def write_metadata(path: Path, written: Iterable[Written]) -> None:
    """Write a wildlife-datasets `metadata.csv`, one row an animal.

    `bbox` is [x, y, width, height] in pixels as JSON; `date` is ISO 8601; `orientation` is the side of a flank, empty
    for flukes; `body_part` and `split` are further columns.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(METADATA_COLUMNS)
        number = 0
        for item in written:
            for truth in item.truths:
                plan = item.photo.plan
                table.writerow(
                    (
                        number,
                        truth.identity,
                        item.photo.path.as_posix(),
                        json.dumps(_xywh(truth.box)),
                        plan.taken.isoformat(),
                        plan.encounter.name,
                        truth.side or "",
                        truth.body_part,
                        item.photo.split,
                    )
                )
                number += 1


def write_coco(path: Path, written: Iterable[Written]) -> None:
    """Write COCO detection ground truth with `individual_ids` (and `viewpoint`, the side of a flank) per annotation."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image_id, item in enumerate(written, start=1):
        images.append(
            {
                "id": image_id,
                "file_name": item.photo.path.as_posix(),
                "width": item.width_px,
                "height": item.height_px,
                "date_captured": item.photo.plan.taken.isoformat(sep=" "),
            }
        )
        for truth in item.truths:
            annotations.append(_coco_annotation(len(annotations) + 1, image_id, truth))
    document = {
        "info": {"description": "Synthetic whales: procedural photos, no real animal", "version": "1"},
        "licenses": [],
        "categories": [{"id": index, "name": part} for index, part in enumerate(BODY_PARTS, start=1)],
        "images": images,
        "annotations": annotations,
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _coco_annotation(number: int, image_id: int, truth: Truth) -> dict[str, object]:
    """Return one COCO annotation."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": BODY_PARTS.index(truth.body_part) + 1,
        "bbox": _xywh(truth.box),
        "area": truth.area_px,
        "iscrowd": 0,
        "individual_ids": [truth.identity],
        "viewpoint": truth.side,
    }


def _xywh(box: BoundingBox) -> list[float]:
    """Return a box as COCO writes it."""
    return [box.x_min_px, box.y_min_px, box.x_max_px - box.x_min_px, box.y_max_px - box.y_min_px]

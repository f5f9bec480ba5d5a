"""Reading of COCO boxes, what the detector is trained on."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from pipeline.records import BoundingBox
from training.photos.problems import Kind, Problem
from training.photos.records import BoxedPhoto, LabelledBox, PhotoSet


class _Image(BaseModel):
    id: int | str
    file_name: Annotated[str, Field(min_length=1)]
    width: int | None = None
    height: int | None = None


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int | str
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0
    individual_ids: list[str | int] | None = None


class _Category(BaseModel):
    id: int | str
    name: Annotated[str, Field(min_length=1)]


def read_coco(
    file: Path, images: Path | None = None, body_parts: Mapping[str, str] | None = None
) -> PhotoSet[BoxedPhoto]:
    """Read photos and boxes from a COCO file.

    Args:
        file: the JSON document.
        images: folder that `file_name` counts from; None takes the file's own.
        body_parts: body part by category name; None takes the names as they are.

    Returns:
        All photos, those without boxes too; annotations that cannot be taken are problems. Crowd annotations
        (`iscrowd`) are left out and said so.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return PhotoSet(file, (), (Problem(Kind.LAYOUT, str(file), f"cannot be read as JSON: {error}"),))
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), list) for key in ("images", "annotations", "categories")
    ):
        what = "is not COCO: it needs the lists images, annotations and categories"
        return PhotoSet(file, (), (Problem(Kind.LAYOUT, str(file), what),))
    return _Reader(file, images or file.parent, body_parts).read(document)


class _Reader:
    """Goes through one document and notes what is wrong on the way."""

    def __init__(self, file: Path, images: Path, body_parts: Mapping[str, str] | None) -> None:
        self._file = file
        self._images = images
        self._body_parts = body_parts
        self._problems: list[Problem] = []

    def read(self, document: dict[str, Any]) -> PhotoSet[BoxedPhoto]:
        images = self._valid(_Image, document["images"], "images")
        names = {
            category.id: category.name for category in self._valid(_Category, document["categories"], "categories")
        }
        known = {image.id for image in images}
        boxes: dict[int | str, list[LabelledBox]] = {image.id: [] for image in images}
        for number, annotation in enumerate(self._valid(_Annotation, document["annotations"], "annotations")):
            where = f"{self._file}, annotation {number + 1}"
            if annotation.image_id not in known:
                self._note(Kind.BAD_ROW, where, f"image_id {annotation.image_id!r} is not among the images")
            elif (box := self._box(annotation, names, where)) is not None:
                boxes[annotation.image_id].append(box)
        photos = [BoxedPhoto(self._images / image.file_name, tuple(boxes[image.id]), _size(image)) for image in images]
        return PhotoSet(self._file, tuple(photos), tuple(self._problems))

    def _valid(self, kind: Any, rows: list[Any], name: str) -> list[Any]:
        """Return the rows that have the needed fields."""
        valid = []
        for number, row in enumerate(rows, start=1):
            try:
                valid.append(kind.model_validate(row))
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(str(part) for part in first["loc"])
                self._note(Kind.BAD_ROW, f"{self._file}, {name} {number}", f"{field}: {first['msg']}")
        return valid

    def _box(self, annotation: _Annotation, names: Mapping[int | str, str], where: str) -> LabelledBox | None:
        name = names.get(annotation.category_id)
        body_part = name if self._body_parts is None or name is None else self._body_parts.get(name)
        x, y, width, height = annotation.bbox
        if annotation.iscrowd:
            self._note(Kind.LEFT_OUT, where, "a crowd, not one animal")
        elif body_part is None:
            shown = f"id {annotation.category_id!r}" if name is None else repr(name)
            wanted = ", ".join(self._body_parts or names.values())
            self._note(Kind.UNKNOWN_CATEGORY, where, f"category {shown} is none of: {wanted}")
        elif not all(map(math.isfinite, annotation.bbox)):
            self._note(Kind.BAD_ROW, where, "bbox holds a number that is not finite")
        else:
            who = annotation.individual_ids
            individual = str(who[0]) if who else None
            return LabelledBox(BoundingBox(x, y, x + width, y + height), body_part, individual)
        return None

    def _note(self, kind: Kind, where: str, what: str) -> None:
        self._problems.append(Problem(kind, where, what))


def _size(image: _Image) -> tuple[int, int] | None:
    return (image.width, image.height) if image.width and image.height else None

"""The photos of an extract request and the boxes in them: a bad element carries its own failure."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from pipeline.errors import BadItemError
from pipeline.protocol.items import BOX, SHA256, is_integer, read_animal, read_box, read_object, required
from pipeline.records import Failure
from pipeline.stored_photos import DrawnBox

MAX_NAME_CHARACTERS = 1024
"""Longest name of an upload."""

MAX_BOXES = 100
"""Boxes that a person may draw in one photo."""

_NO_FILE_NAME = Failure.of(BadItemError("a file name must be a string"))


@dataclass(frozen=True, slots=True)
class UploadItem:
    """One element of `uploads`.

    Attributes:
        name: the client's name for the photo, echoed as `path`; None where it is not usable.
        size_bytes: as declared; 0 where that is not usable.
        failure: why the element is skipped.
    """

    name: str | None
    size_bytes: int
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class DrawnBoxes:
    """One element of `boxes`: what a person drew in the photo of the same place.

    Attributes:
        drawn: None where the detector is to look.
        failure: why the element cannot be used.
    """

    drawn: tuple[DrawnBox, ...] | None
    failure: Failure | None = None


def read_path(value: object) -> str | Failure:
    """Read one element of `fileNames`."""
    return value if isinstance(value, str) else _NO_FILE_NAME


def read_upload(value: object) -> UploadItem:
    """Read one element of `uploads`; limits on the size are the session's business."""
    try:
        fields = read_object(value)
        name, size = fields.get("name"), fields.get("size")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise BadItemError(f"name: must be a string of 1 to {MAX_NAME_CHARACTERS} characters")
        if not is_integer(size) or size < 0:
            return UploadItem(name, 0, Failure.of(BadItemError("size: must be the photo's length in bytes")))
        return UploadItem(name, size)
    except BadItemError as error:
        return UploadItem(None, 0, Failure.of(error))


def read_photo_hash(value: object) -> str | Failure:
    """Read one element of `photos`, in lower case."""
    if isinstance(value, str) and SHA256.fullmatch(value):
        return value.lower()
    return Failure.of(BadItemError("a photo of the store is named by its sha256: 64 hexadecimal digits"))


def read_drawn_boxes(value: object) -> DrawnBoxes:
    """Read one element of `boxes`; null has the detector look."""
    if value is None:
        return DrawnBoxes(None)
    try:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_BOXES:
            raise BadItemError(f"boxes: must be null, or a list of 1 to {MAX_BOXES} boxes")
        drawn = tuple(_read_drawn(read_object(each), place) for place, each in enumerate(value, 1))
        if len({(each.animal, each.body_part) for each in drawn}) < len(drawn):
            raise BadItemError("boxes: two have the same type and animal")
        return DrawnBoxes(drawn)
    except BadItemError as error:
        return DrawnBoxes(None, Failure.of(error))


def _read_drawn(fields: dict[str, object], place: int) -> DrawnBox:
    return DrawnBox(
        box_px=read_box(fields.get("box_xyxy_px"), "box_xyxy_px"),
        body_part=required(fields, "type", str),
        animal=read_animal(fields, place),
    )


# --- how an element is read, and what docs/protocol.schema.json says of a good one ---

FileName = Annotated[str | Failure, PlainValidator(read_path), WithJsonSchema({"type": "string"})]

Upload = Annotated[
    UploadItem,
    PlainValidator(read_upload),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS},
                "size": {"type": "integer", "minimum": 0},
            },
            "required": ["name", "size"],
        }
    ),
]

PhotoHash = Annotated[
    str | Failure,
    PlainValidator(read_photo_hash),
    WithJsonSchema({"type": "string", "pattern": f"^{SHA256.pattern}$"}),
]

Drawn = Annotated[
    DrawnBoxes,
    PlainValidator(read_drawn_boxes),
    WithJsonSchema(
        {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "box_xyxy_px": BOX,
                    "animal": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
                },
                "required": ["type", "box_xyxy_px"],
            },
            "minItems": 1,
            "maxItems": MAX_BOXES,
        }
    ),
]

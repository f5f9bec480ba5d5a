"""The elements of a request's lists, but for photos: a bad one carries its own failure and never sinks the request."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard, TypeVar

import numpy as np
from pydantic import PlainValidator, WithJsonSchema

from pipeline.errors import BadEmbeddingError, BadIdentityError, BadItemError, ItemError
from pipeline.names import MAX_IDENTITY_CHARS, normalise_identity, normalise_name
from pipeline.protocol.json_text import sendable
from pipeline.records import BoundingBox, Failure, Float32Array, PhotoKey, Query

MAX_EMBEDDING_LENGTH = 65_536
"""Far above any model's; what the loaded model's length is, the matcher checks."""

_FARTHEST_PX = 1e6  # beyond every photo; NaN compares false

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class IdentifyItem:
    """One element of an identify request's `data`: a query, or why it cannot be one.

    Attributes:
        path: as the client sent it; None where it is not a string.
        query: what to rank, or why nothing can be ranked.
        confirms: the element carries an `identity`, good or bad.
    """

    path: str | None
    query: Query | Failure
    confirms: bool


@dataclass(frozen=True, slots=True)
class SavePhotoItem:
    """One element of `whaleIdentities`; either name is None where it is not usable."""

    file: str | None
    identity: str | None
    failure: Failure | None = None


def read_identify_item(value: object) -> IdentifyItem:
    """Read one element of an identify request's `data`; fields it does not know are ignored.

    So an entry of an extract result can be sent back as it came.
    """
    fields = value if isinstance(value, dict) else {}
    path = _string_or_none(fields.get("path"))
    confirms = fields.get("identity") is not None
    try:
        return IdentifyItem(path, _read_query(read_object(value)), confirms)
    except ItemError as error:
        return IdentifyItem(path, Failure.of(error), confirms)


def read_save_item(value: object) -> SavePhotoItem:
    """Read one element of `whaleIdentities`; "Unknown" is a folder like any other here."""
    fields = value if isinstance(value, dict) else {}
    file = _string_or_none(fields.get("file"))
    try:
        if required(read_object(value), "file", str) == "":
            raise BadItemError("file: must not be empty")
        return SavePhotoItem(file, _read_name(fields.get("selectedIdentity"), "selectedIdentity", normalise_name))
    except ItemError as error:
        return SavePhotoItem(file, _string_or_none(fields.get("selectedIdentity")), Failure.of(error))


def _read_name(value: object, field: str, normalise: Callable[[str], str]) -> str:
    if not isinstance(value, str):
        raise BadIdentityError(f"{field}: must be a string")
    try:
        return normalise(value)
    except BadIdentityError as error:
        raise BadIdentityError(f"{field}: {error.message}") from error


def is_integer(value: object) -> TypeGuard[int]:
    """Tell a JSON integer from everything else; `true` is an int to Python."""
    return isinstance(value, int) and not isinstance(value, bool)


def _read_query(fields: dict[str, object]) -> Query:
    path = required(fields, "path", str)
    return Query(
        key=PhotoKey(_read_photo(fields, path), read_animal(fields, 1)),
        path=sendable(path),
        body_part=required(fields, "type", str),
        values=_read_embedding(fields.get("embedding")),
        model=_optional_string(fields, "model"),
        identity=_read_identity(fields.get("identity")),
        box=None if (box := fields.get("box_xyxy_px")) is None else read_box(box, "box_xyxy_px"),
    )


def read_box(value: object, field: str) -> BoundingBox:
    """Read a box: left, top, right and bottom edge in pixels of the upright photo.

    Raises:
        BadItemError: it is not four finite numbers, or holds nothing.
    """
    if not isinstance(value, list) or len(value) != 4 or not set(map(type, value)) <= {int, float}:
        raise BadItemError(f"{field}: must be four numbers: left, top, right and bottom edge")
    left, top, right, bottom = value
    if not (-_FARTHEST_PX <= left < right <= _FARTHEST_PX and -_FARTHEST_PX <= top < bottom <= _FARTHEST_PX):
        raise BadItemError(f"{field}: must be left < right and top < bottom, in pixels of the upright photo")
    return BoundingBox(float(left), float(top), float(right), float(bottom))


def read_animal(fields: dict[str, object], otherwise: int) -> int:
    """Read which animal of its photo an element is about."""
    animal = fields.get("animal")
    if animal is None:
        return otherwise
    if not is_integer(animal) or animal < 1:
        raise BadItemError("animal: must be 1 or more")
    return animal


def _read_photo(fields: dict[str, object], path: str) -> str:
    sha256 = _optional_string(fields, "sha256")
    if sha256 is None:
        return f"path:{sendable(path)}"
    if not SHA256.fullmatch(sha256):
        raise BadItemError("sha256: must be 64 hexadecimal digits")
    return f"sha256:{sha256.lower()}"


def _read_embedding(value: object) -> Float32Array:
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        raise BadEmbeddingError("embedding: must be a list of numbers")
    if not 0 < len(value) <= MAX_EMBEDDING_LENGTH:
        raise BadEmbeddingError(f"embedding: must have 1 to {MAX_EMBEDDING_LENGTH} numbers, has {len(value)}")
    with np.errstate(over="ignore"):
        values: Float32Array = np.array(value, dtype=np.float32)
    if not np.isfinite(values).all():
        raise BadEmbeddingError("embedding: must be finite numbers")
    return values


def _read_identity(value: object) -> str | None:
    return None if value is None else _read_name(value, "identity", normalise_identity)


def read_object(value: object) -> dict[str, object]:
    """Read an element that has to be an object."""
    if not isinstance(value, dict):
        raise BadItemError("must be an object")
    return value


def required(fields: dict[str, object], name: str, kind: type[_Item]) -> _Item:
    """Read a field that has to be there and of this kind."""
    value = fields.get(name)
    if not isinstance(value, kind):
        raise BadItemError(f"{name}: must be a {'string' if kind is str else kind.__name__}")
    return value


def _optional_string(fields: dict[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadItemError(f"{name}: must be a string")
    return value


def _string_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


# --- what a list of a message holds: how an element is read, and what docs/protocol.schema.json says of a good one ---

_NAME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_IDENTITY_CHARS}

BOX: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}

IdentifyElement = Annotated[
    IdentifyItem,
    PlainValidator(read_identify_item),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "type": {"type": "string"},
                "embedding": {
                    "type": "array",
                    "items": {"type": "number"},
                    "minItems": 1,
                    "maxItems": MAX_EMBEDDING_LENGTH,
                },
                "identity": {"anyOf": [_NAME, {"type": "null"}]},
                "sha256": {"anyOf": [{"type": "string", "pattern": f"^{SHA256.pattern}$"}, {"type": "null"}]},
                "animal": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
                "box_xyxy_px": {"anyOf": [BOX, {"type": "null"}]},
                "model": {"type": ["string", "null"]},
            },
            "required": ["path", "type", "embedding"],
        }
    ),
]

SaveElement = Annotated[
    SavePhotoItem,
    PlainValidator(read_save_item),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"file": {"type": "string", "minLength": 1}, "selectedIdentity": _NAME},
            "required": ["file", "selectedIdentity"],
        }
    ),
]

"""The elements of a request's lists: a bad one carries its own failure and never sinks the request."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard, TypeVar

import numpy as np
from pydantic import PlainValidator, WithJsonSchema

from pipeline.errors import BadEmbeddingError, BadIdentityError, BadItemError, ItemError
from pipeline.names import MAX_IDENTITY_CHARS, normalise_identity, normalise_name
from pipeline.protocol.json_text import sendable
from pipeline.records import Failure, Float32Array, PhotoKey, Query

MAX_NAME_CHARACTERS = 1024
"""Longest name of an upload."""

MAX_EMBEDDING_LENGTH = 65_536
"""Far above any model's; what the loaded model's length is, the matcher checks."""

_NO_FILE_NAME = Failure.of(BadItemError("a file name must be a string"))
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_Item = TypeVar("_Item")


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


def read_path(value: object) -> str | Failure:
    """Read one element of `fileNames`."""
    return value if isinstance(value, str) else _NO_FILE_NAME


def read_upload(value: object) -> UploadItem:
    """Read one element of `uploads`; limits on the size are the session's business."""
    try:
        fields = _object(value)
        name, size = fields.get("name"), fields.get("size")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise BadItemError(f"name: must be a string of 1 to {MAX_NAME_CHARACTERS} characters")
        if not is_integer(size) or size < 0:
            return UploadItem(name, 0, Failure.of(BadItemError("size: must be the photo's length in bytes")))
        return UploadItem(name, size)
    except BadItemError as error:
        return UploadItem(None, 0, Failure.of(error))


def read_identify_item(value: object) -> IdentifyItem:
    """Read one element of an identify request's `data`; fields it does not know are ignored.

    So an entry of an extract result can be sent back as it came.
    """
    fields = value if isinstance(value, dict) else {}
    path = _string_or_none(fields.get("path"))
    confirms = fields.get("identity") is not None
    try:
        return IdentifyItem(path, _read_query(_object(value)), confirms)
    except ItemError as error:
        return IdentifyItem(path, Failure.of(error), confirms)


def read_save_item(value: object) -> SavePhotoItem:
    """Read one element of `whaleIdentities`; "Unknown" is a folder like any other here."""
    fields = value if isinstance(value, dict) else {}
    file = _string_or_none(fields.get("file"))
    try:
        if _required(_object(value), "file", str) == "":
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
    path = _required(fields, "path", str)
    animal = fields.get("animal")
    if animal is not None and not (is_integer(animal) and animal >= 1):
        raise BadItemError("animal: must be 1 or more")
    return Query(
        key=PhotoKey(_read_photo(fields, path), 1 if animal is None else animal),
        path=sendable(path),
        body_part=_required(fields, "type", str),
        values=_read_embedding(fields.get("embedding")),
        model=_optional_string(fields, "model"),
        identity=_read_identity(fields.get("identity")),
    )


def _read_photo(fields: dict[str, object], path: str) -> str:
    sha256 = _optional_string(fields, "sha256")
    if sha256 is None:
        return f"path:{sendable(path)}"
    if not _SHA256.fullmatch(sha256):
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


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadItemError("must be an object")
    return value


def _required(fields: dict[str, object], name: str, kind: type[_Item]) -> _Item:
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
                "sha256": {"anyOf": [{"type": "string", "pattern": f"^{_SHA256.pattern}$"}, {"type": "null"}]},
                "animal": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
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

"""The requests of the wire protocol as typed messages: reads text, knows nothing of connections.

A request without `id` is spoken the classic way (answered in lines of text), one with `id` in JSON. Fields that are
wrong for the request as a whole raise a RequestError whose message names the field; an element of a list that is wrong
by itself carries its own failure (pipeline.protocol.items) and the others are answered.

docs/protocol.md is the reference for clients. What it fixes beyond the original protocol:
- an optional field that is `null` counts as absent; `id` may not be null;
- with `id`, unknown fields are refused; without, they are ignored, as the original ignored them;
- `uploads`, `stream`, `cancel` and `ack` need an `id`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeVar

from pipeline.errors import MalformedMessageError, UnknownTypeError
from pipeline.protocol.items import (
    IdentifyItem,
    SavePhotoItem,
    UploadItem,
    is_integer,
    read_identify_item,
    read_path,
    read_save_item,
    read_upload,
)
from pipeline.protocol.json_text import decode_object, encode
from pipeline.records import Animals, Failure

MAX_ID_CHARACTERS = 256
"""Longest `id`; it is repeated in every answer."""

MAX_BINARY_BYTES = 2**20
"""Longest binary message."""


class CloseCode(IntEnum):
    """Why the server closes a connection (WebSocket close codes)."""

    IDLE = 1000
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    TRY_AGAIN_LATER = 1013


_SHOWN_CHARACTERS = 40
_Item = TypeVar("_Item")

Kind = Literal["extract", "identify", "save"]
"""The messages that are requests: they run, and end with an answer."""


@dataclass(frozen=True, slots=True)
class ExtractPaths:
    """`extract` with `fileNames`: find and embed the animals in photos on the server's disk.

    Attributes:
        paths: as the client sent them, or why an element is none.
    """

    request_id: str | None
    paths: tuple[str | Failure, ...]
    animals: Animals
    stream: bool


@dataclass(frozen=True, slots=True)
class ExtractUploads:
    """`extract` with `uploads`: the same for photos that follow as binary messages."""

    request_id: str
    items: tuple[UploadItem, ...]
    animals: Animals
    stream: bool


@dataclass(frozen=True, slots=True)
class Identify:
    """`identify`: confirm the items that carry an identity, rank the known individuals for each.

    Attributes:
        top_k: so many candidates an item; None for all.
    """

    request_id: str | None
    items: tuple[IdentifyItem, ...]
    top_k: int | None
    stream: bool


@dataclass(frozen=True, slots=True)
class Save:
    """`save`: copy photos into the folders of their individuals."""

    request_id: str | None
    items: tuple[SavePhotoItem, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """`cancel`: end a running request; what was left of it has the outcome `cancelled`."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Ack:
    """`ack`: the client has taken in `items` more items of a stream."""

    request_id: str
    items: int


Request = ExtractPaths | ExtractUploads | Identify | Save
Message = Request | Cancel | Ack


def parse(text: str) -> Message:
    """Read one text message of a client.

    Raises:
        MalformedMessageError: not JSON, not an object, or a field is missing or wrong; names the field.
        UnknownTypeError: `type` is not one the server knows.
    """
    fields = decode_object(text)
    return read_message(fields, read_id(fields))


def read_id(fields: Mapping[str, object]) -> str | None:
    """Return the message's `id`, None where it has none.

    Raises:
        MalformedMessageError: there is one, and it cannot be used.
    """
    if "id" not in fields:
        return None
    value = fields["id"]
    if not isinstance(value, str) or len(value) > MAX_ID_CHARACTERS:
        raise MalformedMessageError(f"id: must be a string of at most {MAX_ID_CHARACTERS} characters")
    return value


def read_message(fields: Mapping[str, object], request_id: str | None) -> Message:
    """Read the fields of one message.

    Args:
        fields: the JSON object.
        request_id: what `read_id` made of it.

    Raises:
        MalformedMessageError: a field is missing or wrong; names the field.
        UnknownTypeError: `type` is not one the server knows.
    """
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise MalformedMessageError("type: must be a string")
    if kind not in _READERS:
        shown = encode(kind[:_SHOWN_CHARACTERS])
        raise UnknownTypeError(f"type: {shown} is not known; the server knows {', '.join(_READERS)}")
    known, read = _READERS[kind]
    if request_id is not None:
        _refuse_unknown(fields, known)
    return read(fields, request_id)


def _read_extract(fields: Mapping[str, object], request_id: str | None) -> Message:
    animals, stream = _read_animals(fields), _read_stream(fields, request_id)
    if fields.get("uploads") is None:
        return ExtractPaths(request_id, _read_list(fields, "fileNames", read_path), animals, stream)
    if fields.get("fileNames") is not None:
        raise MalformedMessageError("uploads: cannot stand beside fileNames; send two requests")
    uploads_id = _require_id("uploads", request_id)
    return ExtractUploads(uploads_id, _read_list(fields, "uploads", read_upload), animals, stream)


def _read_identify(fields: Mapping[str, object], request_id: str | None) -> Message:
    top_k = fields.get("topK")
    if top_k is not None and not (is_integer(top_k) and top_k >= 1):
        raise MalformedMessageError("topK: must be an integer of 1 or more")
    items = _read_list(fields, "data", read_identify_item)
    return Identify(request_id, items, top_k, _read_stream(fields, request_id))


def _read_save(fields: Mapping[str, object], request_id: str | None) -> Message:
    return Save(request_id, _read_list(fields, "whaleIdentities", read_save_item))


def _read_cancel(_: Mapping[str, object], request_id: str | None) -> Message:
    return Cancel(_require_id("cancel", request_id))


def _read_ack(fields: Mapping[str, object], request_id: str | None) -> Message:
    acknowledged_id, items = _require_id("ack", request_id), fields.get("items")
    if not is_integer(items) or items < 1:
        raise MalformedMessageError("items: must be an integer of 1 or more")
    return Ack(acknowledged_id, items)


_Reader = Callable[[Mapping[str, object], str | None], Message]

_READERS: Mapping[str, tuple[frozenset[str], _Reader]] = {
    "extract": (frozenset({"fileNames", "uploads", "animals", "stream"}), _read_extract),
    "identify": (frozenset({"data", "topK", "stream"}), _read_identify),
    "save": (frozenset({"whaleIdentities"}), _read_save),
    "cancel": (frozenset(), _read_cancel),
    "ack": (frozenset({"items"}), _read_ack),
}

MESSAGE_FIELDS: Mapping[str, frozenset[str]] = {kind: known for kind, (known, _) in _READERS.items()}
"""Every message type with its own fields, besides `type` and `id`."""


def _refuse_unknown(fields: Mapping[str, object], known: frozenset[str]) -> None:
    unknown = [name for name in fields if name not in known and name not in ("type", "id")]
    if unknown:
        shown = encode(unknown[0][:_SHOWN_CHARACTERS])
        raise MalformedMessageError(f"{shown}: is not a field of this message; it may have {', '.join(sorted(known))}")


def _read_list(fields: Mapping[str, object], name: str, read_item: Callable[[object], _Item]) -> tuple[_Item, ...]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise MalformedMessageError(f"{name}: must be a list")
    return tuple(read_item(element) for element in value)


def _read_animals(fields: Mapping[str, object]) -> Animals:
    value = fields.get("animals")
    if value is None or value == "best":
        return "best"
    if value == "all":
        return "all"
    raise MalformedMessageError('animals: must be "best" or "all"')


def _read_stream(fields: Mapping[str, object], request_id: str | None) -> bool:
    value = fields.get("stream")
    if value is None or value is False:
        return False
    if value is not True:
        raise MalformedMessageError("stream: must be true or false")
    _require_id("stream", request_id)
    return True


def _require_id(name: str, request_id: str | None) -> str:
    if request_id is None:
        raise MalformedMessageError(f"id: {name} needs one")
    return request_id

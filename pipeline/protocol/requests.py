"""The requests of the wire protocol as typed messages: reads fields, knows nothing of connections.

A request without `id` is spoken the classic way (answered in lines of text), one with `id` in JSON. Fields that are
wrong for the request as a whole raise a RequestError whose message names the field; an element of a list that is wrong
by itself carries its own failure (pipeline.protocol.items) and the others are answered.

docs/protocol.md is the reference for clients. What it fixes beyond the original protocol:
- an optional field that is `null` counts as absent; `id` may not be null;
- with `id`, unknown fields are refused; without, they are ignored, as the original ignored them;
- every message but `extract` of `fileNames`, `identify` and `save` needs an `id`, and so does `stream`.

A new request is a class here and a member of `Message`: it is read, described in docs/protocol.schema.json, refused
where its fields are wrong, and carried to its handler and back without another line in this package or in
`pipeline.session`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NotRequired,  # pydantic needs this one below Python 3.12
    Self,
    get_args,
)

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, WithJsonSchema, model_validator
from typing_extensions import TypedDict

from pipeline.errors import MalformedMessageError
from pipeline.protocol.items import IdentifyElement, SaveElement
from pipeline.protocol.photo_items import Drawn, FileName, PhotoHash, Upload
from pipeline.records import Animals

MAX_ID_CHARACTERS = 256
"""Longest `id`; it is repeated in every answer."""

MAX_KEY_CHARACTERS = 128
"""Longest `key` of a change."""

MAX_CATALOGUE_CHARACTERS = 200
"""Longest name of a catalogue in a message."""

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


RequestId = Annotated[str, SkipValidation(), WithJsonSchema({"type": "string", "maxLength": MAX_ID_CHARACTERS})]
"""Checked by `read_id`: pydantic refuses lone surrogates, which an id may have."""


class BaseMessage(BaseModel):
    """What every message of a client has.

    Attributes:
        type: which message it is; a literal of each class.
        id: the client's name for the request; None for a classic one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    type: str
    id: RequestId | None = None


class Request(BaseMessage):
    """A message that runs, and ends with `complete` or `error`.

    Attributes:
        reply: for a request without elements, the type of its answer's `data`.
    """

    reply: ClassVar[Any] = None


class ListRequest(Request):
    """A request about a list of elements, each of which has its own outcome."""

    @property
    def streams(self) -> bool:
        """Whether each entry is sent by itself."""
        return False


class Control(BaseMessage):
    """A message about a running request of the same `id`."""

    id: RequestId


class _Stream(ListRequest):
    stream: bool = False

    @property
    def streams(self) -> bool:
        """Whether each entry is sent by itself."""
        return self.stream

    @model_validator(mode="after")
    def _needs_id(self) -> Self:
        if self.stream:
            require_id("stream", self.id)
        return self


class Extract(_Stream):
    """Find and embed the animals in photos.

    Attributes:
        file_names: photos on the server's disk, as the client sent them, or why an element is none.
        uploads: in their place, photos that follow as binary messages.
        photos: in their place, photos of the store, by the sha256 of their files.
        boxes: for each of `photos` what a person drew in it, or None to have it looked for.
        catalogue: whose `photos` are; None means the client's default one.
        animals: the best-scoring animal of each photo, or every one.
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [name]} for name in ("fileNames", "uploads", "photos")]}
    )

    type: Literal["extract"]
    file_names: tuple[FileName, ...] | None = Field(None, alias="fileNames", strict=False)
    uploads: tuple[Upload, ...] | None = Field(None, strict=False)
    photos: tuple[PhotoHash, ...] | None = Field(None, strict=False)
    boxes: tuple[Drawn, ...] | None = Field(None, strict=False)
    catalogue: Annotated[str, Field(max_length=MAX_CATALOGUE_CHARACTERS)] | None = None
    animals: Animals = "best"

    @model_validator(mode="after")
    def _one_kind_of_photos(self) -> Self:
        kinds = {"fileNames": self.file_names, "uploads": self.uploads, "photos": self.photos}
        named = [name for name, photos in kinds.items() if photos is not None]
        if not named:
            raise MalformedMessageError("fileNames: must be a list")
        for name in named[1:]:
            raise MalformedMessageError(f"{name}: cannot stand beside {named[0]}; send two requests")
        if self.file_names is None:
            require_id(named[0], self.id)
        return self

    @model_validator(mode="after")
    def _about_the_store(self) -> Self:
        if self.photos is None:
            for name, field in (("boxes", self.boxes), ("catalogue", self.catalogue)):
                if field is not None:
                    raise MalformedMessageError(f"{name}: is about `photos` only")
        elif self.boxes is not None and len(self.boxes) != len(self.photos):
            raise MalformedMessageError("boxes: must have one element for each of `photos`")
        return self


class Identify(_Stream):
    """Confirm the items that carry an identity, and rank the known individuals for each.

    Attributes:
        data: what to rank.
        top_k: so many candidates an item, "Unknown" counted; all where it is left out.
        key: names the confirmations of this request, so that sending them again changes nothing.
        catalogue: its name; None means the client's default one.
    """

    type: Literal["identify"]
    data: tuple[IdentifyElement, ...] = Field(strict=False)
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, alias="topK")
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARACTERS)] | None = None
    catalogue: Annotated[str, Field(max_length=MAX_CATALOGUE_CHARACTERS)] | None = None


class Save(ListRequest):
    """Copy photos into the folders of their individuals."""

    type: Literal["save"]
    items: tuple[SaveElement, ...] = Field(alias="whaleIdentities", strict=False)


class CatalogueEntry(TypedDict):
    """One catalogue: whose it is, and what the client may do in it.

    Who may view it also sees its version, which rises with every change, and how much it holds. `default` is the one
    that requests mean which name none; `place` says how exactly the client sees where photos were taken.
    """

    name: str
    version: NotRequired[int]
    individuals: NotRequired[int]
    photos: NotRequired[int]
    institution: str
    species: str | None
    right: Literal["match", "view", "confirm", "admin"]
    place: Literal["exact", "coarse", "none"]
    default: bool


class CataloguesReply(TypedDict):
    """The catalogues that the client may see."""

    catalogues: list[CatalogueEntry]


class Catalogues(Request):
    """List the catalogues, with what is in them."""

    reply: ClassVar[Any] = CataloguesReply

    type: Literal["catalogues"]
    id: RequestId


class Cancel(Control):
    """End a running request; what was left of it has the outcome `cancelled`."""

    type: Literal["cancel"]


class Ack(Control):
    """Say that `items` more items of a stream were taken in."""

    type: Literal["ack"]
    items: Annotated[int, Field(ge=1)]


Message = Extract | Identify | Save | Catalogues | Cancel | Ack
"""Every message that the server knows; a new one is a member here."""

MESSAGES: Mapping[str, type[Message]] = {
    name: kind for kind in get_args(Message) for name in get_args(kind.model_fields["type"].annotation)
}
"""Every message by its `type`."""


def fields_of(kind: type[BaseMessage]) -> tuple[str, ...]:
    """Return the names that a message's own fields have on the wire, besides `type` and `id`."""
    names = (field.alias or name for name, field in kind.model_fields.items())
    return tuple(name for name in names if name not in ("type", "id"))


def require_id(name: str, request_id: str | None) -> None:
    """Refuse a message, or a field of it, that needs an `id` and has none.

    Raises:
        MalformedMessageError: it has none.
    """
    if request_id is None:
        raise MalformedMessageError(f"id: {name} needs one")

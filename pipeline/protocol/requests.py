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
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, WithJsonSchema, model_validator
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from pipeline.errors import MalformedMessageError
from pipeline.protocol.filters import MAX_REFERENCES, MAX_REFERRED, Detail, Filters
from pipeline.protocol.items import FileName, IdentifyElement, SaveElement, Upload
from pipeline.records import Animals

MAX_ID_CHARACTERS = 256
"""Longest `id`; it is repeated in every answer."""

MAX_KEY_CHARACTERS = 128
"""Longest `key` of a change."""

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
        animals: the best-scoring animal of each photo, or every one.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["fileNames"]}, {"required": ["uploads"]}]})

    type: Literal["extract"]
    file_names: tuple[FileName, ...] | None = Field(None, alias="fileNames", strict=False)
    uploads: tuple[Upload, ...] | None = Field(None, strict=False)
    animals: Animals = "best"

    @model_validator(mode="after")
    def _one_kind_of_photos(self) -> Self:
        if self.uploads is None and self.file_names is None:
            raise MalformedMessageError("fileNames: must be a list")
        if self.uploads is not None:
            if self.file_names is not None:
                raise MalformedMessageError("uploads: cannot stand beside fileNames; send two requests")
            require_id("uploads", self.id)
        return self


class Identify(_Stream):
    """Confirm the items that carry an identity, and rank the known individuals for each.

    Attributes:
        data: what to rank.
        top_k: so many candidates an item, "Unknown" counted; all where it is left out.
        key: names the confirmations of this request, so that sending them again changes nothing.
        references: so many annotations of each candidate, one an encounter.
        filters: which annotations count.
    """

    type: Literal["identify"]
    data: tuple[IdentifyElement, ...] = Field(strict=False)
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, alias="topK")
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARACTERS)] | None = None
    references: Annotated[int, Field(ge=1, le=MAX_REFERENCES)] | None = None
    filters: Filters | None = None

    @property
    def detail(self) -> Detail | None:
        """What the answer is to bring beside names and distances; None for nothing."""
        if self.references is None and self.filters is None:
            return None
        return Detail(self.references or 0, self.filters if self.filters != Filters() else None)

    @model_validator(mode="after")
    def _detail_can_be_had(self) -> Self:
        for name in ("references", "filters"):
            if getattr(self, name) is not None:
                require_id(name, self.id)
        if self.references is not None and (self.top_k is None or self.top_k > MAX_REFERRED):
            raise MalformedMessageError(f"references: need topK of at most {MAX_REFERRED}")
        return self


class Save(ListRequest):
    """Copy photos into the folders of their individuals."""

    type: Literal["save"]
    items: tuple[SaveElement, ...] = Field(alias="whaleIdentities", strict=False)


class CatalogueEntry(TypedDict):
    """One catalogue: its version, which rises with every change, and how much it holds."""

    name: str
    version: int
    individuals: int
    photos: int


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

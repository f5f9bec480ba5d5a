"""The requests of the wire protocol as typed messages: reads fields, knows nothing of connections.

A request without `id` is spoken the classic way (answered in lines of text), one with `id` in JSON. Fields that are
wrong for the request as a whole raise a RequestError whose message names the field; an element of a list that is wrong
by itself carries its own failure (pipeline.protocol.items) and the others are answered.

docs/protocol.md is the reference for clients. What it fixes beyond the original protocol:
- an optional field that is `null` counts as absent; `id` may not be null;
- with `id`, unknown fields are refused; without, they are ignored, as the original ignored them;
- every message but `extract` of `fileNames`, `identify` and `save` needs an `id`, and so does `stream`.

A new request is a class here, or beside those about what a catalogue holds (`catalogue_requests`), and a member of
`Message`: it is read, described in docs/protocol.schema.json, refused where its fields are wrong, and carried to its
handler and back without another line in this package or in `pipeline.session`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from pipeline.errors import MalformedMessageError
from pipeline.protocol.base import BaseMessage, CatalogueName, Key, ListRequest, RequestId, require_id
from pipeline.protocol.catalogue_requests import (
    Aliases,
    Annotations,
    Decide,
    Describe,
    History,
    Individual,
    Individuals,
    Merge,
    Move,
    Remove,
    Rename,
    Review,
    Split,
    Subscribe,
    SuggestMerges,
    Undo,
)
from pipeline.protocol.filters import MAX_REFERENCES, MAX_REFERRED, Detail, Filters
from pipeline.protocol.items import IdentifyElement, SaveElement
from pipeline.protocol.photo_items import Drawn, FileName, PhotoHash, Upload
from pipeline.protocol.rights_requests import CatalogueCreate, Catalogues, Grant, Members, Revoke
from pipeline.protocol.sighting_requests import ProposeSightings
from pipeline.records import Animals

MAX_CATALOGUES = 16
"""That one request may rank together."""

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
    catalogue: CatalogueName | None = None
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
        catalogues: in its place, the names of several, which are ranked together; nothing is confirmed in them.
        references: so many annotations of each candidate, one an encounter.
        filters: which annotations count.
    """

    type: Literal["identify"]
    data: tuple[IdentifyElement, ...] = Field(strict=False)
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, alias="topK")
    key: Key | None = None
    catalogue: CatalogueName | None = None
    catalogues: tuple[CatalogueName, ...] | None = Field(None, strict=False, min_length=1, max_length=MAX_CATALOGUES)
    references: Annotated[int, Field(ge=1, le=MAX_REFERENCES)] | None = None
    filters: Filters | None = None

    @property
    def detail(self) -> Detail | None:
        """What the answer is to bring beside names and distances; None for nothing."""
        if self.references is None and self.filters is None:
            return None
        return Detail(self.references or 0, self.filters if self.filters != Filters() else None)

    @model_validator(mode="after")
    def _ranks_only_in_several(self) -> Self:
        if self.catalogues is None:
            return self
        require_id("catalogues", self.id)
        if self.catalogue is not None:
            raise MalformedMessageError("catalogues: cannot stand beside catalogue; name all of them here")
        if len(set(self.catalogues)) < len(self.catalogues):
            raise MalformedMessageError("catalogues: each may be named once")
        if self.key is not None or any(item.confirms for item in self.data):
            raise MalformedMessageError(
                "catalogues: rank only; confirm (identity, key) in a request of its own, which names one catalogue"
            )
        return self

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


class Cancel(Control):
    """End a running request; what was left of it has the outcome `cancelled`."""

    type: Literal["cancel"]


class Ack(Control):
    """Say that `items` more items of a stream were taken in."""

    type: Literal["ack"]
    items: Annotated[int, Field(ge=1)]


Message = (
    Extract
    | Identify
    | Save
    | Catalogues
    | Members
    | Grant
    | Revoke
    | CatalogueCreate
    | Individuals
    | Individual
    | Annotations
    | Review
    | History
    | SuggestMerges
    | Subscribe
    | ProposeSightings
    | Decide
    | Rename
    | Aliases
    | Merge
    | Split
    | Move
    | Remove
    | Describe
    | Undo
    | Cancel
    | Ack
)
"""Every message that the server knows; a new one is a member here."""

MESSAGES: Mapping[str, type[Message]] = {
    name: kind for kind in get_args(Message) for name in get_args(kind.model_fields["type"].annotation)
}
"""Every message by its `type`."""


def fields_of(kind: type[BaseMessage]) -> tuple[str, ...]:
    """Return the names that a message's own fields have on the wire, besides `type` and `id`."""
    names = (field.alias or name for name, field in kind.model_fields.items())
    return tuple(name for name in names if name not in ("type", "id"))

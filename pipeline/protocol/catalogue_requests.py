"""Requests about what a catalogue holds: its lists, and what people say about it beside confirming photos.

`pipeline.catalogue.verbs` says what each change means; a change is stored whole or not at all. Things are named by
their numbers, which lists show and which stay theirs.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import MalformedMessageError
from pipeline.protocol.base import CatalogueName, Key, Request, RequestId
from pipeline.protocol.catalogue_replies import (
    AnnotationsReply,
    ChangeReply,
    HistoryReply,
    IndividualReply,
    IndividualsReply,
    SubscribeReply,
    SuggestMergesReply,
)
from pipeline.protocol.filters import LocalTime

LARGEST = 2**31 - 1
"""What an integer of every database holds."""

Number = Annotated[int, Field(ge=1, le=LARGEST)]
"""Of an individual, an annotation, an encounter, a sighting, or an event's version."""

Version = Annotated[int, Field(ge=0, le=LARGEST)]
"""Of an event; 0 before the first."""

Text = Annotated[str, Field(max_length=200)]
MAX_GAP_MIN = 7 * 24 * 60
"""Longest gap within a sighting, in minutes."""

Gap = Annotated[int, Field(ge=1, le=MAX_GAP_MIN)]
Seconds = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
LongText = Annotated[str, Field(max_length=10_000)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class CatalogueRequest(Request):
    """A request about one catalogue.

    Attributes:
        catalogue: its name; None means the client's own.
    """

    id: RequestId
    catalogue: CatalogueName | None = None


class PageRequest(CatalogueRequest):
    """A request for one page of a list.

    Attributes:
        after: `next` of the page before; None for the first page.
        limit: how many entries; a page has at most 1,000.
    """

    after: LongText | None = None
    limit: Number | None = None


class Individuals(PageRequest):
    """List individuals by name; a filter that is None lets all through, `search` looks into names and aliases."""

    reply: ClassVar[Any] = IndividualsReply

    type: Literal["individuals"]
    search: Text | None = None
    species: Text | None = None
    sex: Text | None = None
    body_part: Text | None = Field(None, alias="bodyPart")


class Individual(CatalogueRequest):
    """Show one individual; of one that was merged into another, that one."""

    reply: ClassVar[Any] = IndividualReply

    type: Literal["individual"]
    individual: Number


class AnnotationsRequest(PageRequest):
    """A request for a list of annotations; a filter that is None lets all through."""

    reply: ClassVar[Any] = AnnotationsReply

    individual: Number | None = None
    encounter: Number | None = None
    body_part: Text | None = Field(None, alias="bodyPart")
    side: Text | None = None
    quality: Text | None = None


class Annotations(AnnotationsRequest):
    """List annotations in the order in which they came."""

    type: Literal["annotations"]


class Review(AnnotationsRequest):
    """List the annotations that wait for a person: what a program guessed, and what somebody was unsure of."""

    type: Literal["review"]


class History(PageRequest):
    """List events, newest first: about one thing, or those since a version."""

    reply: ClassVar[Any] = HistoryReply

    type: Literal["history"]
    individual: Number | None = None
    annotation: Number | None = None
    since: Version | None = None


class SuggestMerges(PageRequest):
    """List pairs of individuals that may be one, by their numbers; `limit` counts pairs.

    Attributes:
        body_part: what is compared; None: each, in the order of their names.
        within: how many times the spread of one they may be apart.
    """

    reply: ClassVar[Any] = SuggestMergesReply

    type: Literal["suggest_merges"]
    body_part: Text | None = Field(None, alias="bodyPart")
    within: Annotated[float, Field(ge=0.1, le=10.0)] = 1.0


class Subscribe(CatalogueRequest):
    """Hear of events as they come, until `cancel`: those after `since`, or from now on.

    Attributes:
        since: version of the last event that the client knows.
    """

    reply: ClassVar[Any] = SubscribeReply

    type: Literal["subscribe"]
    since: Version | None = None


Numbers = Annotated[tuple[Number, ...], Field(min_length=1, strict=False)]


class Part(BaseModel):
    """An object within a message."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Known(Part):
    """A state of the catalogue, as an answer's `head` has it."""

    version: Version
    nonce: Text


class ChangeRequest(CatalogueRequest):
    """A request that changes the catalogue, in one event.

    Attributes:
        key: names the change, so that asking for it again changes nothing.
        known: the state that it was decided on; it is refused where what it is about has changed since.
        reason: kept with the event.
    """

    reply: ClassVar[Any] = ChangeReply

    key: Key | None = None
    known: Known | None = None
    reason: LongText | None = None


class Verdict(Part):
    """A decision about one annotation."""

    annotation: Number
    verdict: Literal["match", "new", "unsure", "not_comparable"]
    individual: Number | None = None
    name: Text | None = None
    confidence: Text | None = None
    ranking: LongText | None = None


class Decide(ChangeRequest):
    """Say who annotations show."""

    type: Literal["decide"]
    decisions: Annotated[tuple[Verdict, ...], Field(min_length=1, strict=False)]


class Rename(ChangeRequest):
    """Give an individual another name; `keep` keeps the old one as an alias."""

    type: Literal["rename"]
    individual: Number
    name: Text
    keep: bool = False


class Aliases(ChangeRequest):
    """Add and take away other names of an individual."""

    type: Literal["aliases"]
    individual: Number
    add: tuple[Text, ...] = Field((), strict=False)
    remove: tuple[Text, ...] = Field((), strict=False)


class Merge(ChangeRequest):
    """Say that individuals are one."""

    type: Literal["merge"]
    into: Number
    others: Numbers


class Split(ChangeRequest):
    """Say that some annotations of one individual show another, known (`individual`) or new (`name`)."""

    type: Literal["split"]
    annotations: Numbers
    individual: Number | None = None
    name: Text | None = None


class Values(Part):
    """New values of a thing, by the names that lists show them under; null takes one away."""

    species: Text | None = None
    sex: Text | None = None
    note: LongText | None = None
    side: Text | None = None
    quality: Text | None = None
    begins_at: LocalTime | None = None
    ends_at: LocalTime | None = None
    latitude: Coordinate | None = None
    longitude: Coordinate | None = None
    uncertainty_m: Coordinate | None = None
    locality: Text | None = None
    observer: Text | None = None
    timezone: Text | None = None
    gap_min: Gap | None = None
    clock_s: Seconds | None = None


class Move(ChangeRequest):
    """Group annotations into an encounter: a known one, or one that is made, of a known sighting or a new one."""

    type: Literal["move"]
    annotations: Numbers
    encounter: Number | None = None
    sighting: Number | None = None
    values: Values | None = None


class Remove(ChangeRequest):
    """Withdraw annotations."""

    type: Literal["remove"]
    annotations: Numbers


class Describe(ChangeRequest):
    """Set what is known of one thing: an individual, an annotation, a sighting, a camera, or else of the catalogue."""

    type: Literal["describe"]
    individual: Number | None = None
    annotation: Number | None = None
    sighting: Number | None = None
    camera: Annotated[Text, Field(min_length=1)] | None = None
    values: Values

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        named = 4 - [self.individual, self.annotation, self.sighting, self.camera].count(None)
        of_catalogue = self.values.model_fields_set and self.values.model_fields_set <= {"timezone", "gap_min"}
        if named > 1 or (named == 0 and not of_catalogue):
            raise MalformedMessageError(
                "individual: name one of individual, annotation and sighting, or a camera; only timezone and gap_min "
                "are the catalogue's own"
            )
        return self


class Undo(ChangeRequest):
    """Take back what the event of a version did."""

    type: Literal["undo"]
    version: Number

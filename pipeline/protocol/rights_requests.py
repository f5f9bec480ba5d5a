"""Requests about who may do what: the catalogues that a client may know of, and the rights that others have there."""

from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NotRequired,  # pydantic needs these below Python 3.12
    Self,
)

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from pipeline.errors import MalformedMessageError
from pipeline.protocol.base import CatalogueName, Request, RequestId
from pipeline.protocol.catalogue_requests import CatalogueRequest

RightName = Literal["match", "view", "confirm", "admin"]
PlaceName = Literal["exact", "coarse", "none"]
Name = Annotated[str, Field(min_length=1, max_length=100)]


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
    right: RightName
    place: PlaceName
    default: bool


class CataloguesReply(TypedDict):
    """The catalogues that the client may know of."""

    catalogues: list[CatalogueEntry]


class Catalogues(Request):
    """List the catalogues that the client may know of."""

    reply: ClassVar[Any] = CataloguesReply

    type: Literal["catalogues"]
    id: RequestId


class MemberEntry(TypedDict):
    """A person or program with a right of their own."""

    institution: str
    user: str
    kind: Literal["person", "program"]
    right: RightName


class GrantEntry(TypedDict):
    """A right of everybody of an institution; `place` says how exactly they see where photos were taken."""

    institution: str
    right: Literal["match", "view", "confirm"]
    place: PlaceName


class MembersReply(TypedDict):
    """Who holds what in one catalogue."""

    members: list[MemberEntry]
    grants: list[GrantEntry]


class Members(CatalogueRequest):
    """List who holds what in a catalogue."""

    reply: ClassVar[Any] = MembersReply

    type: Literal["members"]


class RightsChange(Request):
    """A request that changes who may do what; saying it again changes nothing."""

    id: RequestId


class _GiftChange(RightsChange):
    """About the right of an institution, or of one user of it; answered with who holds what from then on."""

    reply: ClassVar[Any] = MembersReply

    catalogue: CatalogueName | None = None
    institution: Name
    user: Name | None = None


class Grant(_GiftChange):
    """Give a right in a catalogue, in place of the one that was given before.

    Attributes:
        right: of an institution "match", "view" or "confirm".
        place: of an institution: how exactly it sees where photos were taken; not at all where it is left out.
    """

    type: Literal["grant"]
    right: RightName
    place: PlaceName | None = None

    @model_validator(mode="after")
    def _users_see_places(self) -> Self:
        if self.user is not None and self.place is not None:
            raise MalformedMessageError("place: is for institutions; leave it out, since a user sees places exactly")
        return self


class Revoke(_GiftChange):
    """Take a right in a catalogue back."""

    type: Literal["revoke"]


class CatalogueCreate(RightsChange):
    """Make an empty catalogue of the client's institution, whose admin the client is; answered with its entry."""

    reply: ClassVar[Any] = CatalogueEntry

    type: Literal["catalogue_create"]
    name: CatalogueName
    species: Name | None = None

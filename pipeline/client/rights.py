"""Who may do what in the server's catalogues, as programs see and change it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pipeline.client.asking import ask_for_answer
from pipeline.client.connection import Server
from pipeline.client.errors import BadAnswerError
from pipeline.client.listing import Run
from pipeline.client.results import JsonObject

Right = Literal["match", "view", "confirm", "admin"]
Place = Literal["exact", "coarse", "none"]
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A catalogue that the client may know of.

    Attributes:
        name: what calls name it by.
        institution: whose it is.
        species: None where nobody has said.
        right: the highest that the client holds in it.
        place: how exactly the client sees where photos were taken.
        default: whether calls mean it that name none.
        version: rises with every change; like the next two None for who may not view it.
        individuals: how many it holds.
        photos: how many it holds.
    """

    name: str
    institution: str
    species: str | None
    right: Right
    place: Place
    default: bool
    version: int | None
    individuals: int | None
    photos: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """A user with a right of their own; `kind` is "person" or "program"."""

    institution: str
    user: str
    kind: str
    right: Right


@dataclass(frozen=True, slots=True)
class InstitutionGrant:
    """A right of everybody of an institution, and how exactly they see where photos were taken."""

    institution: str
    right: Right
    place: Place


@dataclass(frozen=True, slots=True)
class Members:
    """Who holds what in one catalogue."""

    members: tuple[Member, ...]
    grants: tuple[InstitutionGrant, ...]


class AsyncRights:
    """The catalogues of a server, and who may do what there; its calls raise what those of `AsyncClient` do."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def catalogues(self) -> Sequence[CatalogueEntry]:
        """Return the catalogues that the client may know of."""
        return await self._ask("catalogues", {}, lambda data: tuple(map(_read_entry, data["catalogues"])))

    async def create(self, name: str, species: str | None = None) -> CatalogueEntry:
        """Make an empty catalogue of the client's institution, whose admin the client is."""
        return await self._ask("catalogue_create", {"name": name, "species": species}, _read_entry)

    async def members(self, catalogue: str | None = None) -> Members:
        """Return who holds what in a catalogue; None means the client's own."""
        return await self._ask("members", {"catalogue": catalogue}, _read_members)

    async def grant(
        self,
        right: Right,
        institution: str,
        user: str | None = None,
        *,
        place: Place | None = None,
        catalogue: str | None = None,
    ) -> Members:
        """Give a right to a user of the catalogue's institution, or to everybody of any institution.

        Args:
            right: "match", "view" or "confirm"; a user may get "admin", too.
            institution: of the user, or which gets it.
            user: None for everybody of the institution.
            place: how exactly an institution sees where photos were taken; None for not at all.
            catalogue: None for the client's own.

        Returns:
            Who holds what from then on.
        """
        whom = {"catalogue": catalogue, "institution": institution, "user": user}
        return await self._ask("grant", {**whom, "right": right, "place": place}, _read_members)

    async def revoke(self, institution: str, user: str | None = None, *, catalogue: str | None = None) -> Members:
        """Take back what a user or an institution was given; return who holds what from then on."""
        whom = {"catalogue": catalogue, "institution": institution, "user": user}
        return await self._ask("revoke", whom, _read_members)

    async def _ask(self, kind: str, fields: JsonObject, read: Callable[[JsonObject], Read]) -> Read:
        given = {name: value for name, value in fields.items() if value is not None}
        data = await ask_for_answer(self._server, kind, given)
        try:
            return read(data)
        except (AttributeError, KeyError, TypeError) as error:
            raise BadAnswerError(f"the server's answer to {kind} cannot be read: {error!r}") from error


class Rights:
    """As `AsyncRights`, for programs without asyncio."""

    def __init__(self, rights: AsyncRights, run: Run) -> None:
        self._rights = rights
        self._run = run

    def catalogues(self) -> Sequence[CatalogueEntry]:
        """Return the catalogues that the client may know of."""
        return self._run(self._rights.catalogues())

    def create(self, name: str, species: str | None = None) -> CatalogueEntry:
        """Make an empty catalogue; see `AsyncRights.create`."""
        return self._run(self._rights.create(name, species))

    def members(self, catalogue: str | None = None) -> Members:
        """Return who holds what in a catalogue; see `AsyncRights.members`."""
        return self._run(self._rights.members(catalogue))

    def grant(
        self,
        right: Right,
        institution: str,
        user: str | None = None,
        *,
        place: Place | None = None,
        catalogue: str | None = None,
    ) -> Members:
        """Give a right; see `AsyncRights.grant`."""
        return self._run(self._rights.grant(right, institution, user, place=place, catalogue=catalogue))

    def revoke(self, institution: str, user: str | None = None, *, catalogue: str | None = None) -> Members:
        """Take a right back; see `AsyncRights.revoke`."""
        return self._run(self._rights.revoke(institution, user, catalogue=catalogue))


def _read_entry(fields: JsonObject) -> CatalogueEntry:
    told = (fields[name] for name in ("name", "institution", "species", "right", "place", "default"))
    return CatalogueEntry(*told, *(fields.get(name) for name in ("version", "individuals", "photos")))


def _read_members(fields: JsonObject) -> Members:
    members = (Member(each["institution"], each["user"], each["kind"], each["right"]) for each in fields["members"])
    grants = (InstitutionGrant(each["institution"], each["right"], each["place"]) for each in fields["grants"])
    return Members(tuple(members), tuple(grants))

"""What people may do in which catalogue: the four rights, and what somebody holds of them (no I/O)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from pipeline.errors import CatalogueNeededError, ForbiddenError, NoSuchCatalogueError
from pipeline.records import LOCAL_USER, Actor, Candidate, Ranking

DEFAULT_CATALOGUE = "default"
"""The catalogue that every database has."""

ROUNDED_DIGITS = 2
"""Of distances, for who may rank only: exact ones to many embeddings would give an individual's mean away."""

Place = Literal["exact", "coarse", "none"]
"""Whether somebody sees where a photo was taken."""


class Right(StrEnum):
    """What somebody may do in a catalogue; each includes those before it."""

    MATCH = "match"
    """To rank its individuals: names and rounded distances."""

    VIEW = "view"
    """To see its individuals, their photos and their history."""

    CONFIRM = "confirm"
    """To change what it says."""

    ADMIN = "admin"
    """To say who may do what in it."""

    def includes(self, other: "Right") -> bool:
        """Whether who has this right has the other one, too."""
        return _ORDER.index(self) >= _ORDER.index(other)

    @property
    def sufficient(self) -> tuple["Right", ...]:
        """The rights that include this one."""
        return tuple(right for right in _ORDER if right.includes(self))


_ORDER = tuple(Right)


@dataclass(frozen=True, slots=True)
class Held:
    """What somebody holds in one catalogue.

    Attributes:
        right: the highest.
        institution: whose catalogue it is.
        place: what they see of places.
        species: of the catalogue; None where nobody has said.
    """

    right: Right
    institution: str
    place: Place = "exact"
    species: str | None = None

    def require_exact_place(self) -> None:
        """Refuse who does not see exactly where photos were taken.

        Raises:
            ForbiddenError: they do not.
        """
        if self.place != "exact":
            raise ForbiddenError(
                "filters: box and around are for who sees exact places, which you do not in this catalogue; leave them "
                "out, or ask its data manager"
            )


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody holds at this moment.

    Attributes:
        actor: who.
        held: by the name of each catalogue that they may know of.
        default: the catalogue that a request means which names none; None where it has to name one.
    """

    actor: Actor
    held: Mapping[str, Held]
    default: str | None

    def catalogue(self, named: str | None, right: Right) -> str:
        """Return the catalogue that a request is about, where this right is held.

        Raises:
            CatalogueNeededError: the request names none, and there is no default one.
            NoSuchCatalogueError: there is none of this name, or the right is not held there: which one is not told.
        """
        if named is None and self.default is None:
            raise CatalogueNeededError(
                "catalogue: the request must name one; `catalogues` lists those that you may know of"
            )
        name = self.default if named is None else named
        held = None if name is None else self.held.get(name)
        if name is None or held is None or not held.right.includes(right):
            raise NoSuchCatalogueError(
                f"catalogue: there is none of this name in which you have the right to {right}; "
                "`catalogues` lists those that you may know of, with your right in each"
            )
        return name

    def require_anywhere(self, right: Right) -> None:
        """Refuse who holds this right in no catalogue.

        Raises:
            ForbiddenError: they do not.
        """
        if not any(held.right.includes(right) for held in self.held.values()):
            raise ForbiddenError(f"you need the right to {right} in some catalogue for this; ask its data manager")

    def with_token_of_the_settings(self) -> "Standing":
        """Return the same for who speaks with a token of the settings: they may confirm in the default catalogue.

        That one stays what requests mean which name none, whatever else the owner may do: what a program has always
        asked for must not come to mean another catalogue because somebody gave a right.
        """
        held = self.held.get(DEFAULT_CATALOGUE)
        if held is None or not held.right.includes(Right.CONFIRM):
            held = held or Held(Right.CONFIRM, LOCAL_USER.institution)
            held = replace(held, right=Right.CONFIRM, place="exact")
        return replace(self, held={**self.held, DEFAULT_CATALOGUE: held}, default=DEFAULT_CATALOGUE)


def default_catalogue(institution: str, held: Mapping[str, Held]) -> str | None:
    """Return the catalogue that somebody's requests mean which name none.

    It is the only one of their institution that they may know of; where there are several, or none, it is `default`,
    but never one of another institution where they have several of their own: nothing may come into a wrong one.
    """
    own = [name for name, each in held.items() if each.institution == institution]
    if len(own) == 1:
        return own[0]
    known = own or list(held)
    return DEFAULT_CATALOGUE if DEFAULT_CATALOGUE in known else None


LOCAL_STANDING = Standing(LOCAL_USER, {DEFAULT_CATALOGUE: Held(Right.ADMIN, LOCAL_USER.institution)}, DEFAULT_CATALOGUE)
"""Of whoever sits at this machine, where no tokens are asked for."""


def rounded(ranking: Ranking) -> Ranking:
    """Keep of a ranking what who may rank only is told: names and rounded distances; references have exact ones."""
    candidates = (Candidate(each.individual, round(each.distance, ROUNDED_DIGITS)) for each in ranking.candidates)
    return Ranking(tuple(candidates), ranking.failure)

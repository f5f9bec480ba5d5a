"""What people may say about a catalogue beside confirming photos: one class a verb, as plain records.

Individuals, annotations, encounters and sightings are named by the numbers that the catalogue gave them. The number of
an individual that was merged into another means that other one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pipeline.catalogue.rows import Head

Verdict = Literal["match", "new", "unsure", "not_comparable"]
"""What a person decided about an annotation: it shows this individual; one that is new; they cannot tell (it waits for
review); it cannot be compared (it does not wait). Whoever it was said to show before, it shows nobody after the last
two."""

Thing = Literal["individual", "annotation", "sighting", "camera", "catalogue"]
"""What can be described: a thing in the catalogue, a camera that took some of its photos, or the catalogue itself."""

Description = Mapping[str, str | float | datetime | None]
"""New values by name; None takes a value away."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's verdict about one annotation.

    Attributes:
        annotation: which.
        verdict: see `Verdict`.
        individual: of "match", who it is; of "unsure" and "not_comparable", who it was compared with, if with anybody.
        name: of "new", how the individual is called; two decisions of one name make one individual.
        confidence: in the person's words.
        ranking: the description of the ranking that was decided on, as its answer brought it.
    """

    annotation: int
    verdict: Verdict
    individual: int | None = None
    name: str | None = None
    confidence: str | None = None
    ranking: str | None = None


@dataclass(frozen=True, slots=True)
class Decide:
    """Who annotations show: all of it or, where one decision is refused, nothing."""

    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """Give an individual another name; `keep` keeps the old one as an alias."""

    individual: int
    name: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Alias:
    """Add and take away other names of an individual."""

    individual: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    """Say that individuals are one: the others' annotations become its own, and their names its aliases."""

    into: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Say that some annotations of one individual show another: one that is known, or a new one of this name."""

    annotations: tuple[int, ...]
    individual: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Group annotations into one encounter.

    Attributes:
        annotations: which.
        encounter: a known one; None makes one.
        sighting: of the encounter that is made; None makes one, too.
        values: what is known of the sighting that is made, as `Describe` has it.
    """

    annotations: tuple[int, ...]
    encounter: int | None = None
    sighting: int | None = None
    values: Description = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remove:
    """Withdraw annotations, with all that is said about them."""

    annotations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """Set what is known of a thing.

    An individual has species, sex and note; an annotation side and quality; a sighting begins_at, ends_at (local time),
    latitude, longitude, uncertainty_m, locality and observer. A camera has clock_s, the catalogue timezone and gap_min,
    by which times are read where sightings are proposed.

    Attributes:
        thing: see `Thing`.
        id: its number; of a camera its name, as photos have it; of the catalogue "".
        values: those that change.
    """

    thing: Thing
    id: int | str
    values: Description


@dataclass(frozen=True, slots=True)
class Relocate:
    """Say that photos have moved: the new path of each, by annotation. What knew a photo by its path does so on."""

    paths: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what the event of a version did."""

    version: int


Verb = Decide | Rename | Alias | Merge | Split | Move | Remove | Describe | Relocate | Undo


@dataclass(frozen=True, slots=True)
class Changed:
    """What a verb did.

    Attributes:
        head: the state that its event left; where nothing had to change, the state as it is.
        made: numbers of what is new, by "individuals", "encounters" and "sightings"; in the order of the verb.
    """

    head: Head
    made: Mapping[str, tuple[int, ...]]

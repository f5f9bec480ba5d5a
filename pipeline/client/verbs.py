"""What a program may say about a catalogue beside confirming photos, for `change` of the client's catalogue.

docs/protocol.md says what each does. Individuals, annotations, encounters and sightings are named by their numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Literal

from pipeline.client.results import JsonObject

Verdict = Literal["match", "new", "unsure", "not_comparable"]
Values = Mapping[str, str | float | datetime | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's verdict about one annotation.

    Attributes:
        annotation: its number.
        verdict: "match" takes `individual`, "new" takes `name`; the others may say whom it was compared with.
        individual: number.
        name: of a new individual; two decisions of one name make one.
        confidence: in the person's words.
        ranking: what was decided on.
    """

    annotation: int
    verdict: Verdict
    individual: int | None = None
    name: str | None = None
    confidence: str | None = None
    ranking: str | None = None


@dataclass(frozen=True, slots=True)
class Decide:
    """Say who annotations show, many at once."""

    kind: ClassVar[str] = "decide"
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """Give an individual another name; `keep` keeps the old one as an alias."""

    kind: ClassVar[str] = "rename"
    individual: int
    name: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Aliases:
    """Add and take away other names of an individual."""

    kind: ClassVar[str] = "aliases"
    individual: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    """Say that individuals are one: the others' annotations become its own, their names its aliases."""

    kind: ClassVar[str] = "merge"
    into: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Say that some annotations of one individual show another: a known one, or a new one of this name."""

    kind: ClassVar[str] = "split"
    annotations: tuple[int, ...]
    individual: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Group annotations into a known encounter, or into a new one: of a known sighting, or of a new one.

    `values` say what is known of a new sighting, as `Describe` has them.
    """

    kind: ClassVar[str] = "move"
    annotations: tuple[int, ...]
    encounter: int | None = None
    sighting: int | None = None
    values: Values | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Withdraw annotations, with all that is said of them."""

    kind: ClassVar[str] = "remove"
    annotations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """Set what is known of one thing; None takes a value away.

    An individual has species, sex and note; an annotation side and quality; a sighting begins_at, ends_at (local time),
    latitude, longitude, uncertainty_m, locality and observer; a camera, by the name that `clocks` has it under,
    clock_s. Where none is named, it is the catalogue itself: timezone and gap_min.
    """

    kind: ClassVar[str] = "describe"
    values: Values
    individual: int | None = None
    annotation: int | None = None
    sighting: int | None = None
    camera: str | None = None


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what the event of a version did."""

    kind: ClassVar[str] = "undo"
    version: int


Verb = Decide | Rename | Aliases | Merge | Split | Move | Remove | Describe | Undo


def message_fields(verb: Verb) -> JsonObject:
    """Return what a verb's message holds besides its `type`."""
    said = _said(verb)
    if isinstance(verb, Decide):
        said["decisions"] = [_said(decision) for decision in verb.decisions]
    elif isinstance(verb, Describe | Move) and verb.values is not None:
        times = {name: value.isoformat() for name, value in verb.values.items() if isinstance(value, datetime)}
        said["values"] = {**verb.values, **times}
    return said


def _said(record: Any) -> JsonObject:
    """Return the fields that say something."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if value is not None and value != ()}

"""What people read of a catalogue: filters, pages, and the entries on them, as plain records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pipeline.catalogue.rows import Head
from pipeline.catalogue.verbs import Verdict
from pipeline.records import Actor

Entry = TypeVar("Entry")

PAGE = 100
"""Entries on one page, where nobody says how many."""

MAX_PAGE = 1_000
"""Entries on one page, at most."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """A part of a list.

    Attributes:
        head: the state of the catalogue that it was read from; a decision on it names this.
        entries: in the list's order.
        next: where the next page begins; None on the last. What comes or goes meanwhile shifts nothing.
        total: length of the whole list; of the first page alone, since counting is as much work as many pages are.
    """

    head: Head
    entries: tuple[Entry, ...]
    next: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class IndividualFilter:
    """Which individuals to list; None lets all through.

    Attributes:
        search: part of a name or an alias; case, white space and width do not matter.
        species: exactly.
        sex: exactly.
        body_part: those that have an annotation of it.
    """

    search: str | None = None
    species: str | None = None
    sex: str | None = None
    body_part: str | None = None


@dataclass(frozen=True, slots=True)
class IndividualEntry:
    """An individual in a list.

    Attributes:
        id: its number.
        name: as rankings show it.
        aliases: its other names.
        species: as described.
        sex: as described.
        note: as described.
        annotations: how many a person says show it.
        provisional: how many wait for a person to say so.
    """

    id: int
    name: str
    aliases: tuple[str, ...]
    species: str | None
    sex: str | None
    note: str | None
    annotations: int
    provisional: int


@dataclass(frozen=True, slots=True)
class EncounterEntry:
    """An encounter of one individual: its annotations at one time and place, and what is known of these."""

    id: int
    sighting: int
    annotations: tuple[int, ...]
    begins_at: datetime | None
    ends_at: datetime | None
    latitude: float | None
    longitude: float | None
    uncertainty_m: float | None
    locality: str | None
    observer: str | None


@dataclass(frozen=True, slots=True)
class IndividualDetail:
    """One individual; its annotations and its history are lists of their own (`AnnotationFilter`, `HistoryFilter`).

    Attributes:
        head: see `Page`.
        individual: where the number asked for was merged into another, that one.
        merged: numbers of those that were merged into it.
        encounters: by number.
    """

    head: Head
    individual: IndividualEntry
    merged: tuple[int, ...]
    encounters: tuple[EncounterEntry, ...]


@dataclass(frozen=True, slots=True)
class AnnotationFilter:
    """Which annotations to list; None lets all through.

    Attributes:
        individual: those that show it; of one that was merged, those that show what it was merged into.
        encounter: those in it.
        body_part: exactly.
        side: exactly.
        quality: exactly.
        waiting: those that wait for a person: provisional or unsure.
    """

    individual: int | None = None
    encounter: int | None = None
    body_part: str | None = None
    side: str | None = None
    quality: str | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class AnnotationEntry:
    """An annotation in a list.

    Attributes:
        id: its number.
        source_key: which photo: "sha256:<hex>", "path:<path>" or "csv:<sha256 of the file>:<line>".
        animal: which animal of the photo.
        body_part: name from models.yaml.
        path: of the photo, as it was named first.
        side: as described.
        quality: as described.
        encounter: its encounter.
        individual: who it shows; None where nobody is said.
        name: of that individual.
        reviewed: a person says so; False while that is provisional.
        verdict: a person's last decision about it, if it was a decision.
        confidence: of that decision.
        models: short hashes of the weights that it has an embedding of.
    """

    id: int
    source_key: str
    animal: int
    body_part: str
    path: str
    side: str | None
    quality: str | None
    encounter: int | None
    individual: int | None
    name: str | None
    reviewed: bool
    verdict: Verdict | None
    confidence: str | None
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which events to list; None lets all through.

    Attributes:
        individual: those that touched it: what it is called, what is known of it, what is said to show it.
        annotation: those that touched it or what is said of it.
        since: those after this version.
        oldest_first: in the order in which they came; else the newest is first.
    """

    individual: int | None = None
    annotation: int | None = None
    since: int | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class EventEntry:
    """An event in a list.

    Attributes:
        version: its own.
        kind: "confirm", "import", "migrate" or a verb's.
        actor: who spoke.
        at: when; UTC, aware.
        reason: in the actor's words.
        undoes: the version that it takes back.
        undone_by: the version that takes it back, where that stands.
    """

    version: int
    kind: str
    actor: Actor
    at: datetime
    reason: str | None
    undoes: int | None
    undone_by: int | None

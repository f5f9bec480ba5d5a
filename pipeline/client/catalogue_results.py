"""What the client answers about a catalogue: frozen records, read from the server's JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pipeline.client.results import JsonObject
from pipeline.client.verbs import Verdict

Entry = TypeVar("Entry")
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Head:
    """A state of a catalogue; written "version:nonce".

    Attributes:
        version: of its last event.
        nonce: random; copies of a catalogue that went different ways have the same versions, and other nonces.
    """

    version: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.version}:{self.nonce}"


@dataclass(frozen=True, slots=True)
class Individual:
    """An individual; `annotations` show it by a person's word, `provisional` ones by a guess that waits for one."""

    id: int
    name: str
    aliases: tuple[str, ...]
    species: str | None
    sex: str | None
    note: str | None
    annotations: int
    provisional: int


@dataclass(frozen=True, slots=True)
class Encounter:
    """One encounter of an individual: its annotations, and what is known of the sighting; times are local."""

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
    """One individual, those that were merged into it, and its encounters."""

    head: Head
    individual: Individual
    merged: tuple[int, ...]
    encounters: tuple[Encounter, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One body part of one animal in one photo.

    Attributes:
        id: its number.
        source_key: which photo: "sha256:<hex>", "path:<path>" or "csv:<sha256 of the file>:<line>".
        animal: which animal of the photo.
        body_part: for example "fluke".
        path: of the photo, as it was named first.
        side: as described.
        quality: as described.
        encounter: its encounter.
        individual: who it shows; None where nobody is said.
        name: of that individual.
        reviewed: a person says so.
        verdict: a person's last decision about it.
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
class Likeness:
    """One individual of a suggested pair.

    Attributes:
        id: its number.
        name: as rankings show it.
        annotations: how many were compared.
        spread: how far they are from their mean (root of the mean square); None of one alone.
    """

    id: int
    name: str
    annotations: int
    spread: float | None


@dataclass(frozen=True, slots=True)
class SuggestedMerge:
    """Two individuals that may be one.

    Attributes:
        body_part: that was compared.
        distance: between their means.
        ratio: of the distance to the larger of their spreads: the lower, the likelier.
        individuals: both.
    """

    body_part: str
    distance: float
    ratio: float
    individuals: tuple[Likeness, Likeness]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who spoke; `kind` is "person" or "program"."""

    institution: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Event:
    """One transaction of a catalogue.

    Attributes:
        version: its own.
        kind: "confirm", "import", "migrate" or that of a change.
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


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did.

    Attributes:
        head: the state that it left.
        made: numbers of what is new, by "individuals", "encounters" and "sightings".
    """

    head: Head
    made: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class News:
    """What a subscription tells.

    Attributes:
        catalogue: its name.
        head: the state that it is in.
        events: that came since the news before, oldest first; where there are none and the head is another one, an
            older copy of the catalogue was put back, and what was read before holds no longer.
    """

    catalogue: str
    head: Head
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """A part of a list.

    Attributes:
        head: the state that it was read from.
        entries: in the list's order.
        next: where the next page begins; None on the last.
        total: length of the whole list, on its first page.
    """

    head: Head
    entries: tuple[Entry, ...]
    next: str | None
    total: int | None


def read_head(fields: JsonObject) -> Head:
    """Read the state that an answer was read from."""
    return record(Head, fields["head"])


def read_individual(fields: JsonObject) -> Individual:
    """Read an individual."""
    return record(Individual, fields, aliases=tuple(fields["aliases"]))


def read_detail(fields: JsonObject) -> IndividualDetail:
    """Read one individual in detail."""
    encounters = tuple(map(_read_encounter, fields["encounters"]))
    return IndividualDetail(
        read_head(fields), read_individual(fields["individual"]), tuple(fields["merged"]), encounters
    )


def read_annotation(fields: JsonObject) -> Annotation:
    """Read an annotation."""
    return record(Annotation, fields, models=tuple(fields["models"]))


def read_suggestion(fields: JsonObject) -> SuggestedMerge:
    """Read a pair of individuals that may be one."""
    one, other = (record(Likeness, each) for each in fields["individuals"])
    return record(SuggestedMerge, fields, individuals=(one, other))


def read_event(fields: JsonObject) -> Event:
    """Read an event."""
    return record(Event, fields, actor=record(Actor, fields["actor"]), at=datetime.fromisoformat(fields["at"]))


def read_news(fields: JsonObject) -> News:
    """Read what a subscription tells."""
    return News(fields["catalogue"], read_head(fields), tuple(map(read_event, fields["events"])))


def read_changed(fields: JsonObject) -> Changed:
    """Read what a change did."""
    return Changed(read_head(fields), {name: tuple(made) for name, made in fields["made"].items()})


def _read_encounter(fields: JsonObject) -> Encounter:
    return record(Encounter, fields, annotations=tuple(fields["annotations"]), **read_times(fields))


def read_times(fields: JsonObject) -> dict[str, datetime | None]:
    """Read begin and end of a sighting."""
    return {
        name: None if fields[name] is None else datetime.fromisoformat(fields[name])
        for name in ("begins_at", "ends_at")
    }


def record(kind: type[Record], fields: JsonObject, **read: Any) -> Record:
    """Make a record of fields that are there, but for those that were read already; a newer server may send more."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: read[name] if name in read else fields[name] for name in names})

"""What the answers about a catalogue hold, as types; `pipeline.catalogue.answers` fills them."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12


class Head(TypedDict):
    """A state of a catalogue: the version of its last event, and that event's random number."""

    version: int
    nonce: str


class IndividualEntry(TypedDict):
    """An individual; `annotations` and `provisional` say how many show it, by a person's word and by a guess."""

    id: int
    name: str
    aliases: list[str]
    species: str | None
    sex: str | None
    note: str | None
    annotations: int
    provisional: int


class EncounterEntry(TypedDict):
    """One encounter of an individual: its annotations, and what is known of the sighting; times are local."""

    id: int
    sighting: int
    annotations: list[int]
    begins_at: str | None
    ends_at: str | None
    latitude: float | None
    longitude: float | None
    uncertainty_m: float | None
    locality: str | None
    observer: str | None


class AnnotationEntry(TypedDict):
    """An annotation, who it shows, and a person's last decision about it."""

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
    verdict: Literal["match", "new", "unsure", "not_comparable"] | None
    confidence: str | None
    models: list[str]


class ActorEntry(TypedDict):
    """Who spoke."""

    institution: str
    name: str
    kind: Literal["person", "program"]


class EventEntry(TypedDict):
    """An event; `at` is in UTC."""

    version: int
    kind: str
    actor: ActorEntry
    at: str
    reason: str | None
    undoes: int | None
    undone_by: int | None


class IndividualsReply(TypedDict):
    """A page of individuals; `next` is where the next one begins, `total` of the first how long the whole list is."""

    head: Head
    individuals: list[IndividualEntry]
    next: str | None
    total: int | None


class IndividualReply(TypedDict):
    """One individual, with the numbers of those that were merged into it."""

    head: Head
    individual: IndividualEntry
    merged: list[int]
    encounters: list[EncounterEntry]


class AnnotationsReply(TypedDict):
    """A page of annotations."""

    head: Head
    annotations: list[AnnotationEntry]
    next: str | None
    total: int | None


class HistoryReply(TypedDict):
    """A page of events, newest first."""

    head: Head
    events: list[EventEntry]
    next: str | None
    total: int | None


class SuggestedIndividual(TypedDict):
    """One of a pair: how many of its annotations were compared, and how far they are from their mean."""

    id: int
    name: str
    annotations: int
    spread: float | None


class SuggestedMerge(TypedDict):
    """Two individuals that may be one; the distance is between their means, `ratio` is in spreads."""

    body_part: str
    distance: float
    ratio: float
    individuals: list[SuggestedIndividual]


class SuggestMergesReply(TypedDict):
    """A page of pairs, which may be empty though others follow; how long the list is nobody knows."""

    head: Head
    pairs: list[SuggestedMerge]
    next: str | None
    total: None


class SubscribeReply(TypedDict):
    """What came since the answer before, oldest first, and the state that it led to."""

    catalogue: str
    head: Head
    events: list[EventEntry]


class ProposedEncounterEntry(TypedDict):
    """Annotations that may show one animal; `individual` is whom people said they show."""

    annotations: list[int]
    individual: int | None


class ProposedSightingEntry(TypedDict):
    """Photos that may be of one sighting; times are local, `near` are the catalogue's sightings of the same time."""

    begins_at: str
    ends_at: str
    utc_offset_min: int | None
    latitude: float | None
    longitude: float | None
    uncertainty_m: float | None
    encounters: list[ProposedEncounterEntry]
    near: list[int]


class UndatedEntry(TypedDict):
    """An annotation of which nobody knows when its photo was taken."""

    annotation: int
    path: str


class CameraEntry(TypedDict):
    """A camera that took some of the photos, and the seconds that its clock is corrected by."""

    camera: str
    clock_s: int | None


class ProposalsReply(TypedDict):
    """A page of proposed sightings; after the last one come the annotations without a date."""

    head: Head
    timezone: str | None
    gap_min: int
    cameras: list[CameraEntry]
    sightings: list[ProposedSightingEntry]
    undated: list[UndatedEntry]
    next: str | None
    total: int | None


class Made(TypedDict):
    """Numbers of what a change made."""

    individuals: NotRequired[list[int]]
    encounters: NotRequired[list[int]]
    sightings: NotRequired[list[int]]


class ChangeReply(TypedDict):
    """The state that a change left, and what it made."""

    head: Head
    made: Made

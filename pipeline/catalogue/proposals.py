"""Proposed sightings as people read them, as plain records."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.catalogue.rows import Head
from pipeline.rights import Place


@dataclass(frozen=True, slots=True)
class ProposalFilter:
    """Of which photos sightings are proposed, and how.

    Attributes:
        annotations: those to put into sightings; None means all that are in no encounter.
        gap_min: the longest gap within a sighting, in minutes; None means the catalogue's own.
        place: what whoever asks sees of places.
    """

    annotations: tuple[int, ...] | None = None
    gap_min: int | None = None
    place: Place = "exact"


@dataclass(frozen=True, slots=True)
class ProposedEncounter:
    """Annotations of one proposed sighting that may show one animal; `individual` is whom people said they show."""

    annotations: tuple[int, ...]
    individual: int | None


@dataclass(frozen=True, slots=True)
class ProposedSighting:
    """Photos that may be of one sighting.

    Attributes:
        begins_at: of its first photo, local time.
        ends_at: of its last photo, by the same clock.
        utc_offset_min: by which that clock is ahead of UTC; None where nobody knows.
        latitude: of its first photo that has a place, as far as whoever asks may see it.
        longitude: likewise.
        uncertainty_m: how far from there its photos were taken.
        encounters: in the order of their first annotations.
        near: numbers of the catalogue's sightings of the same time.
    """

    begins_at: datetime
    ends_at: datetime
    utc_offset_min: int | None
    latitude: float | None
    longitude: float | None
    uncertainty_m: float | None
    encounters: tuple[ProposedEncounter, ...]
    near: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Undated:
    """An annotation of which nobody knows when its photo was taken; `path` is of the photo."""

    annotation: int
    path: str


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that took some of the photos, and the seconds that its clock is corrected by."""

    camera: str
    clock_s: int | None


@dataclass(frozen=True, slots=True)
class Proposals:
    """A page of proposed sightings; after the last one come the annotations that have no date.

    Attributes:
        head: see `pipeline.catalogue.views.Page`.
        timezone: see `pipeline.catalogue.clocks.Clocks`.
        gap_min: the longest gap within these sightings.
        cameras: of all photos that have a date, by name.
        sightings: by time; those whose time nobody can place in UTC come after the others.
        undated: by number.
        next: see `pipeline.catalogue.views.Page`.
        total: of sightings and undated annotations together; see `pipeline.catalogue.views.Page`.
    """

    head: Head
    timezone: str | None
    gap_min: int
    cameras: tuple[Camera, ...]
    sightings: tuple[ProposedSighting, ...]
    undated: tuple[Undated, ...]
    next: str | None
    total: int | None

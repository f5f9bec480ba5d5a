"""What the client answers about proposed sightings: frozen records, read from the server's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.client.catalogue_results import read_times, record
from pipeline.client.results import JsonObject


@dataclass(frozen=True, slots=True)
class ProposedEncounter:
    """Annotations of a proposed sighting that may show one animal; `individual` is whom people said they show."""

    annotations: tuple[int, ...]
    individual: int | None


@dataclass(frozen=True, slots=True)
class ProposedSighting:
    """Photos that may be of one sighting; times are local.

    Attributes:
        begins_at: of the first photo.
        ends_at: of the last one, by the same clock.
        utc_offset_min: by which that clock is ahead of UTC; None where nobody knows.
        latitude: of the first photo that has a place.
        longitude: likewise.
        uncertainty_m: how far from there the photos were taken.
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

    @property
    def values(self) -> dict[str, str | float | datetime | None]:
        """What is known of the sighting, for `pipeline.client.verbs.Move`."""
        names = ("begins_at", "ends_at", "latitude", "longitude", "uncertainty_m")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class Clocks:
    """How the times of photos are read where sightings are proposed.

    Attributes:
        timezone: of local times whose offset no camera wrote; None where nobody has said.
        gap_min: the longest gap within a sighting, in minutes.
        cameras: those that took photos which are in no encounter, and the seconds that are added to what each wrote;
            None where nobody has said.
    """

    timezone: str | None
    gap_min: int
    cameras: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Undated:
    """An annotation of which nobody knows when its photo was taken; `path` is of the photo."""

    annotation: int
    path: str


def read_proposals(fields: JsonObject) -> tuple[ProposedSighting | Undated, ...]:
    """Read the entries of a page of proposed sightings."""
    proposed = map(_read_proposed, fields["sightings"])
    return (*proposed, *(record(Undated, undated) for undated in fields["undated"]))


def _read_proposed(fields: JsonObject) -> ProposedSighting:
    encounters = tuple(
        record(ProposedEncounter, each, annotations=tuple(each["annotations"])) for each in fields["encounters"]
    )
    return record(ProposedSighting, fields, encounters=encounters, near=tuple(fields["near"]), **read_times(fields))


def read_clocks(fields: JsonObject) -> Clocks:
    """Read by what clocks sightings were proposed."""
    return record(Clocks, fields, cameras={each["camera"]: each["clock_s"] for each in fields["cameras"]})

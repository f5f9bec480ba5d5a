"""What an identify request may ask for beside names and distances: references, and which annotations count."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from pipeline.errors import MalformedMessageError

MAX_REFERENCES = 20
"""Annotations that a candidate may bring."""

MAX_REFERRED = 100
"""Candidates of an item that may bring annotations."""


def _read_day(value: object) -> date:
    if not isinstance(value, str) or re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is None:
        raise ValueError("not a day")
    return date.fromisoformat(value)


Day = Annotated[
    date,
    BeforeValidator(_read_day),
    WithJsonSchema({"type": "string", "format": "date", "description": "a day, as 2015-06-30"}),
]


def _read_local_time(value: object) -> datetime:
    time = datetime.fromisoformat(value) if isinstance(value, str) else None
    if time is None or time.tzinfo is not None:
        raise ValueError
    return time


LocalTime = Annotated[
    datetime,
    BeforeValidator(_read_local_time),
    WithJsonSchema({"type": "string", "description": "a local time without an offset, such as 2026-07-01T14:05:00"}),
]
Word = Annotated[str, Field(max_length=200)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Box(_Part):
    """A place between two latitudes and two longitudes, in degrees; where `west` is above `east`, across 180°."""

    south: Latitude
    west: Longitude
    north: Latitude
    east: Longitude


class Around(_Part):
    """A place up to `radius_m` metres from a point in degrees."""

    latitude: Latitude
    longitude: Longitude
    radius_m: Annotated[float, Field(gt=0)]


class Filters(_Part):
    """Which annotations count; what is left out lets all through.

    Days and places are those of an annotation's sighting: where they are not known it does not count.

    Attributes:
        body_part: name from models.yaml.
        side: as described.
        since: a day, in the local time of the sighting, which ends then or later.
        until: a day; the sighting begins then or before.
        box: where it was.
        around: where it was.
    """

    body_part: Word | None = Field(None, alias="bodyPart")
    side: Word | None = None
    since: Day | None = Field(None, alias="from")
    until: Day | None = None
    box: Box | None = None
    around: Around | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise MalformedMessageError(f"filters: from {self.since} is after until {self.until}")
        if self.box is not None and self.box.south > self.box.north:
            raise MalformedMessageError("filters: the box's south lies above its north")
        return self


@dataclass(frozen=True, slots=True)
class Detail:
    """What an answer brings beside names and distances.

    Attributes:
        references: so many annotations of each candidate, one an encounter, nearest first.
        filters: which annotations count, for means and references alike; None: all.
    """

    references: int
    filters: Filters | None

    @property
    def compares_places(self) -> bool:
        """Whether the answer tells where annotations are of: who counts in it is in that place."""
        return self.filters is not None and (self.filters.box is not None or self.filters.around is not None)

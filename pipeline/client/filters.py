"""Which annotations of a catalogue a ranking counts, and the command line's options for it."""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Box:
    """A place between two latitudes and two longitudes, in degrees; where `west` is above `east`, across 180°."""

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class Around:
    """A place up to `radius_m` metres from a point in degrees."""

    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Filters:
    """Annotations that count; None lets all through. Where no day or place is known, an annotation does not count.

    Attributes:
        body_part: what they show.
        side: as described.
        since: the day, in the local time of the sighting, on which it ended, at the earliest.
        until: the day on which it began, at the latest.
        box: where it was.
        around: where it was.
    """

    body_part: str | None = None
    side: str | None = None
    since: date | None = None
    until: date | None = None
    box: Box | None = None
    around: Around | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what goes over the wire."""
        fields = {
            "bodyPart": self.body_part,
            "side": self.side,
            "from": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "box": self.box and asdict(self.box),
            "around": self.around and asdict(self.around),
        }
        return {name: value for name, value in fields.items() if value is not None}


def add_filter_arguments(command: argparse.ArgumentParser) -> None:
    """Add an option a filter."""
    command.add_argument("--body-part", metavar="NAME", help="compare with annotations of this body part alone")
    command.add_argument("--side", metavar="NAME", help="compare with annotations of this side alone")
    command.add_argument("--from", dest="since", type=_day, metavar="DAY", help="of sightings from then on")
    command.add_argument("--until", type=_day, metavar="DAY", help="of sightings until then")
    command.add_argument(
        "--box", type=_numbers(Box, 4), metavar="SOUTH,WEST,NORTH,EAST", help="of sightings there, in degrees"
    )
    command.add_argument(
        "--around", type=_numbers(Around, 3), metavar="LATITUDE,LONGITUDE,METRES", help="of sightings around a point"
    )


def read_filters(parsed: argparse.Namespace) -> Filters | None:
    """Return what the options say; None where they say nothing."""
    filters = Filters(parsed.body_part, parsed.side, parsed.since, parsed.until, parsed.box, parsed.around)
    return None if filters == Filters() else filters


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a day, as 2015-06-30") from error


def _numbers(kind: Callable[..., Any], count: int) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != count:
            raise argparse.ArgumentTypeError(f"must be {count} numbers with commas between them")
        return kind(*numbers)

    return read

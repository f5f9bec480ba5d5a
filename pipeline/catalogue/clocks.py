"""When photos were taken: what their cameras wrote, corrected by what people said of clocks and of the time zone.

Nothing that a camera wrote is changed by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from sqlalchemy import Connection, select

from pipeline.catalogue.schema import settings
from pipeline.errors import ChangeRefusedError

ALL_CAMERAS = ""
"""What the settings of a catalogue as a whole have in place of a camera."""

GAP_MIN = 30
"""The longest gap between two photos of a sighting, in minutes, where nobody has said another."""

_OF_THE_MACHINE = frozenset({"localtime", "Factory"})  # in some machines' data; no zone that means the same elsewhere


class Moment(NamedTuple):
    """When a photo was taken, as times can be compared: only those of one kind.

    Attributes:
        is_local: `at` is a local time of which nobody knows the zone; else it is in UTC.
        at: naive, whole seconds.
        ahead: by how much local time was ahead of UTC; None where that is not known.
    """

    is_local: bool
    at: datetime
    ahead: timedelta | None

    def local(self, ahead: timedelta | None) -> datetime:
        """Return the time on a clock that is so far ahead of UTC; at the calendar's end, that in UTC."""
        try:
            return self.at if ahead is None else self.at + ahead
        except OverflowError:
            return self.at


@dataclass(frozen=True, slots=True)
class Clocks:
    """What people said of a catalogue's clocks.

    Attributes:
        timezone: that of local times whose offset nobody wrote (IANA); None where nobody has said.
        gap_min: minutes.
        corrections: seconds that are added to what a camera wrote, by camera.
    """

    timezone: str | None = None
    gap_min: int = GAP_MIN
    corrections: Mapping[str, int] = field(default_factory=dict)

    def moment(self, written: datetime, utc_offset_min: int | None, camera: str | None) -> Moment:
        """Return when a photo was taken.

        Where the corrected time would lie beyond the calendar, the written one counts.

        Args:
            written: by the camera, local.
            utc_offset_min: by which it was ahead of UTC, as the camera wrote it.
            camera: which.

        Raises:
            ChangeRefusedError: this machine does not know the time zone any more.
        """
        zone = None if self.timezone is None else find_zone(self.timezone)
        try:
            at = written.replace(microsecond=0) + timedelta(seconds=self.corrections.get(camera or "", 0))
            if utc_offset_min is not None:
                ahead = timedelta(minutes=utc_offset_min)
                at -= ahead
                return Moment(False, at, ahead if zone is None else _ahead(at.replace(tzinfo=UTC).astimezone(zone)))
            if zone is not None:
                local = at.replace(tzinfo=zone)
                return Moment(False, local.astimezone(UTC).replace(tzinfo=None), _ahead(local))
            return Moment(True, at, None)
        except OverflowError:
            return Moment(True, written.replace(microsecond=0), None)


def read_clocks(connection: Connection, catalogue_id: int) -> Clocks:
    """Return what people said of a catalogue's clocks."""
    stands = (settings.c.catalogue_id == catalogue_id, settings.c.gone.is_(None))
    rows = {row.camera: row for row in connection.execute(select(settings).where(*stands))}
    of_all = rows.pop(ALL_CAMERAS, None)
    corrections = {camera: row.clock_s for camera, row in rows.items() if row.clock_s is not None}
    if of_all is None:
        return Clocks(corrections=corrections)
    return Clocks(of_all.timezone, of_all.gap_min or GAP_MIN, corrections)


def find_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ChangeRefusedError: this machine knows none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise no_zone(name) from None


def no_zone(name: str) -> ChangeRefusedError:
    """Return the error of a time zone that there is not."""
    return ChangeRefusedError(f"timezone: there is no {name!r}: write an IANA name, such as Atlantic/Azores")


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this IANA name, which means the same on every machine."""
    return name in available_timezones() - _OF_THE_MACHINE


def _ahead(local: datetime) -> timedelta:
    """Return how far an aware time is ahead of UTC."""
    ahead = local.utcoffset()
    assert ahead is not None  # of an aware time
    return ahead

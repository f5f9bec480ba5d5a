"""Sightings that are proposed: photos that were taken one after another, where a boat can have been."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.catalogue.clocks import Moment
from pipeline.catalogue.places import Position, distance_m

FASTEST_MPS = 100 / 3.6
"""100 km/h, in metres a second: no boat goes from one photo to the next in less time."""

JUMP_M = 1_000.0
"""Nor is a jump what is nearer: a receiver that has just begun errs by as much."""


class Shot(NamedTuple):
    """A photo with annotations that are to be put into sightings.

    Attributes:
        moment: when it was taken.
        first: number of its first annotation.
        annotations: all of them.
        camera: which; None where it did not say.
        position: where, as far as whoever asks may see it.
    """

    moment: Moment
    first: int
    annotations: tuple[int, ...]
    camera: str | None
    position: Position | None


@dataclass(slots=True)
class Group:
    """Photos of one proposed sighting, in the order in which they were taken."""

    shots: list[Shot] = field(default_factory=list)
    cameras: set[str] = field(default_factory=set)
    _placed: Shot | None = None

    def add(self, shot: Shot) -> None:
        """Take a photo in."""
        self.shots.append(shot)
        if shot.camera is not None:
            self.cameras.add(shot.camera)
        if shot.position is not None:
            self._placed = shot

    def is_over(self, at: datetime, gap: timedelta) -> bool:
        """Whether a photo of this time comes too late for it."""
        return at - self.shots[-1].moment.at > gap

    def reaches(self, shot: Shot) -> bool:
        """Whether a boat can have come to a photo from the last place that is known."""
        if self._placed is None or self._placed.position is None or shot.position is None:
            return True
        passed = shot.moment.at - self._placed.moment.at
        within_m = JUMP_M + FASTEST_MPS * passed.total_seconds()
        return distance_m(self._placed.position, shot.position) <= within_m

    def place(self) -> tuple[Position, float] | None:
        """Return the first place that is known, and how far from it the other photos were taken, in metres."""
        known = [shot.position for shot in self.shots if shot.position is not None]
        return (known[0], max(distance_m(known[0], each) for each in known)) if known else None


def group_shots(shots: Iterable[Shot], gap: timedelta, jumps: bool) -> list[Group]:
    """Put photos into sightings, in the order of their first photos.

    A photo belongs to a sighting whose last photo is at most the gap before it, and from which a boat can have come to
    it; of several to one in which its camera took photos, and to the latest. Times whose zone is not known are never
    compared with others.

    Args:
        shots: by kind of time, by time, and by number.
        gap: the longest within a sighting.
        jumps: whether places count; they do not for who sees them coarsely.
    """
    groups: list[Group] = []
    begun: list[Group] = []
    for shot in shots:
        if begun and begun[0].shots[0].moment.is_local != shot.moment.is_local:
            begun = []
        begun = [group for group in begun if not group.is_over(shot.moment.at, gap)]
        possible = [group for group in begun if not jumps or group.reaches(shot)]
        if possible:
            group = max(possible, key=lambda each: (shot.camera in each.cameras, each.shots[-1].moment.at))
        else:
            group = Group()
            groups.append(group)
            begun.append(group)
        group.add(shot)
    return groups


def members(group: Group) -> Sequence[int]:
    """Return the numbers of a sighting's annotations, in the order in which they were taken."""
    return [annotation for shot in group.shots for annotation in shot.annotations]

"""What lists of a catalogue may be asked for."""

from collections.abc import Sequence
from typing import TypedDict


class IndividualFilters(TypedDict, total=False):
    """Which individuals to list; what is left out lets all through.

    Attributes:
        search: part of a name or an alias, whatever its case, white space and width.
        species: exactly.
        sex: exactly.
        body_part: those that have an annotation of it.
        page_size: how many are asked for at a time.
    """

    search: str | None
    species: str | None
    sex: str | None
    body_part: str | None
    page_size: int


class AnnotationFilters(TypedDict, total=False):
    """Which annotations to list; what is left out lets all through.

    Attributes:
        individual: those that show it.
        encounter: those in it.
        body_part: exactly.
        side: exactly.
        quality: exactly.
        page_size: how many are asked for at a time.
    """

    individual: int | None
    encounter: int | None
    body_part: str | None
    side: str | None
    quality: str | None
    page_size: int


class HistoryFilters(TypedDict, total=False):
    """Which events to list; what is left out lets all through.

    Attributes:
        individual: those that touched it.
        annotation: those that touched it.
        since: those after this version.
        page_size: how many are asked for at a time.
    """

    individual: int | None
    annotation: int | None
    since: int | None
    page_size: int


class PairFilters(TypedDict, total=False):
    """Which pairs to list.

    Attributes:
        body_part: that is compared; left out: each.
        within: how many times the spread of one they may be apart, 0.1 to 10; left out: once.
        page_size: how many are asked for at a time.
    """

    body_part: str | None
    within: float | None
    page_size: int


class ProposalOptions(TypedDict, total=False):
    """Of which photos sightings are proposed, and how.

    Attributes:
        annotations: those to put into sightings; without it, all that are in no encounter.
        gap_min: the longest gap within a sighting, in minutes; without it, the catalogue's own.
        page_size: how many are asked for at a time.
    """

    annotations: Sequence[int] | None
    gap_min: int | None
    page_size: int

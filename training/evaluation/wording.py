"""What the report calls things: words for people where code and JSON have names."""

from collections.abc import Mapping

from training.evaluation.comparison import Matching
from training.evaluation.protocols import Encounters
from training.evaluation.results import EMBEDDER, THUMBNAIL

PROTOCOL_TITLES: Mapping[str, str] = {
    "encounters": "Honest: gallery and queries share no encounter",
    "given": "The data's own gallery and queries",
    "seed": "The original's protocol: optimistic, for comparison only",
}

PROTOCOL_NAMES: Mapping[str, str] = {
    "encounters": "honest",
    "given": "the data's own",
    "seed": "original's (optimistic)",
}

METHOD_TITLES: Mapping[str, str] = {EMBEDDER: "model", THUMBNAIL: "32x32 thumbnails"}

MATCHING_TITLES: Mapping[Matching, str] = {"centroid": "mean of references", "nearest": "nearest reference"}

SHARED_ENCOUNTERS: Mapping[Encounters, str] = {
    "disjoint": "none",
    "not known": "not known: the data does not give every photo's encounter",
    "shared": "some",
    "ignored": "not looked at, so most",
}
"""Encounters with photos both in the gallery and among the queries."""

ROLE_TITLES: Mapping[str, str] = {
    "references": "reference photos",
    "queries": "photos of known animals",
    "unknown": "photos of unknown animals",
}

_FAILURES: Mapping[str, str] = {
    "no_animal": "no animal found",
    "unknown_body_part": "taken for another body part",
    "unreadable": "damaged file",
    "unsupported": "no photo in a known format",
    "too_large": "photo too large",
    "not_found": "file not found",
    "failed": "no box to cut out",
}


def failures(codes: Mapping[str, int]) -> str:
    """Return "no animal found: 3, damaged file: 1", or "none"."""
    return ", ".join(f"{_FAILURES.get(code, code)}: {number}" for code, number in codes.items()) or "none"


def percent(value: float) -> str:
    """Return 0.934 as "93 %", on one line; "100 %" and "0 %" are for all and none only."""
    if value != value:
        return "not to be had"
    if 0.995 <= value < 1.0:
        return "over 99\u00a0%"
    return "under 1\u00a0%" if 0.0 < value < 0.005 else f"{100.0 * value:.0f}\u00a0%"

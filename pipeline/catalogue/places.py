"""Places: how far they are apart, and as much of them as somebody may see."""

from math import asin, cos, radians, sin, sqrt
from typing import Any

from pipeline.rights import Place

COARSE_DEGREES = 1
"""Digits of a degree that stay of a place which is told coarsely: about 11 km."""

COARSE_M = 10_000.0
"""How far a place that is told coarsely may be from where it was, at least."""

Position = tuple[float, float]
"""Latitude and longitude in degrees."""

_EARTH_RADIUS_M = 6_371_008.8  # mean radius (IUGG)


def distance_m(one: Position, other: Position) -> float:
    """Return the distance over the sphere, by the haversine formula."""
    north, south = radians(one[0]), radians(other[0])
    across = radians(other[1] - one[1])
    half = sin((south - north) / 2) ** 2 + cos(north) * cos(south) * sin(across / 2) ** 2
    return 2 * _EARTH_RADIUS_M * asin(sqrt(min(1.0, half)))


def seen_position(latitude: float | None, longitude: float | None, place: Place) -> Position | None:
    """Return as much of a position as somebody may see; None where nothing is known, or they may see nothing."""
    if latitude is None or longitude is None or place == "none":
        return None
    return (latitude, longitude) if place == "exact" else (_coarse(latitude), _coarse(longitude))


def blur(sighting: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return what is known of a sighting with as much of its place as somebody may see.

    A locality's name is always exact.
    """
    if place == "exact":
        return sighting
    hidden = dict.fromkeys(("latitude", "longitude", "uncertainty_m", "locality"))
    position = seen_position(sighting["latitude"], sighting["longitude"], place)
    if position is not None:
        hidden |= {"latitude": position[0], "longitude": position[1]}
        hidden["uncertainty_m"] = max(sighting["uncertainty_m"] or 0.0, COARSE_M)
    return {**sighting, **hidden}


def _coarse(degrees: float) -> float:
    return round(degrees, COARSE_DEGREES)

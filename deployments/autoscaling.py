"""Scaling the ingress on photos in flight: an idle socket is no load, though Serve counts it as an ongoing request.

The policy runs in Serve's controller; this module imports nothing of ours so that it loads anywhere.
"""

import math
from typing import Any

SIGNAL = "photos_in_flight"
"""Name under which each ingress replica reports its queued and running photos."""


class ByPhotos:
    """Wants one replica for every `photos_per_replica` photos queued or running on all replicas together."""

    def __init__(self, photos_per_replica: float) -> None:
        """Take the load of one replica.

        Args:
            photos_per_replica: photos in flight that one replica should carry.
        """
        self._photos_per_replica = photos_per_replica

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Return how many replicas are wanted, within the bounds, and no state."""
        photos = sum(_latest(value) for value in (context.aggregated_metrics or {}).get(SIGNAL, {}).values())
        wanted = math.ceil(photos / self._photos_per_replica)
        return max(context.capacity_adjusted_min_replicas, min(context.capacity_adjusted_max_replicas, wanted)), {}


def _latest(value: Any) -> float:
    return float(value or 0.0)

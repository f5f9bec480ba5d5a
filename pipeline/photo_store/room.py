"""How much a photo store may hold, where its operator has set a bound."""

import threading
import time
from collections.abc import Callable

from pipeline.errors import StorageFullError

COUNTED_S = 30.0
"""For so long a count is believed; what other processes take in meanwhile may go beyond the bound."""


class StoreRoom:
    """Room for photos on their way into a store; threads may share it.

    Args:
        max_bytes: that all photos of the store may take together; None: no bound but the disk's.
        count: says what they take now; blocks.
        clock: gives the time in seconds.
    """

    def __init__(
        self, max_bytes: int | None, count: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes, self._count, self._clock = max_bytes, count, clock
        self._lock = threading.Lock()
        self._held_bytes, self._coming_bytes = 0, 0
        self._counted_s = -float("inf")

    def take(self, size_bytes: int) -> None:
        """Hold room for a photo until `settle`.

        Raises:
            CatalogueUnavailableError: it cannot be counted.
            StorageFullError: there is not as much.
        """
        if self._max_bytes is None:
            return
        with self._lock:
            if self._clock() - self._counted_s > COUNTED_S:
                self._held_bytes, self._counted_s = self._count(), self._clock()
            if self._held_bytes + self._coming_bytes + size_bytes > self._max_bytes:
                raise StorageFullError(
                    f"the photo store may hold {self._max_bytes} bytes and has {self._held_bytes}; tell the service's "
                    "operator to make room (limits.max_store_bytes)"
                )
            self._coming_bytes += size_bytes

    def settle(self, size_bytes: int, is_kept: bool) -> None:
        """Give room back, or have it held by a photo that is in the store now."""
        if self._max_bytes is not None:
            with self._lock:
                self._coming_bytes -= size_bytes
                self._held_bytes += size_bytes if is_kept else 0

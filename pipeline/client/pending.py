"""The items of one call that have no answer yet; what is left after a lost connection is what is asked again."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from pipeline.client.options import ClientOptions
from pipeline.client.results import ItemFailure

T = TypeVar("T")

NO_ANSWER = ItemFailure("unavailable", "the server ended the request without an answer to this item; ask again")


class Pending(Generic[T]):
    """Unanswered items in the order of asking, with how often each came back as unavailable."""

    def __init__(self, items: Mapping[int, T], options: ClientOptions) -> None:
        """Hold the items, by their index in the call."""
        self._items = dict(items)
        self._attempts = options.attempts
        self._max_items = options.max_photos
        self._missed: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, index: int) -> bool:
        return index in self._items

    def times_missed(self, index: int) -> int:
        """Return how often the item came back as unavailable."""
        return self._missed.get(index, 0)

    def next_batch(self, size_of: Callable[[T], int], max_bytes: int) -> dict[int, T]:
        """Return the first items that one request may carry, at least one; empty when all are answered.

        Items that were missed before go in batches of their own, after the others, so that they alone wait.

        Args:
            size_of: bytes that an item takes in the request's text.
            max_bytes: bytes that the items of one request may take together.
        """
        batch: dict[int, T] = {}
        total_bytes, missed = 0, math.inf
        for index, item in self._items.items():
            total_bytes += size_of(item)
            missed = self.times_missed(index) if not batch else missed
            full = len(batch) == self._max_items or (batch and total_bytes > max_bytes)
            if full or self.times_missed(index) != missed:
                break
            batch[index] = item
        return batch

    def settle(self, index: int, failure: ItemFailure | None = None) -> bool:
        """Note an answer; return whether it is final, or else the item was put off to be asked again."""
        if failure is not None and failure.code == "unavailable":
            self._missed[index] = self.times_missed(index) + 1
            if self._missed[index] < self._attempts:
                self._items[index] = self._items.pop(index)
                return False
        self._items.pop(index, None)
        return True

    def give_up(self, silent: Iterable[int]) -> list[int]:
        """Note that a request ended without a word about these items; return those not to be asked for again."""
        return [index for index in sorted(silent) if index in self._items and self.settle(index, NO_ANSWER)]

    def halve_batches(self, refused: int) -> bool:
        """Ask for at most half of so many items from now on; return False when one was already too many."""
        self._max_items = max(1, refused // 2)
        return refused > 1

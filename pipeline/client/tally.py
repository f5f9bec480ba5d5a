"""Which photos of an extract call have all their entries, when a photo may have several and a connection may break."""

from pipeline.client.pending import Pending
from pipeline.client.results import PhotoResult
from pipeline.client.uploads import LocalPhoto

Photo = str | LocalPhoto
"""A path for the server to open, or a file to upload."""


class Tally:
    """Settles photos as their entries come.

    With `animals="all"` the server sends a photo's entries one after the other without saying which is the last, so a
    photo counts as answered when an entry of another one, or the end of the request, has come; entries that a repeated
    request brings again are not shown twice.
    """

    def __init__(self, pending: Pending[Photo], *, several: bool) -> None:
        """Start.

        Args:
            pending: all photos of the call that have no answer.
            several: whether a photo may have more than one entry.
        """
        self._pending = pending
        self._several = several
        self._shown: set[tuple[int, int]] = set()
        self._open: int | None = None
        self._put_off: set[int] = set()

    def begin(self) -> None:
        """Note that a request begins."""
        self._open = None
        self._put_off = set()

    def take(self, result: PhotoResult) -> bool:
        """Note one entry; return whether the caller should see it."""
        index = result.index
        if index != self._open:
            self._settle_open()
        if index not in self._pending:
            return False
        if not self._settle_or_open(result):
            self._put_off.add(index)
            return False
        news = (index, result.animal) not in self._shown
        self._shown.add((index, result.animal))
        return news

    def _settle_or_open(self, result: PhotoResult) -> bool:
        if self._several and result.error is None:
            self._open = result.index
            return True
        return self._pending.settle(result.index, result.error)

    def _settle_open(self) -> None:
        if self._open is not None:
            self._pending.settle(self._open)
            self._open = None

    def complete(self, batch: dict[int, Photo]) -> list[int]:
        """Note that a request has ended; return the photos that got no answer often enough to give up on them."""
        self._settle_open()
        return self._pending.give_up(batch.keys() - self._put_off)

"""Memory that uploads share in one ingress replica: a photo takes its part before its first byte is looked at.

A part is as large as the photo will be, so a photo that has begun can always be finished: two half ones never wait for
each other. Who needs and holds little goes first, and everybody the sooner the longer they have waited (the order
known as "highest response ratio next"), so a single photo passes bulk uploads, and a large one is not passed for ever.
"""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Waiting:
    share: "UploadShare"
    size_bytes: int
    since_s: float
    turn: asyncio.Future[None]

    def urgency(self, now_s: float, patience_s: float) -> float:
        return (1.0 + (now_s - self.since_s) / patience_s) / (self.share.held_bytes + self.size_bytes)


class UploadBudget:
    """An amount of bytes for all connections of a replica. For one event loop."""

    def __init__(self, total_bytes: int, patience_s: float) -> None:
        """Begin with nothing taken.

        Args:
            total_bytes: the amount; what needs more may come while nobody else holds anything.
            patience_s: waiting so long counts as much as needing half.
        """
        self._total_bytes = total_bytes
        self._patience_s = patience_s
        self._waiting: list[_Waiting] = []
        self.taken_bytes = 0
        """What all shares hold."""
        self.unfinished_bytes = 0
        """Of that, for photos whose last byte has not come."""

    @property
    def others_wait(self) -> bool:
        """Somebody waits, and most of the amount is held for photos that still come in."""
        return bool(self._waiting) and 2 * self.unfinished_bytes > self._total_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes fit, and nobody stands before."""
        return not self._waiting and self._fits(size_bytes)

    def change(self, held_bytes: int, unfinished_bytes: int) -> None:
        """Note that a share holds so much more, or less; and let in who fits now."""
        self.taken_bytes += held_bytes
        self.unfinished_bytes += unfinished_bytes
        if held_bytes < 0:
            self._serve()

    async def wait(self, share: "UploadShare", size_bytes: int) -> None:
        """Wait until a share has taken so many bytes more."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(share, size_bytes, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        self._serve()
        try:
            await waiting.turn
        finally:
            self._serve()  # where this one was stopped, who stood behind may fit

    def _serve(self) -> None:
        self._waiting = [waiting for waiting in self._waiting if not waiting.turn.cancelled()]
        while self._waiting:
            now_s = asyncio.get_running_loop().time()
            first = max(self._waiting, key=lambda waiting: waiting.urgency(now_s, self._patience_s))
            if not self._fits(first.size_bytes):
                return
            self._waiting.remove(first)
            first.share.promise(first.size_bytes)
            first.turn.set_result(None)

    def _fits(self, size_bytes: int) -> bool:
        return not self.taken_bytes or self.taken_bytes + size_bytes <= self._total_bytes


class UploadShare:
    """What one connection holds of the budget."""

    def __init__(self, budget: UploadBudget) -> None:
        """Begin with nothing."""
        self._budget = budget
        self.held_bytes = 0
        self._promised_bytes = 0
        """Of that, for photos that are about to be looked at."""
        self._unfinished_bytes = 0

    def take_now(self, size_bytes: int) -> bool:
        """Take so many bytes more where that makes nobody wait; return whether it did."""
        fits = size_bytes == 0 or self._budget.has_room(size_bytes)
        if fits:
            self._hold(size_bytes)
        return fits

    async def take(self, size_bytes: int) -> None:
        """Take so many bytes more, as soon as it is this connection's turn."""
        if self.take_now(size_bytes):
            return
        try:
            await self._budget.wait(self, size_bytes)
        finally:
            self._promised_bytes = 0

    def promise(self, size_bytes: int) -> None:
        """Hold so much more, although what waits for it has not gone on yet."""
        self._promised_bytes += size_bytes
        self._hold(size_bytes)

    def settle(self, begun_bytes: int, unfinished_bytes: int) -> None:
        """Give back all but what the connection's uploads really hold, and what is promised to them."""
        held = begun_bytes + self._promised_bytes - self.held_bytes
        unfinished = unfinished_bytes - self._unfinished_bytes
        if held or unfinished:
            self._unfinished_bytes = unfinished_bytes
            self.held_bytes += held
            self._budget.change(held, unfinished)

    def _hold(self, size_bytes: int) -> None:
        self.held_bytes += size_bytes
        self._budget.change(size_bytes, 0)

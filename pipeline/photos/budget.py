"""Memory that decoded photos share: who asks first is served first, so that a large photo waits but never starves."""

import asyncio
from collections import deque


class MemoryBudget:
    """An amount of bytes, of which each photo takes its part before it is decoded. For one event loop."""

    def __init__(self, total_bytes: int) -> None:
        """Set the amount."""
        self.total_bytes = total_bytes
        self._free_bytes = total_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free_bytes(self) -> int:
        """What nobody has taken."""
        return self._free_bytes

    async def take(self, size_bytes: int) -> int:
        """Wait for so many bytes, in the order of the calls.

        Args:
            size_bytes: more than the whole amount counts as all of it.

        Returns:
            What was taken, to be given back.
        """
        taken_bytes = min(size_bytes, self.total_bytes)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((taken_bytes, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._serve()  # who stood behind may fit
            else:
                self.give_back(taken_bytes)
            raise
        return taken_bytes

    def give_back(self, size_bytes: int) -> None:
        """Return bytes that were taken."""
        self._free_bytes += size_bytes
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            size_bytes, turn = self._waiting[0]
            if not turn.cancelled():
                if size_bytes > self._free_bytes:
                    return
                self._free_bytes -= size_bytes
                turn.set_result(None)
            self._waiting.popleft()


class Share:
    """One photo's part of a budget: nothing at first, and never given back twice."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.size_bytes = 0
        self._budget: MemoryBudget | None = None

    async def take(self, budget: MemoryBudget, size_bytes: int) -> None:
        """Wait for so many bytes of a budget; see `MemoryBudget.take`."""
        self.size_bytes = await budget.take(size_bytes)
        self._budget = budget

    def shrink(self, size_bytes: int) -> None:
        """Give back what is above so many bytes."""
        if self._budget is not None and size_bytes < self.size_bytes:
            self._budget.give_back(self.size_bytes - size_bytes)
            self.size_bytes = size_bytes

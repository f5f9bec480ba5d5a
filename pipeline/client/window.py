"""Flow control of uploads."""

import asyncio


class Window:
    """Counts the bytes sent on a connection that the server has not taken in."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._outstanding_bytes = 0
        self._changed = asyncio.Event()

    async def take(self, length: int) -> None:
        """Wait until `length` bytes more may be outstanding."""
        while self._outstanding_bytes and self._outstanding_bytes + length > self._limit_bytes:
            self._changed.clear()
            await self._changed.wait()
        self._outstanding_bytes += length

    def give(self, length: int) -> None:
        """Note that the server has taken in so many bytes."""
        self._outstanding_bytes -= length
        self._changed.set()

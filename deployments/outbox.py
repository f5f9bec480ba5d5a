"""What one connection still has to send: in order, no more at a time than its client takes, and bounded."""

import asyncio
from collections import deque
from dataclasses import dataclass

from deployments.flow import MESSAGE_OVERHEAD_BYTES, WINDOW_BYTES
from pipeline.session.actions import CloseConnection, SendText

COALESCED_ABOVE_BYTES = 64 * 2**10
"""Below so many unsent bytes every progress message is sent; above, of those that wait only the newest of its kind."""

LAST_WORDS_S = 5.0
"""How long a close waits for what comes before it, where the client takes nothing."""


@dataclass(slots=True)
class _Waiting:
    message: SendText | CloseConnection

    @property
    def size(self) -> int:
        text = self.message.text if isinstance(self.message, SendText) else ""
        return len(text) + MESSAGE_OVERHEAD_BYTES


class Outbox:
    """Messages on their way to one client."""

    def __init__(self, windowed: bool, max_unsent_bytes: int, timeout_s: float) -> None:
        """Begin empty.

        Args:
            windowed: the proxy reports what the client has taken; otherwise everything is sent at once.
            max_unsent_bytes: past it, nothing more should be produced for this client.
            timeout_s: how long a client may take nothing while something waits for it.
        """
        self._windowed = windowed
        self._max_unsent_bytes = max_unsent_bytes
        self.timeout_s = timeout_s
        self._waiting: deque[_Waiting] = deque()
        self._newest: dict[str, _Waiting] = {}
        self._unsent_bytes = 0
        self._sent = 0
        self._taken = 0
        self._changed = asyncio.Event()
        self.closing: CloseConnection | None = None
        """The close that has been put; nothing comes after it."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait here, and those that the client's socket has not taken."""
        return self._unsent_bytes + (self._sent - self._taken if self._windowed else 0)

    @property
    def overfull(self) -> bool:
        """More waits for the client than may."""
        return self._windowed and self.unsent_bytes > self._max_unsent_bytes

    def put(self, message: SendText | CloseConnection) -> None:
        """Queue a message behind the others; a progress message may take the place of an older one of its kind."""
        self._changed.set()
        if isinstance(message, CloseConnection):
            self.closing = message
        kind = message.replaces if isinstance(message, SendText) else None
        waiting = self._newest.get(kind) if kind else None
        if waiting is not None and self._unsent_bytes > COALESCED_ABOVE_BYTES:
            self._unsent_bytes -= waiting.size
            waiting.message = message
        else:
            waiting = _Waiting(message)
            self._waiting.append(waiting)
            if kind:
                self._newest[kind] = waiting
        self._unsent_bytes += waiting.size

    def taken(self, count: int) -> None:
        """Note that the client's socket has taken so many bytes in all."""
        self._taken = count
        self._changed.set()

    async def next(self) -> SendText | CloseConnection:
        """Return the next message, once there is one and the client has room for it.

        Raises:
            TimeoutError: the client has taken nothing for `timeout_s`.
        """
        while not (self._waiting and self._has_room):
            self._changed.clear()
            taken = self._taken
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._changed.wait()
            except TimeoutError:
                if self._taken == taken:
                    return self._give_up()
        waiting = self._waiting.popleft()
        message = waiting.message
        if isinstance(message, SendText) and message.replaces and self._newest.get(message.replaces) is waiting:
            del self._newest[message.replaces]
        self._unsent_bytes -= waiting.size
        self._sent += waiting.size
        return message

    @property
    def _has_room(self) -> bool:
        return not self._windowed or self._sent - self._taken < WINDOW_BYTES

    @property
    def _patience_s(self) -> float | None:
        """Nobody is waited for where nothing waits."""
        if not self._waiting:
            return None
        return LAST_WORDS_S if self.closing else self.timeout_s

    def _give_up(self) -> CloseConnection:
        self._waiting.clear()
        if self.closing is None:
            raise TimeoutError
        return self.closing

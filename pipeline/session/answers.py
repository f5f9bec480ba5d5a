"""Where a request's entries go: collected into one result, or streamed with a window of unacknowledged items."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from pipeline.errors import MalformedMessageError
from pipeline.protocol.replies import Entry, Replies, RepliesWithId

MAX_UNACKNOWLEDGED_ITEMS = 256
"""Items of one stream that the client may leave unacknowledged before the request pauses."""


class ResultRoom:
    """How much of their unfinished results all requests of a connection may hold together."""

    def __init__(self, max_bytes: int) -> None:
        self.left_bytes = max_bytes


class Answers(Protocol):
    """Takes each element's entries exactly once."""

    @property
    def full(self) -> bool:
        """No more work should be done before the client acknowledges."""
        ...

    @property
    def overgrown(self) -> bool:
        """More is held for the client than may be."""
        ...

    @property
    def settled(self) -> bool:
        """Every element is answered and every entry is sent, or will be with the closing message."""
        ...

    def put(self, index: int, entries: tuple[Entry, ...]) -> tuple[str, ...]:
        """Take the entries of one element; return what is to be sent now."""
        ...

    def acknowledge(self, items: int) -> tuple[str, ...]:
        """Note an acknowledgement; return what is to be sent now.

        Raises:
            MalformedMessageError: there are not so many unacknowledged items.
        """
        ...

    def abandon(self, cancelled: Callable[[int], tuple[Entry, ...]]) -> None:
        """Answer every element that has no answer yet: it was cancelled, and `cancelled` writes its entry."""
        ...

    def closing(self) -> tuple[str, ...]:
        """Return the message that ends the answer."""
        ...

    def give_up(self) -> None:
        """Give back what is held: the request has ended."""


class CollectedAnswers:
    """Keeps all entries, in the order of the request, for one result message of bounded length."""

    def __init__(self, replies: Replies, kind: str, total: int, room: ResultRoom) -> None:
        self._replies = replies
        self._kind: str = kind
        self._texts: list[str | None] = [None] * total
        """Of each element its entries, written and joined: a request of thousands keeps text, and no objects."""
        self._left = total
        self._room = room
        self._held_bytes = 0

    @property
    def full(self) -> bool:
        """Never: the protocol has no acknowledgement for results."""
        return False

    @property
    def overgrown(self) -> bool:
        """The connection's results are longer than they may be."""
        return self._room.left_bytes < 0

    @property
    def settled(self) -> bool:
        """Every element is answered."""
        return self._left == 0

    def put(self, index: int, entries: tuple[Entry, ...]) -> tuple[str, ...]:
        """Keep the entries of one element."""
        text = self._texts[index] = ",".join(entry.text for entry in entries)
        self._left -= 1
        size_bytes = len(text)
        self._held_bytes += size_bytes
        self._room.left_bytes -= size_bytes
        return ()

    def acknowledge(self, items: int) -> tuple[str, ...]:
        """Refuse: there is nothing to acknowledge."""
        raise MalformedMessageError("ack: the request does not stream")

    def abandon(self, cancelled: Callable[[int], tuple[Entry, ...]]) -> None:
        """Give every element that was left its outcome."""
        for index, text in enumerate(self._texts):
            if text is None:
                self.put(index, cancelled(index))

    def closing(self) -> tuple[str, ...]:
        """Return the result."""
        return self._replies.result(self._kind, ",".join(text for text in self._texts if text))

    def give_up(self) -> None:
        """Leave the room to the connection's other requests."""
        self._room.left_bytes += self._held_bytes
        self._held_bytes = 0


class StreamedAnswers:
    """Sends each entry by itself while the client keeps up, and holds those that come in while it does not."""

    def __init__(self, replies: RepliesWithId, kind: str, total: int) -> None:
        self._replies = replies
        self._kind: str = kind
        self._left = total
        self._unsent: deque[tuple[int, Entry]] = deque()
        self._unacknowledged = 0
        self._counts = {"items": 0, "failed": 0, "cancelled": 0}

    @property
    def full(self) -> bool:
        """The window is used up."""
        return self._unacknowledged >= MAX_UNACKNOWLEDGED_ITEMS

    @property
    def overgrown(self) -> bool:
        """Never: the window bounds what is held."""
        return False

    @property
    def settled(self) -> bool:
        """Every element is answered and every entry is sent."""
        return self._left == 0 and not self._unsent

    def put(self, index: int, entries: tuple[Entry, ...]) -> tuple[str, ...]:
        """Send the entries of one element, as far as the window allows."""
        self._left -= 1
        self._unsent.extend((index, entry) for entry in entries)
        return self._send()

    def acknowledge(self, items: int) -> tuple[str, ...]:
        """Move the window on by so many items."""
        if items > self._unacknowledged:
            raise MalformedMessageError(f"items: {items} acknowledged, {self._unacknowledged} were outstanding")
        self._unacknowledged -= items
        return self._send()

    def abandon(self, cancelled: Callable[[int], tuple[Entry, ...]]) -> None:
        """Count what was left; sending it could need acknowledgements that never come."""
        self._counts["cancelled"] = self._left + len({index for index, _ in self._unsent})
        self._left = 0
        self._unsent.clear()

    def closing(self) -> tuple[str, ...]:
        """Return the counts."""
        return (self._replies.counts(self._kind, self._counts),)

    def give_up(self) -> None:
        """Nothing: the window bounds what is held."""

    def _send(self) -> tuple[str, ...]:
        texts = []
        while self._unsent and not self.full:
            _, entry = self._unsent.popleft()
            self._unacknowledged += 1
            self._counts["items"] += 1
            self._counts["failed"] += entry.failed
            texts.append(self._replies.item(self._kind, entry))
        return tuple(texts)

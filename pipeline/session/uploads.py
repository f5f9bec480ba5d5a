"""Photos that come in over the wire: whose bytes these are, how many may come, and when they are acknowledged.

Binary messages are one stream of bytes that belongs to the oldest upload still lacking bytes. Acknowledging is what
holds a client back: bytes are acknowledged at once while little is held here, and otherwise when photos leave for
their extraction. The photo being received can always be completed, because alone it is acknowledged at once; so at
most max(8 MiB, the largest photo) + 16 MiB are held for one connection.

A request that the server ended goes on owning the bytes that are on their way: they are swallowed until the client
says `cancel`, uses the `id` again, or has sent all it declared. After the client's own `cancel` stray bytes are
swallowed only where no other upload lacks bytes. The end of a request acknowledges all its bytes.

A photo that has begun holds memory, so it has to move; its time does not pass while the client is held back.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO

from pipeline.session.config import Clock, UploadRoom
from pipeline.session.errors import PolicyViolationError

MAX_UNACKNOWLEDGED_BYTES = 16 * 2**20
"""Bytes that a client may have sent without acknowledgement, over all uploads of its connection."""

ACKNOWLEDGED_STEP_BYTES = 2**18
"""Within a photo no fewer bytes are acknowledged at a time: tiny messages must not cost a large answer each."""

FREELY_HELD_BYTES = 8 * 2**20
"""Bytes that may be held while everything is acknowledged at once."""

LOOK_AGAIN_S = 1.0
"""How soon a photo that is slow is looked at again, because others may have come to wait for its memory."""


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """A photo whose last byte has come in."""

    request: int
    index: int
    content: bytes


@dataclass(slots=True)
class _Upload:
    """The photos of one request that still lack bytes; once ended, only how many bytes they lack."""

    request: int
    lacking: deque[tuple[int, int]]
    """(index, size in bytes), the first of them being received."""
    lacking_bytes: int
    received: BytesIO = field(default_factory=BytesIO)
    """The photo being received; one buffer, because a client may send a byte at a time."""
    ended: bool = False


class UploadQueue:
    """All uploads of one connection, the oldest first."""

    def __init__(self, clock: Clock, timeout_s: float, room: UploadRoom) -> None:
        """Begin without uploads.

        Args:
            clock: the session's.
            timeout_s: how long a photo that has begun may not move, and may take in all while others wait for room.
            room: what the uploads of all connections share.
        """
        self._clock = clock
        self._timeout_s = timeout_s
        self._room = room
        self._uploads: deque[_Upload] = deque()
        self._held: Counter[tuple[int, int]] = Counter()
        self._held_bytes = 0
        self._sizes: dict[tuple[int, int], int] = {}
        self._sizes_bytes = 0
        self._began_s = self._moved_s = clock.monotonic()
        self._withheld = False
        self.waits = False
        """What the client has sent is not looked at, because there is no room for it or the client is slow to read."""
        self._unacknowledged: Counter[int] = Counter()
        self._forgiven_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of photos that are incomplete or have not left for their extraction."""
        return self._held_bytes

    @property
    def begun_bytes(self) -> int:
        """Declared size of all photos that have begun to come and have not left for their extraction."""
        return self._sizes_bytes

    @property
    def unfinished_bytes(self) -> int:
        """Declared size of the photo that is being received."""
        return self._uploads[0].lacking[0][1] if self._within_photo else 0

    @property
    def _within_photo(self) -> bool:
        return bool(self._uploads) and self._uploads[0].received.tell() > 0

    def beginning_in(self, length: int) -> int:
        """Return the declared size of all photos that begin within the next so many bytes."""
        begin_bytes = 0
        for upload in self._uploads:
            if upload.ended:
                length -= upload.lacking_bytes
                continue
            for index, size in upload.lacking:
                if length <= 0:
                    return begin_bytes
                received = self._held.get((upload.request, index), 0)
                begin_bytes += 0 if received else size
                length -= size - received
        return begin_bytes

    def hold_back(self, waits: bool) -> None:
        """Note that what the client sends is not looked at for a while, or is again."""
        self.waits = waits
        self._began_s = self._moved_s = self._clock.monotonic()

    def deadline_s(self, request: int) -> float | None:
        """Return when a request's photo has taken too long; None where none is on its way, or that is our doing."""
        if not self._within_photo or self._uploads[0].request != request or self.waits or self._withheld:
            return None
        still_s, whole_s = self._moved_s + self._timeout_s, self._began_s + self._timeout_s
        if self._room.others_wait:
            return whole_s
        return min(still_s, max(whole_s, self._clock.monotonic() + LOOK_AGAIN_S))

    def add(self, request: int, photos: Iterable[tuple[int, int]]) -> None:
        """Expect the bytes of a request's photos.

        Args:
            request: its serial number.
            photos: (index, size in bytes) of each, in the order of sending; no size is 0.
        """
        lacking = deque(photos)
        self._uploads.append(_Upload(request, lacking, sum(size for _, size in lacking)))

    def take(self, data: bytes) -> list[ReceivedPhoto]:
        """Take in one binary message.

        Returns:
            The photos that it completed.

        Raises:
            PolicyViolationError: nobody asked for these bytes, or too many are unacknowledged.
        """
        if not self._uploads and not self._forgiven_bytes:
            raise PolicyViolationError("binary without an upload that lacks bytes")
        photos: list[ReceivedPhoto] = []
        start = 0
        while start < len(data):
            if not self._uploads:
                self._swallow_stray(len(data) - start)
                break
            start += self._feed(data, start, photos)
        return photos

    def acknowledgements(self) -> list[tuple[int, int]]:
        """Return (request, bytes) that are to be acknowledged now; each byte once."""
        if len(self._held) > 1 and self._held_bytes > FREELY_HELD_BYTES:
            self._withheld = True
            return []
        if self._withheld:  # the client may have waited for this
            self._withheld = False
            self._began_s = self._moved_s = self._clock.monotonic()
        if self._within_photo and self._unacknowledged.total() < ACKNOWLEDGED_STEP_BYTES:
            return []
        due = list(self._unacknowledged.items())
        self._unacknowledged.clear()
        return due

    def release(self, request: int, index: int) -> None:
        """Note that a photo's bytes have left."""
        self._held_bytes -= self._held.pop((request, index), 0)
        self._sizes_bytes -= self._sizes.pop((request, index), 0)

    def end(self, request: int, *, by_client: bool) -> None:
        """Forget a request: drop its bytes, and swallow those still on their way."""
        for _, index in [key for key in self._held if key[0] == request]:
            self.release(request, index)
        self._unacknowledged.pop(request, None)
        for upload in self._uploads:
            if upload.request == request:
                upload.ended = True
                upload.lacking.clear()
                upload.received = BytesIO()
        if by_client:
            self.forgive(request)

    def forgive(self, request: int | None) -> None:
        """Stop waiting for an ended request's bytes: the client has said that it sends no more of them.

        Args:
            request: its serial number; None, or one that lacks no bytes, changes nothing.
        """
        for upload in [upload for upload in self._uploads if upload.request == request and upload.ended]:
            self._uploads.remove(upload)
            self._forgiven_bytes += upload.lacking_bytes

    def _feed(self, data: bytes, start: int, photos: list[ReceivedPhoto]) -> int:
        """Give bytes to the oldest upload; return how many it took."""
        upload = self._uploads[0]
        if upload.ended:
            taken = min(upload.lacking_bytes, len(data) - start)
        else:
            taken = self._grow(upload, data, start, photos)
        upload.lacking_bytes -= taken
        if not upload.lacking_bytes:
            self._uploads.popleft()
        return taken

    def _grow(self, upload: _Upload, data: bytes, start: int, photos: list[ReceivedPhoto]) -> int:
        index, size = upload.lacking[0]
        key = (upload.request, index)
        taken = min(size - self._held[key], len(data) - start)
        if self._unacknowledged.total() + taken > MAX_UNACKNOWLEDGED_BYTES:
            raise PolicyViolationError(f"more than {MAX_UNACKNOWLEDGED_BYTES} bytes sent without acknowledgement")
        self._moved_s = self._clock.monotonic()
        if key not in self._sizes:
            self._began_s = self._moved_s
            self._sizes[key] = size
            self._sizes_bytes += size
        upload.received.write(memoryview(data)[start : start + taken])
        self._held[key] += taken
        self._held_bytes += taken
        self._unacknowledged[upload.request] += taken
        if self._held[key] == size:
            photos.append(ReceivedPhoto(upload.request, index, upload.received.getvalue()))
            upload.received = BytesIO()
            upload.lacking.popleft()
        return taken

    def _swallow_stray(self, stray_bytes: int) -> None:
        if stray_bytes > self._forgiven_bytes:
            raise PolicyViolationError("more bytes than the uploads declared")
        self._forgiven_bytes -= stray_bytes

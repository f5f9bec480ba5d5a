"""An extract request at work: a window of photos is with the shell, both counters reach n/n."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import assert_never

from pipeline.errors import (
    ItemError,
    PhotoTooLargeError,
    UnreadablePhotoError,
    UploadTimeoutError,
)
from pipeline.protocol.photo_items import UploadItem
from pipeline.protocol.replies import Entry, Photo, Replies, RepliesWithId
from pipeline.protocol.requests import Extract
from pipeline.records import Extracted, Failure, PathSource, Segmented, UploadSource
from pipeline.session.actions import Action, AnySource, ExtractPhoto, LetOthersGo, PhotoStep, SendText, Started
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import NO_PATHS, SLICE_ELEMENTS, ListJob
from pipeline.session.lifecycle import RequestEvent
from pipeline.session.uploads import UploadQueue
from pipeline.stored_photos import StoreSource

_WINDOW_FACTOR = 2
"""Photos of one request that the shell holds at once, as a multiple of those it works on: the next is always there."""


class ExtractJob(ListJob):
    """Asks for photos in order, a window at a time."""

    def __init__(
        self, number: int, message: Extract, total: int, replies: Replies, config: SessionConfig, clock: Clock
    ) -> None:
        super().__init__(number, message, total, replies, config, clock)
        self._animals = message.animals
        self._next = 0
        self._unsegmented: set[int] = set()
        """Photos with the shell whose segmentation has not ended."""
        self._done: Counter[str] = Counter()
        self._others_go = False
        """A slice of refused photos has ended, and the next one waits for other connections."""

    def _advance(self) -> list[Action]:
        if self._others_go:
            return []
        actions: list[Action] = []
        refused = 0
        window = _WINDOW_FACTOR * self._config.limits.in_flight_per_connection
        while self._next < self._total and len(self._asked) < window and not self._answers.full:
            source = self._take_source(self._next)
            if source is None:
                break
            actions += self._issue(self._next, source)
            self._next += 1
            refused += isinstance(source, Failure)
            if refused == SLICE_ELEMENTS and self._next < self._total:
                self._others_go = True
                return [*actions, self._ask(LetOthersGo(), self._others_went)]
        return actions

    def _others_went(self, _: None) -> list[Action]:
        self._others_go = False
        return []

    def _issue(self, index: int, source: AnySource | Failure) -> list[Action]:
        if isinstance(source, Failure):
            return [*self._count("segmenting"), *self._done_with(index, Extracted((), source, None))]
        self._unsegmented.add(index)
        return [self._ask(ExtractPhoto(index, source, self._animals), partial(self._take_step, index))]

    def _take_step(self, index: int, step: PhotoStep) -> list[Action]:
        match step:
            case Started():
                self._release(index)
                return []
            case Segmented():
                return self._segmented(index)
            case Extracted():
                self._release(index)
                return [*self._segmented(index), *self._done_with(index, step)]
            case _:
                assert_never(step)

    def _segmented(self, index: int) -> list[Action]:
        """Count a photo's segmentation; a repeated attempt reports it again."""
        if index not in self._unsegmented:
            return []
        self._unsegmented.remove(index)
        return self._count("segmenting")

    def _done_with(self, index: int, extracted: Extracted) -> list[Action]:
        entries = self._replies.photo(self._photo(index), extracted)
        return [*self._count("extracting"), *self._answer(index, entries)]

    def _count(self, stage: str) -> list[Action]:
        self._done[stage] += 1
        return self._progress(stage, self._done[stage])

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._replies.photo(self._photo(index), Extracted((), failure, None))

    def _photo(self, index: int) -> Photo:
        return Photo(index, self._name(index), self._animals)

    def _release(self, index: int) -> None:
        """Note that the photo's bytes are no longer held here."""

    @abstractmethod
    def _name(self, index: int) -> str | None:
        """Return what the client calls the photo."""

    @abstractmethod
    def _take_source(self, index: int) -> AnySource | Failure | None:
        """Return the photo, why it is refused, or None where it is not here yet."""


class PathsJob(ExtractJob):
    """Photos on the server's disk."""

    def __init__(self, number: int, message: Extract, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        self._paths = message.file_names or ()
        super().__init__(number, message, len(self._paths), replies, config, clock)

    def _name(self, index: int) -> str | None:
        path = self._paths[index]
        return path if isinstance(path, str) else None

    def _take_source(self, index: int) -> AnySource | Failure | None:
        path = self._paths[index]
        if isinstance(path, Failure):
            return path
        if self._config.uploads_only:
            return NO_PATHS
        return PathSource(path, self._config.peer.is_local)


class StoredPhotosJob(ExtractJob):
    """Photos of the store."""

    def __init__(self, number: int, message: Extract, replies: Replies, config: SessionConfig, clock: Clock) -> None:
        self._hashes = message.photos or ()
        self._boxes = message.boxes
        self._catalogue = message.catalogue
        super().__init__(number, message, len(self._hashes), replies, config, clock)

    def _name(self, index: int) -> str | None:
        sha256 = self._hashes[index]
        return sha256 if isinstance(sha256, str) else None

    def _take_source(self, index: int) -> AnySource | Failure | None:
        sha256 = self._hashes[index]
        if isinstance(sha256, Failure):
            return sha256
        boxes = None if self._boxes is None else self._boxes[index]
        if boxes is not None and boxes.failure is not None:
            return boxes.failure
        return StoreSource(sha256, self._catalogue, None if boxes is None else boxes.drawn)


class UploadsJob(ExtractJob):
    """Photos that the client sends."""

    def __init__(
        self,
        number: int,
        message: Extract,
        replies: RepliesWithId,
        config: SessionConfig,
        clock: Clock,
        uploads: UploadQueue,
    ) -> None:
        """As `Job`; `uploads` is told when a photo's bytes have left."""
        self._items = message.uploads or ()
        super().__init__(number, message, len(self._items), replies, config, clock)
        self._ready = replies.ready
        self._uploads = uploads
        self._contents: dict[int, bytes] = {}
        self.skipped: Mapping[int, Failure] = self._inspect()
        self._lacking = len(self._items) - len(self.skipped)

    @property
    def awaited(self) -> list[tuple[int, int]]:
        """(index, size in bytes) of the photos to be sent, in order."""
        return [(index, item.size_bytes) for index, item in enumerate(self._items) if index not in self.skipped]

    def photo_received(self, index: int, content: bytes) -> list[Action]:
        """Take a complete photo, and ask for it when it is its turn."""
        self._contents[index] = content
        self._lacking -= 1
        if not self._lacking:
            self._lifecycle.fire(RequestEvent.BYTES_COMPLETE)
        return self.proceed()

    @property
    def deadline_s(self) -> float | None:
        """See `Job`: also when the photo on its way has taken too long."""
        deadlines = (self.ack_deadline_s, self._uploads.deadline_s(self.number))
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def timed_out(self) -> list[Action]:
        """See `Job`."""
        if self.ack_deadline_s is not None and self.ack_deadline_s <= self._clock.monotonic():
            return super().timed_out()
        index, _ = self.awaited[-self._lacking]
        waited_s = self._config.upload_timeout_s
        return self.fail(
            UploadTimeoutError(
                f"{self._name(index)}: nothing of it came for {waited_s:g} s, or it took longer than that "
                "while others waited for its memory; ask again for what is missing"
            )
        )

    def _starting_event(self) -> RequestEvent:
        return RequestEvent.START_UPLOAD if self._lacking else RequestEvent.START

    def _begin(self) -> list[Action]:
        if self.awaited:
            self._uploads.add(self.number, self.awaited)
        return [SendText(self._ready(self.skipped))]

    def _release(self, index: int) -> None:
        self._uploads.release(self.number, index)

    def _inspect(self) -> dict[int, Failure]:
        max_photo_bytes = self._config.limits.max_photo_bytes
        failures = {index: _refusal(item, max_photo_bytes) for index, item in enumerate(self._items)}
        return {index: failure for index, failure in failures.items() if failure is not None}

    def _name(self, index: int) -> str | None:
        return self._items[index].name

    def _take_source(self, index: int) -> AnySource | Failure | None:
        if index in self.skipped:
            return self.skipped[index]
        content = self._contents.pop(index, None)
        return None if content is None else UploadSource(self._name(index) or "", content)


def _refusal(item: UploadItem, max_photo_bytes: int) -> Failure | None:
    if item.failure is not None:
        return item.failure
    error: ItemError
    if item.size_bytes == 0:
        error = UnreadablePhotoError("the photo is empty; copy it from the camera again")
    elif item.size_bytes > max_photo_bytes:
        error = PhotoTooLargeError(f"the photo has {item.size_bytes} bytes; at most {max_photo_bytes} are accepted")
    else:
        return None
    return Failure.of(error)

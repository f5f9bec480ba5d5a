"""An extract request at work: a window of photos is with the shell, both counters reach n/n."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping

from pipeline.errors import ItemError, OutsideRootsError, PhotoTooLargeError, UnreadablePhotoError
from pipeline.protocol.items import UploadItem
from pipeline.protocol.replies import Entry, Photo, Replies, RepliesWithId
from pipeline.protocol.requests import ExtractPaths, ExtractUploads, Kind
from pipeline.records import Animals, Extracted, Failure, PathSource, PhotoSource, UploadSource
from pipeline.session.actions import Action, ExtractPhoto, SendText
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.jobs import Job, say
from pipeline.session.lifecycle import RequestEvent

_WINDOW_FACTOR = 2
"""Photos of one request that the shell holds at once, as a multiple of those it works on: the next is always there."""


class ExtractJob(Job):
    """Issues photos in order, a window at a time."""

    kind: Kind = "extract"

    def __init__(
        self, number: int, replies: Replies, total: int, animals: Animals, config: SessionConfig, clock: Clock
    ) -> None:
        super().__init__(number, replies, total, config, clock)
        self._animals: Animals = animals
        self._next = 0
        self._in_flight: dict[int, bool] = {}
        """Photos with the shell; True once their segmentation has ended."""
        self._done: Counter[str] = Counter()

    @property
    def outstanding(self) -> bool:
        """Photos are with the shell."""
        return bool(self._in_flight)

    def photo_segmented(self, index: int) -> list[Action]:
        """Note a photo's first step; a repeated report changes nothing."""
        if self._in_flight.get(index) is not False:
            return []
        self._in_flight[index] = True
        return self._count("segmenting")

    def photo_extracted(self, index: int, extracted: Extracted) -> list[Action]:
        """Note a photo's last step."""
        if index not in self._in_flight:
            return []
        actions = self.photo_segmented(index)
        del self._in_flight[index]
        return [*actions, *self._done_with(index, extracted), *self.proceed()]

    def _advance(self) -> list[Action]:
        actions: list[Action] = []
        window = _WINDOW_FACTOR * self._config.limits.in_flight_per_connection
        while self._next < self._total and len(self._in_flight) < window and not self._answers.full:
            source = self._take_source(self._next)
            if source is None:
                break
            actions += self._issue(self._next, source)
            self._next += 1
        return actions

    def _issue(self, index: int, source: PhotoSource | Failure) -> list[Action]:
        if isinstance(source, Failure):
            return [*self._count("segmenting"), *self._done_with(index, Extracted((), source, None))]
        self._in_flight[index] = False
        return [ExtractPhoto(self.number, index, source, self._animals)]

    def _done_with(self, index: int, extracted: Extracted) -> list[Action]:
        entries = self._replies.photo(self._photo(index), extracted)
        return [*self._count("extracting"), *self._answer(index, entries)]

    def _count(self, stage: str) -> list[Action]:
        self._done[stage] += 1
        return say(self._replies.progress(stage, self._done[stage], self._total))

    def _refused(self, index: int, failure: Failure) -> tuple[Entry, ...]:
        return self._replies.photo(self._photo(index), Extracted((), failure, None))

    def _photo(self, index: int) -> Photo:
        return Photo(index, self._name(index), self._animals)

    @abstractmethod
    def _name(self, index: int) -> str | None:
        """Return what the client calls the photo."""

    @abstractmethod
    def _take_source(self, index: int) -> PhotoSource | Failure | None:
        """Return the photo, why it is refused, or None where it is not here yet."""


class PathsJob(ExtractJob):
    """Photos on the server's disk."""

    def __init__(
        self, number: int, message: ExtractPaths, replies: Replies, config: SessionConfig, clock: Clock
    ) -> None:
        super().__init__(number, replies, len(message.paths), message.animals, config, clock)
        self._paths = message.paths

    def _name(self, index: int) -> str | None:
        path = self._paths[index]
        return path if isinstance(path, str) else None

    def _take_source(self, index: int) -> PhotoSource | Failure | None:
        path = self._paths[index]
        if isinstance(path, Failure):
            return path
        if self._config.uploads_only:
            return Failure.of(OutsideRootsError("this service reads no files of its own machine; upload the photo"))
        return PathSource(path, self._config.local_peer)


class UploadsJob(ExtractJob):
    """Photos that the client sends."""

    def __init__(
        self, number: int, message: ExtractUploads, replies: RepliesWithId, config: SessionConfig, clock: Clock
    ) -> None:
        super().__init__(number, replies, len(message.items), message.animals, config, clock)
        self._ready = replies.ready
        self._items = message.items
        self._contents: dict[int, bytes] = {}
        self.skipped: Mapping[int, Failure] = self._inspect()
        self._lacking = len(self._items) - len(self.skipped)

    @property
    def awaited(self) -> list[tuple[int, int]]:
        """(index, size in bytes) of the photos to be sent, in order."""
        return [(index, item.size_bytes) for index, item in enumerate(self._items) if index not in self.skipped]

    def photo_received(self, index: int, content: bytes) -> list[Action]:
        """Take a complete photo, and issue it when it is its turn."""
        self._contents[index] = content
        self._lacking -= 1
        if not self._lacking:
            self._lifecycle.fire(RequestEvent.BYTES_COMPLETE)
        return self.proceed()

    def _starting_event(self) -> RequestEvent:
        return RequestEvent.START_UPLOAD if self._lacking else RequestEvent.START

    def _begin(self) -> list[Action]:
        return [SendText(self._ready(self.skipped))]

    def _inspect(self) -> dict[int, Failure]:
        max_photo_bytes = self._config.limits.max_photo_bytes
        failures = {index: _refusal(item, max_photo_bytes) for index, item in enumerate(self._items)}
        return {index: failure for index, failure in failures.items() if failure is not None}

    def _name(self, index: int) -> str | None:
        return self._items[index].name

    def _take_source(self, index: int) -> PhotoSource | Failure | None:
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

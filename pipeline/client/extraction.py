"""One extract call: sends paths or the photos themselves, and streams what is found in them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

from pipeline.client.asking import NO_ANSWER, Unanswered, ask_until_answered
from pipeline.client.connection import Connection, Server
from pipeline.client.open_request import CallProgress, OpenRequest, encode, open_request
from pipeline.client.results import (
    DrawnBox,
    ItemFailure,
    JsonObject,
    OnProgress,
    PhotoResult,
    StoredPhoto,
    read_photo,
)
from pipeline.client.uploads import LocalPhoto, inspect_photo, send_photo

Animals = Literal["best", "all"]

Photo = str | LocalPhoto | StoredPhoto
"""A path for the server to open, a file to upload, or a photo of the store; those of one call are of one kind."""


def path_to_send(photo: str | Path) -> str:
    """Return what is sent for a photo: a string character for character, a `Path` made absolute."""
    return str(photo.absolute()) if isinstance(photo, Path) else photo


class Extraction:
    """The state of one call; `results` may be consumed once."""

    def __init__(
        self,
        server: Server,
        photos: Sequence[str | Path | StoredPhoto],
        uploads: bool,
        animals: Animals,
        catalogue: str | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._server = server
        self._stored = [photo for photo in photos if isinstance(photo, StoredPhoto)]
        self._local = [photo for photo in photos if not isinstance(photo, StoredPhoto)]
        if self._stored and (self._local or uploads):
            raise ValueError("photos of the store cannot be asked for beside others: make two calls")
        self._paths = [photo.sha256 for photo in self._stored] or [str(photo) for photo in self._local]
        self._uploads = uploads
        self._catalogue = {} if catalogue is None or not self._stored else {"catalogue": catalogue}
        self._progress = CallProgress(on_progress, len(photos))
        self._fields: dict[str, Any] = {"animals": animals, "stream": True}
        self._several = animals == "all"
        self._failed_uploads: dict[int, ItemFailure] = {}

    async def results(self) -> AsyncGenerator[PhotoResult]:
        """Yield each photo's entries as they come; first the photos that cannot be sent."""
        photos = await self._find()
        for index, failure in photos.items():
            if isinstance(failure, ItemFailure):
                yield self._failed(index, failure)
        askable = {index: photo for index, photo in photos.items() if not isinstance(photo, ItemFailure)}
        self._unanswered = Unanswered[Photo](askable, self._server.options)
        self._answered = AnsweredPhotos(self._unanswered, several=self._several)
        asked = ask_until_answered(self._server, self._unanswered, _size_of, self._ask_batch)
        async with aclosing(asked) as results:
            async for result in results:
                yield result
        self._progress.finish("extracting")

    async def _find(self) -> dict[int, Photo | ItemFailure]:
        """Return the photos as they are asked for, by their place, or why one cannot be."""
        if self._uploads:
            return await asyncio.to_thread(lambda: {i: inspect_photo(Path(path)) for i, path in enumerate(self._paths)})
        found: list[Photo] = [*self._stored] or [path_to_send(photo) for photo in self._local]
        return dict(enumerate(found))

    def _failed(self, index: int, failure: ItemFailure) -> PhotoResult:
        return PhotoResult(self._paths[index], index, error=failure)

    async def _ask_batch(self, connection: Connection, batch: dict[int, Photo]) -> AsyncGenerator[PhotoResult]:
        self._progress.begin_request(len(self._unanswered))
        self._answered.begin_request()
        self._failed_uploads.clear()
        async with open_request(connection) as request:
            sender = await self._start_sending(request, batch)
            try:
                async for result in self._results(request, batch):
                    yield result
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    async def _start_sending(self, request: OpenRequest, batch: dict[int, Photo]) -> "asyncio.Task[None]":
        """Send in a task of its own, since answers come while photos are still being sent."""
        uploads = {index: photo for index, photo in batch.items() if isinstance(photo, LocalPhoto)}
        if uploads:
            await request.begin_upload()
            sender = asyncio.create_task(self._upload(request, uploads))
        else:
            stored = [photo for photo in batch.values() if isinstance(photo, StoredPhoto)]
            named = _naming(stored) | self._catalogue if stored else {"fileNames": list(batch.values())}
            sender = asyncio.create_task(request.send("extract", **named, **self._fields))
        sender.add_done_callback(lambda task: _pass_on(task, request))
        return sender

    async def _upload(self, request: OpenRequest, photos: dict[int, LocalPhoto]) -> None:
        announced = [_announcement(photo) for photo in photos.values()]
        await request.send("extract", uploads=announced, **self._fields)
        skip = await request.upload_ready
        for position, (index, photo) in enumerate(photos.items()):
            if position not in skip:
                failure = await send_photo(photo, request, self._server.options.chunk_bytes)
                if failure is not None:
                    self._failed_uploads[index] = failure
            self._progress.report("sending", position + 1)
        request.end_upload()

    async def _results(self, request: OpenRequest, batch: dict[int, Photo]) -> AsyncGenerator[PhotoResult]:
        """Yield what the caller should see of the running request."""
        async for index, entry in request.entries(list(batch), self._progress, self._server.options.silence_s):
            failure = self._failed_uploads.get(index)
            result = self._failed(index, failure) if failure else read_photo(entry, self._paths[index], index)
            if self._answered.take(result):
                yield result
        for index in self._answered.end_request(batch):
            yield self._failed(index, NO_ANSWER)


class AnsweredPhotos:
    """Finds out which photos have all their entries, when a photo may have several and a connection may break.

    With `animals="all"` the server sends a photo's entries one after the other without saying which is the last, so a
    photo counts as answered when an entry of another one, or the end of the request, has come; entries that a repeated
    request brings again are not shown twice.
    """

    def __init__(self, unanswered: Unanswered[Photo], *, several: bool) -> None:
        """Start.

        Args:
            unanswered: the photos of the call; those that have all their entries are taken out.
            several: whether a photo may have more than one entry.
        """
        self._unanswered = unanswered
        self._several = several
        self._shown: set[tuple[int, int]] = set()
        self._current: int | None = None
        """The photo whose entries are coming, where more of them may follow."""
        self._put_off: set[int] = set()

    def begin_request(self) -> None:
        """Note that a request begins: photos whose entries were cut off by the end of the last one come again."""
        self._current = None
        self._put_off = set()

    def take(self, result: PhotoResult) -> bool:
        """Note one entry; return whether the caller should see it."""
        index = result.index
        if index != self._current:
            self._close_current()
        if index not in self._unanswered:
            return False
        if self._several and result.error is None:
            self._current = index
        elif not self._unanswered.take_answer(index, result.error):
            self._put_off.add(index)
            return False
        is_new = (index, result.animal) not in self._shown
        self._shown.add((index, result.animal))
        return is_new

    def end_request(self, batch: dict[int, Photo]) -> list[int]:
        """Note that a request is complete; return its photos that got no answer often enough to give up on them."""
        self._close_current()
        return self._unanswered.take_silence(batch.keys() - self._put_off)

    def _close_current(self) -> None:
        if self._current is not None:
            self._unanswered.take_answer(self._current)
            self._current = None


def _pass_on(task: "asyncio.Task[None]", request: OpenRequest) -> None:
    """Let whoever waits for the answers know that the photos could not be sent."""
    if not task.cancelled() and (error := task.exception()) is not None:
        request.fail(error)


def _announcement(photo: LocalPhoto) -> dict[str, object]:
    return {"name": photo.path.name, "size": photo.size_bytes}


def _naming(photos: Sequence[StoredPhoto]) -> JsonObject:
    """Return the fields of a request that name photos of the store, and what was drawn in them."""
    drawn = [None if photo.boxes is None else [_drawn(box) for box in photo.boxes] for photo in photos]
    return {"photos": [photo.sha256 for photo in photos], "boxes": drawn}


def _drawn(box: DrawnBox) -> JsonObject:
    animal = {} if box.animal is None else {"animal": box.animal}
    return {"type": box.body_part, "box_xyxy_px": list(box.box_xyxy_px), **animal}


def _size_of(photo: Photo) -> int:
    match photo:
        case LocalPhoto():
            return len(encode(_announcement(photo))) + 1
        case StoredPhoto():
            return len(encode(_naming([photo])))
        case _:
            return len(encode({"": photo})) + 1

"""One extract call: streams the photos' entries, acknowledges them, and uploads the photos where asked to."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

from pipeline.client.entries import entries
from pipeline.client.exchange import ask_until_answered
from pipeline.client.link import Channel, Connection, Link, encode
from pipeline.client.pending import NO_ANSWER, Pending
from pipeline.client.progress import ProgressReport
from pipeline.client.results import ItemFailure, OnProgress, PhotoResult, read_photo
from pipeline.client.tally import Photo, Tally
from pipeline.client.uploads import LocalPhoto, announce, inspect_photo, send_photo

Animals = Literal["best", "all"]


def wire_path(photo: str | Path) -> str:
    """Return what is sent for a photo: a string character for character, a `Path` made absolute."""
    return str(photo.absolute()) if isinstance(photo, Path) else photo


class Extraction:
    """The state of one call; `results` may be consumed once."""

    def __init__(
        self, link: Link, photos: Sequence[str | Path], uploads: bool, animals: Animals, on_progress: OnProgress | None
    ) -> None:
        self._link = link
        self._paths = [str(photo) for photo in photos]
        self._photos = photos
        self._uploads = uploads
        self._progress = ProgressReport(on_progress, len(photos))
        self._manner: dict[str, Any] = {"animals": animals, "stream": True}
        self._several = animals == "all"
        self._spoiled: dict[int, ItemFailure] = {}

    async def results(self) -> AsyncGenerator[PhotoResult]:
        """Yield each photo's entries as they come; first the photos that cannot be sent."""
        photos = await self._look() if self._uploads else dict(enumerate(map(wire_path, self._photos)))
        for index, failure in photos.items():
            if isinstance(failure, ItemFailure):
                yield self._failed(index, failure)
        askable = {index: photo for index, photo in photos.items() if not isinstance(photo, ItemFailure)}
        self._pending = Pending[Photo](askable, self._link.options)
        self._tally = Tally(self._pending, several=self._several)
        async with aclosing(ask_until_answered(self._link, self._pending, _size_of, self._ask)) as results:
            async for result in results:
                yield result
        self._progress.finish("extracting")

    async def _look(self) -> dict[int, Photo | ItemFailure]:
        return await asyncio.to_thread(lambda: {i: inspect_photo(Path(path)) for i, path in enumerate(self._paths)})

    def _failed(self, index: int, failure: ItemFailure) -> PhotoResult:
        return PhotoResult(self._paths[index], index, error=failure)

    async def _ask(self, connection: Connection, batch: dict[int, Photo]) -> AsyncGenerator[PhotoResult]:
        self._progress.begin(len(self._pending))
        self._tally.begin()
        self._spoiled.clear()
        async with connection.channel() as channel:
            sender = await self._start_sending(channel, batch)
            try:
                async for result in self._results(channel, batch):
                    yield result
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    async def _start_sending(self, channel: Channel, batch: dict[int, Photo]) -> "asyncio.Task[None]":
        """Send in a task of its own, since answers come while photos are still being sent."""
        uploads = {index: photo for index, photo in batch.items() if isinstance(photo, LocalPhoto)}
        if uploads:
            await channel.begin_upload()
            sender = asyncio.create_task(self._upload(channel, uploads))
        else:
            sender = asyncio.create_task(channel.send("extract", fileNames=list(batch.values()), **self._manner))
        sender.add_done_callback(lambda task: _pass_on(task, channel))
        return sender

    async def _upload(self, channel: Channel, photos: dict[int, LocalPhoto]) -> None:
        await channel.send("extract", uploads=announce(photos), **self._manner)
        skip = await channel.ready
        for position, (index, photo) in enumerate(photos.items()):
            if position not in skip:
                failure = await send_photo(photo, channel, self._link.options.chunk_bytes)
                if failure is not None:
                    self._spoiled[index] = failure
            self._progress.report("sending", position + 1)
        channel.end_upload()

    async def _results(self, channel: Channel, batch: dict[int, Photo]) -> AsyncGenerator[PhotoResult]:
        """Yield what the caller should see of the running request."""
        async for index, entry in entries(channel, self._progress, self._link.options.silence_s, list(batch)):
            spoiled = self._spoiled.get(index)
            result = self._failed(index, spoiled) if spoiled else read_photo(entry, self._paths[index], index)
            if self._tally.take(result):
                yield result
        for index in self._tally.complete(batch):
            yield self._failed(index, NO_ANSWER)


def _pass_on(task: "asyncio.Task[None]", channel: Channel) -> None:
    """Let whoever waits for the answers know that the photos could not be sent."""
    if not task.cancelled() and (error := task.exception()) is not None:
        channel.fail(error)


def _size_of(photo: Photo) -> int:
    if isinstance(photo, LocalPhoto):
        return len(encode({"name": photo.path.name, "size": photo.size_bytes})) + 1
    return len(encode({"": photo}))

"""The client for programs without asyncio: the asynchronous one on an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Generator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pipeline.client.asynchronous import DEFAULT_URL, AsyncClient
from pipeline.client.catalogue import Catalogue
from pipeline.client.errors import ClientClosedError
from pipeline.client.extraction import Animals
from pipeline.client.filters import Filters
from pipeline.client.options import ClientOptions
from pipeline.client.results import (
    Identification,
    OnProgress,
    PhotoResult,
    Query,
    SavedPhoto,
    StoredPhoto,
    UploadedPhoto,
)
from pipeline.client.rights import Rights

T = TypeVar("T")


class Client:
    """Blocking calls, usable from any thread, also from several at once; close it, or use it in a `with` block.

    The calls are those of `AsyncClient`, with the same arguments, results and errors; `on_progress` is called in the
    client's own thread.

    Attributes:
        catalogue: the client's own catalogue: its lists, and changes of it.
        rights: the catalogues that there are, and who may do what in them.
    """

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None, options: ClientOptions | None = None) -> None:
        self._client = AsyncClient(url, token, options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="whale-vision-client", daemon=True)
        self._thread.start()
        self._closed = False
        self.catalogue = Catalogue(self._client.catalogue, self._run)
        self.rights = Rights(self._client.rights, self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and end the thread; calls that still run, and later ones, raise `ClientClosedError`."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _wind_up(self) -> None:
        await self._client.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def extract_stream(
        self,
        photos: Sequence[str | Path | StoredPhoto],
        *,
        uploads: bool = False,
        animals: Animals = "best",
        catalogue: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Generator[PhotoResult]:
        """Yield entries as they come; see `AsyncClient.extract_stream`. Closing the generator cancels the rest."""
        stream = self._client.extract_stream(
            photos, uploads=uploads, animals=animals, catalogue=catalogue, on_progress=on_progress
        )
        # An interrupted step may still be winding up when the stream is to be closed.
        stepping = asyncio.Lock()

        async def step() -> PhotoResult | None:
            async with stepping:
                return await anext(stream, None)

        async def close() -> None:
            async with stepping:
                await stream.aclose()

        try:
            while (result := self._run(step())) is not None:
                yield result
        finally:
            # A closed client has closed its streams.
            if not self._closed:
                self._run(close())

    def extract(
        self,
        photos: Sequence[str | Path | StoredPhoto],
        *,
        uploads: bool = False,
        animals: Animals = "best",
        catalogue: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[PhotoResult]:
        """Return all entries in the order of `photos`; see `AsyncClient.extract`."""
        return self._run(
            self._client.extract(photos, uploads=uploads, animals=animals, catalogue=catalogue, on_progress=on_progress)
        )

    def upload_photos(
        self,
        paths: Sequence[str | Path],
        *,
        catalogue: str | None = None,
        at_once: int = 4,
        on_progress: OnProgress | None = None,
    ) -> list[UploadedPhoto]:
        """Put photos of this machine into a catalogue's store; see `AsyncClient.upload_photos`."""
        return self._run(
            self._client.upload_photos(paths, catalogue=catalogue, at_once=at_once, on_progress=on_progress)
        )

    def identify(
        self,
        items: Sequence[PhotoResult | Query],
        top_k: int | None = None,
        *,
        catalogue: str | None = None,
        catalogues: Sequence[str] | None = None,
        references: int | None = None,
        filters: Filters | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Identification]:
        """Rank the known individuals for each embedding; see `AsyncClient.identify`."""
        identified = self._client.identify(
            items,
            top_k,
            catalogue=catalogue,
            catalogues=catalogues,
            references=references,
            filters=filters,
            on_progress=on_progress,
        )
        return self._run(identified)

    def confirm(
        self,
        items: Sequence[PhotoResult | Query],
        identity: str,
        *,
        catalogue: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Identification]:
        """Add photos to the catalogue as this individual's; see `AsyncClient.confirm`."""
        return self._run(self._client.confirm(items, identity, catalogue=catalogue, on_progress=on_progress))

    def save(
        self, photos: Sequence[tuple[str | Path, str]], *, on_progress: OnProgress | None = None
    ) -> list[SavedPhoto]:
        """Have the server copy photos into its export folder; see `AsyncClient.save`."""
        return self._run(self._client.save(photos, on_progress=on_progress))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the client's loop and wait; an interrupt (Ctrl-C) while waiting cancels the call on the server too."""
        if self._closed:
            coroutine.close()
            raise ClientClosedError("the client is closed; make another")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise ClientClosedError("the client was closed during the call") from error
        except BaseException:
            future.cancel()
            raise

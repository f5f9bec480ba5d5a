"""The extractor deployment: one photo in, its annotations out, in two steps."""

import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle

from deployments.logs import log_with_serve
from deployments.metrics import StageMetric
from deployments.model_worker import settle_memory, yield_to_interactive_work
from deployments.remote import RemoteEmbedder, RemoteSegmenter
from pipeline.errors import ItemError, UnavailableError
from pipeline.extraction import ExtractionRules, PhotoExtraction
from pipeline.model_files import ModelFolder
from pipeline.names import shown_name
from pipeline.photo_store.store import PhotoStore
from pipeline.photos.files import PhotoFiles
from pipeline.photos.process_decoder import ProcessDecoder
from pipeline.photos.stored import StoredPhotos
from pipeline.records import Animals, Extracted, Failure, PathSource, ReadableSource, Segmented, StoredUpload
from pipeline.settings import Settings
from pipeline.stored_photos import DrawnBox, PhotoFacts, Picture, StoreSource

T = TypeVar("T")


@serve.deployment
class Extractor:
    """Decodes photos, crops the animals, and asks the models."""

    def __init__(
        self,
        settings: Settings,
        folder: ModelFolder,
        segmenter: DeploymentHandle[Any],
        embedders: Mapping[str, DeploymentHandle[Any]],
        database: str,
    ) -> None:
        """Wire the photo's way to the model deployments.

        Args:
            settings: of the application.
            folder: body parts, thresholds and input sizes.
            segmenter: the segmenter deployment.
            embedders: the embedder deployment of each body part.
            database: id of the catalogue database, whose the photo store is.
        """
        log_with_serve()
        yield_to_interactive_work()
        timeout_s = settings.timeouts.photo_timeout_s
        decoder = ProcessDecoder(settings.limits.decoding_memory_bytes, settings.timeouts.decode_timeout_s)
        self._stored = StoredPhotos(PhotoStore(settings.photo_store, database), decoder, settings.limits)
        self._extraction = PhotoExtraction(
            segmenter=RemoteSegmenter(segmenter, timeout_s),
            embedders={part: RemoteEmbedder(handle, part, timeout_s) for part, handle in embedders.items()},
            files=PhotoFiles.from_settings(settings),
            rules=ExtractionRules.from_models(folder, settings.limits.max_photo_pixels),
            decoder=decoder,
        )
        self._metric = StageMetric("extract")
        settle_memory()

    async def extract_path(self, source: PathSource, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        """Extract a photo on this machine's disk; see `PhotoExtraction.extract`."""
        async for step in self._steps(source, animals):
            yield step

    async def extract_upload(
        self, name: str, stored: Sequence[ray.ObjectRef[bytes]], animals: Animals
    ) -> AsyncIterator[Segmented | Extracted]:
        """Extract a photo that came over the wire and lies in the object store.

        Args:
            name: the client's file name.
            stored: the reference to the bytes, alone. In a list, because Serve resolves a bare one and would hold the
                bytes for as long as the call lasts.
            animals: "best" or "all".
        """
        async for step in self._steps(StoredUpload(name, partial(fetch_upload, name, stored[0])), animals):
            yield step

    async def extract_stored(self, source: StoreSource, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        """Extract a photo of the store; whether the client may see it was decided before."""
        stored = StoredUpload(source.sha256, self._stored.reader(source.sha256))
        async for step in self._steps(stored, animals, source.boxes):
            yield step

    async def inspect_photo(self, incoming: str, name: str) -> PhotoFacts | Failure:
        """Say what a photo on its way into the store is, or why it is none."""
        return await _outcome(self._stored.inspect(incoming, name))

    async def render_photo(self, sha256: str, picture: Picture) -> bytes | Failure:
        """Make a picture of a photo of the store."""
        return await _outcome(self._stored.render(sha256, picture))

    async def _steps(
        self, source: ReadableSource, animals: Animals, drawn: Sequence[DrawnBox] | None = None
    ) -> AsyncIterator[Segmented | Extracted]:
        start = time.perf_counter()
        async for step in self._extraction.extract(source, animals, drawn):
            yield step
        self._metric.observe(time.perf_counter() - start)


async def _outcome(work: Awaitable[T]) -> T | Failure:
    """Return what became of a photo as a value: an exception would fill Serve's log with tracebacks."""
    try:
        return await work
    except ItemError as error:
        return Failure.of(error)


def fetch_upload(name: str, stored: ray.ObjectRef[bytes]) -> bytes:
    """Take an upload out of the object store; blocks, so call it from a thread.

    Raises:
        UnavailableError: it is lost, because the node or the ingress replica that put it there has died.
    """
    try:
        content: bytes = stored.future().result()
    except RayError as error:
        raise UnavailableError(f"{shown_name(name)}: the upload was lost inside the service; send it again") from error
    return content

"""The extractor deployment: one photo in, its annotations out, in two steps."""

import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.meters import StageMeter
from deployments.model_worker import settle_memory, yield_to_interactive_work
from deployments.ports import RemoteEmbedder, RemoteSegmenter
from pipeline.composition import ExtractionRules, PhotoExtraction
from pipeline.model_files import ModelFolder
from pipeline.photo_files import PhotoFiles
from pipeline.records import Animals, Extracted, PathSource, PhotoSource, Segmented, UploadSource
from pipeline.settings import Settings

DECODING_THREADS = 2


@serve.deployment
class Extractor:
    """Decodes photos, crops the animals, and asks the models."""

    def __init__(
        self,
        settings: Settings,
        folder: ModelFolder,
        segmenter: DeploymentHandle[Any],
        embedders: Mapping[str, DeploymentHandle[Any]],
    ) -> None:
        """Wire the photo's way to the model deployments.

        Args:
            settings: of the application.
            folder: body parts, thresholds and input sizes.
            segmenter: the segmenter deployment.
            embedders: the embedder deployment of each body part.
        """
        yield_to_interactive_work()
        timeout_s = settings.timeouts.photo_timeout_s
        self._extraction = PhotoExtraction(
            segmenter=RemoteSegmenter(segmenter, timeout_s),
            embedders={part: RemoteEmbedder(handle, part, timeout_s) for part, handle in embedders.items()},
            files=PhotoFiles.from_settings(settings),
            rules=ExtractionRules.from_models(folder, settings.limits.max_photo_pixels),
            executor=ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode"),
        )
        self._meter = StageMeter("extract")
        settle_memory()

    async def extract_path(self, source: PathSource, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        """Extract a photo on this machine's disk; see `PhotoExtraction.extract`."""
        async for step in self._steps(source, animals):
            yield step

    async def extract_upload(self, name: str, content: bytes, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        """Extract a photo that came over the wire; Serve has resolved `content` from the object store."""
        async for step in self._steps(UploadSource(name, content), animals):
            yield step

    async def _steps(self, source: PhotoSource, animals: Animals) -> AsyncIterator[Segmented | Extracted]:
        start = time.perf_counter()
        async for step in self._extraction.extract(source, animals):
            yield step
        self._meter.observe(time.perf_counter() - start)

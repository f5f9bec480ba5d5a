"""Embeds labelled photos as the service does: its decoding, its detector, its choice of box, its crop, its embedder."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from pipeline.errors import ItemError, UnknownBodyPartError
from pipeline.extraction import CropRules, Embedder, ExtractionRules, PhotoExtraction
from pipeline.model_files import ModelFolder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.bounds import MAX_PIXELS
from pipeline.photos.decoding import ThreadDecoder
from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import Photo, crop, decode_photo
from pipeline.records import (
    BoundingBox,
    Detections,
    Embedding,
    Extracted,
    Failure,
    PathSource,
    UInt8Array,
)
from pipeline.settings import Backend
from training.evaluation.embedded import EmbeddedPhoto
from training.photos.records import LabelledPhoto

Boxes = Literal["detected", "truth", "photo"]
"""Whose box is cut out: the detector's, the data's, or none: the whole photo, for photos that are crops already."""

Answer = TypeVar("Answer", Detections, Embedding)

THUMBNAIL_SIDE_PX = 32
_IN_FLIGHT = 4  # photos being decoded or waiting for a network, so that the networks do not wait for photos


class PhotoEmbedder:
    """The detector and one embedder of a models folder, for whole collections of photos.

    Args:
        folder: the models.
        body_part: whose embedder to use.
        boxes: whose boxes to cut out.
        device: of torch, such as "cpu" or "cuda:0".
        backend: what runs the networks on a CPU.
        threads: CPU threads of a network; 0 leaves the number to the libraries.

    Raises:
        ModelFilesError: weights do not fit the architecture that the folder names.
        KeyError: the folder has no such body part.
    """

    def __init__(
        self,
        folder: ModelFolder,
        body_part: str,
        boxes: Boxes = "detected",
        device: str = "cpu",
        backend: Backend = "auto",
        threads: int = 0,
    ) -> None:
        self._part = body_part
        self._boxes = boxes
        self._rules = ExtractionRules.from_models(folder, MAX_PIXELS)
        self._files = PhotoFiles()
        self._network = EmbeddingNetwork(folder, body_part, device, backend, threads)
        self._detector = SegmentationNetwork(folder, device, backend, threads) if boxes == "detected" else None
        self._others = sorted(set(folder.segmenter.labels) - {body_part})

    @property
    def models(self) -> Mapping[str, str]:
        """Short hashes of the weights in use, by what they are for."""
        detector = {} if self._detector is None else {"detector": self._detector.model}
        return {**detector, "embedder": self._network.model}

    def embed(self, photos: Sequence[LabelledPhoto], progress: bool = True) -> list[EmbeddedPhoto]:
        """Embed photos; one that fails has its reason and never stops the others.

        Args:
            photos: of this body part.
            progress: whether to show a progress bar.

        Returns:
            One record a photo, in order.
        """
        return asyncio.run(self._embed_all(photos, progress))

    async def _embed_all(self, photos: Sequence[LabelledPhoto], progress: bool) -> list[EmbeddedPhoto]:
        slots = asyncio.Semaphore(_IN_FLIGHT)
        with (
            ThreadPoolExecutor(_IN_FLIGHT) as pool,
            tqdm(total=len(photos), desc="embedding photos", disable=None if progress else True, leave=False) as bar,
        ):

            async def one(photo: LabelledPhoto) -> EmbeddedPhoto:
                async with slots:
                    done = await self._embed_one(photo, pool)
                bar.update()
                return done

            return list(await asyncio.gather(*(one(photo) for photo in photos)))

    async def _embed_one(self, photo: LabelledPhoto, pool: ThreadPoolExecutor) -> EmbeddedPhoto:
        embedder = _KeepingEmbedder(self._network)
        if self._detector is not None:
            box_px, answer = await self._extract(photo, embedder, self._detector, pool)
        else:
            box_px, answer = await self._embed_box(photo, embedder, pool)
        if isinstance(answer, Failure):
            return EmbeddedPhoto(photo, failure=answer)
        assert embedder.crop is not None  # it has just been embedded
        return EmbeddedPhoto(photo, answer.values, box_px, None, _thumbnail(embedder.crop))

    async def _extract(
        self,
        photo: LabelledPhoto,
        embedder: "_KeepingEmbedder",
        detector: SegmentationNetwork,
        pool: ThreadPoolExecutor,
    ) -> tuple[BoundingBox | None, Embedding | Failure]:
        """Run the service's own pipeline on one photo; its best box is the answer."""
        embedders: dict[str, Embedder] = {name: _OtherPart(name, self._part) for name in self._others}
        embedders[self._part] = embedder
        decoder = ThreadDecoder(pool)
        extraction = PhotoExtraction(_Segmenter(detector), embedders, self._files, self._rules, decoder)
        steps = [step async for step in extraction.extract(_source(photo))]
        last = steps[-1]
        assert isinstance(last, Extracted)
        if last.failure is not None:
            return None, last.failure
        return last.animals[0].annotation.box_px, last.animals[0].embedding

    async def _embed_box(
        self, photo: LabelledPhoto, embedder: "_KeepingEmbedder", pool: ThreadPoolExecutor
    ) -> tuple[BoundingBox | None, Embedding | Failure]:
        """Cut out the data's box instead of the detector's."""
        try:
            box_px, pixels = await asyncio.get_running_loop().run_in_executor(pool, self._cut, photo)
            return box_px, await embedder.embed(pixels)
        except ItemError as error:
            return None, Failure.of(error)

    def _cut(self, photo: LabelledPhoto) -> tuple[BoundingBox, UInt8Array]:
        decoded: Photo = decode_photo(self._files.read(_source(photo)), str(photo.path), self._rules.max_pixels)
        whole = BoundingBox(0.0, 0.0, float(decoded.size_px[0]), float(decoded.size_px[1]))
        box_px = whole if self._boxes == "photo" else photo.box_px
        if box_px is None:
            raise ItemError(
                f"{photo.path}: the data has no box for it; use detected boxes, or add bbox to metadata.csv"
            )
        rules = self._rules.crops.get(self._part, CropRules())
        return box_px, crop(decoded, box_px, rules.margin, rules.size_px)


class _Segmenter:
    """The detector as the pipeline's port.

    Networks run on the event loop's own thread while others decode: OpenVINO keeps something for each thread that it
    has run on, and may crash when the network goes just as such a thread ends.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        self._network = network

    async def segment(self, pixels: UInt8Array) -> Detections:
        (answer,) = self._network.detect([pixels])
        return _or_raise(answer)


class _KeepingEmbedder:
    """The embedder as the pipeline's port; remembers the crop, which nothing else gets to see."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        self._network = network
        self.crop: UInt8Array | None = None

    async def embed(self, crop: UInt8Array) -> Embedding:
        self.crop = crop
        (answer,) = self._network.embed([crop])
        return _or_raise(answer)


class _OtherPart:
    """Stands where the service would embed another body part: as an answer about this one it is wrong."""

    def __init__(self, found: str, wanted: str) -> None:
        self._message = f"the detector takes it for a {found}, not a {wanted}"

    async def embed(self, crop: UInt8Array) -> Embedding:
        raise UnknownBodyPartError(self._message)


def _or_raise(answer: Answer | Failure) -> Answer:
    if isinstance(answer, Failure):
        raise answer.as_error()
    return answer


def _source(photo: LabelledPhoto) -> PathSource:
    return PathSource(str(photo.path), local_peer=True)


def _thumbnail(pixels: UInt8Array) -> UInt8Array:
    grey = Image.fromarray(pixels).convert("L")
    return np.array(grey.resize((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Image.Resampling.BILINEAR))


def count_failures(photos: Iterable[EmbeddedPhoto]) -> dict[str, int]:
    """Count failures by their code."""
    counts: dict[str, int] = {}
    for photo in photos:
        if photo.failure is not None:
            counts[photo.failure.code] = counts.get(photo.failure.code, 0) + 1
    return counts

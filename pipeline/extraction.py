"""The way of one photo: decode -> segment -> crop -> embed, over ports that know nothing of Ray."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, Self

from pipeline.errors import ItemError, NoAnimalError, UnknownBodyPartError, WhaleVisionError
from pipeline.model_files import ModelFolder
from pipeline.names import shown_name
from pipeline.networks.suppression import MAX_OVERLAP, suppress
from pipeline.photos.bounds import MAX_PIXELS
from pipeline.photos.decoding import Decoder, HeldPhoto, ThreadDecoder
from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import CROP_MARGIN, INPUT_SIZE_PX, box_in_photo
from pipeline.records import (
    Animals,
    Annotation,
    BoundingBox,
    Detection,
    Detections,
    Embedding,
    Extracted,
    ExtractedAnimal,
    Failure,
    PathSource,
    ReadableSource,
    Segmented,
    UInt8Array,
)
from pipeline.stored_photos import DrawnBox

logger = logging.getLogger(__name__)


class Segmenter(Protocol):
    """Finds the body parts in a photo."""

    async def segment(self, pixels: UInt8Array) -> Detections:
        """Detect.

        Args:
            pixels: (224, 224, 3) uint8 RGB, the whole photo squashed to the detector's input.

        Raises:
            UnavailableError: no answer in time.
        """
        ...


class Embedder(Protocol):
    """Turns the crop of one body part into an embedding."""

    async def embed(self, crop: UInt8Array) -> Embedding:
        """Embed.

        Args:
            crop: (224, 224, 3) uint8 RGB.

        Raises:
            UnavailableError: no answer in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class CropRules:
    """How one body part is cut out.

    Attributes:
        size_px: side of the embedder's input.
        margin: share of the box's width and height added on each side.
    """

    size_px: int = INPUT_SIZE_PX
    margin: float = CROP_MARGIN


@dataclass(frozen=True, slots=True)
class ExtractionRules:
    """What the models ask of the photos.

    Attributes:
        score_threshold: the detector's own; with `animals="all"` boxes below it are left out.
        suppression_iou: overlap above which two boxes count as one animal.
        detector_size_px: side of the detector's input.
        crops: by body part; a part that is not named is cropped as the original does.
        max_pixels: limit on a photo's pixels.
    """

    score_threshold: float = 0.5
    suppression_iou: float = MAX_OVERLAP
    detector_size_px: int = INPUT_SIZE_PX
    crops: Mapping[str, CropRules] = field(default_factory=dict)
    max_pixels: int = MAX_PIXELS

    @classmethod
    def from_models(cls, folder: ModelFolder, max_pixels: int) -> Self:
        """Take the rules from models.yaml and the service's limits."""
        return cls(
            score_threshold=folder.segmenter.score_threshold,
            suppression_iou=folder.segmenter.suppression_iou,
            detector_size_px=folder.segmenter.input_size_px,
            crops={part.name: CropRules(part.input_size_px, part.margin) for part in folder.body_parts},
            max_pixels=max_pixels,
        )


class PhotoExtraction:
    """The use case: one photo in, its animals with their embeddings out."""

    def __init__(
        self,
        segmenter: Segmenter,
        embedders: Mapping[str, Embedder],
        files: PhotoFiles,
        rules: ExtractionRules,
        decoder: Decoder | None = None,
    ) -> None:
        """Wire the ports.

        Args:
            segmenter: finds the body parts.
            embedders: by body part.
            files: which photos may be read.
            rules: what the models ask of the photos.
            decoder: decodes and crops; None takes the event loop's own threads.
        """
        self.segmenter = segmenter
        self.embedders = embedders
        self.files = files
        self.rules = rules
        self.decoder: Decoder = decoder or ThreadDecoder()

    async def extract(
        self, source: ReadableSource, animals: Animals = "best", drawn: Sequence[DrawnBox] | None = None
    ) -> AsyncIterator[Segmented | Extracted]:
        """Extract one photo.

        Args:
            source: the photo.
            animals: "best" answers the highest-scoring box whatever its score, as the original; "all" every box at or
                above the threshold that overlaps no better one.
            drawn: boxes that a person drew: these are embedded, and the segmenter is not asked.

        Yields:
            `Segmented` once, when the segmentation ended, found or not, readable or not; then `Extracted` once. An
            error of the photo or of a stage is the failure of `Extracted`; nothing is raised but a cancellation.
        """
        work = _PhotoWork(self, source, animals, drawn)
        del source  # an upload's bytes are not kept while the networks run
        failure = await _outcome(work.locate(), work.shown)
        yield Segmented()
        if failure is None:
            failure = await _outcome(work.embed(), work.shown)
        yield Extracted(work.animals if failure is None else (), failure, work.sha256)


@dataclass(frozen=True, slots=True)
class _Cut:
    """One animal's crop, (s, s, 3) uint8 RGB, on its way to its embedder."""

    annotation: Annotation
    pixels: UInt8Array


class _PhotoWork:
    """What is known of one photo so far; lets go of the pixels as soon as the crops are made."""

    def __init__(
        self, extraction: PhotoExtraction, source: ReadableSource, animals: Animals, drawn: Sequence[DrawnBox] | None
    ) -> None:
        self.shown = shown_name(_name_of(source))
        self.sha256: str | None = None
        self.animals: tuple[ExtractedAnimal, ...] = ()
        self._extraction = extraction
        self._source: ReadableSource | None = source
        self._wanted = animals
        self._drawn = drawn
        self._cuts: list[_Cut] = []

    async def locate(self) -> None:
        """Read, decode and segment the photo, and cut out the animals."""
        photo = await self._decode()
        try:
            if self._drawn is None:
                detections = await self._extraction.segmenter.segment(photo.squashed)
                self._cuts = await self._cut(photo, self._choose(detections))
            else:
                self._cuts = [await self._cut_drawn(photo, box) for box in self._drawn]
        finally:
            photo.close()

    async def embed(self) -> None:
        """Embed all crops at once."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._embed(cut)) for cut in self._cuts]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self.animals = tuple(task.result() for task in tasks)

    async def _decode(self) -> HeldPhoto:
        source, self._source = self._source, None
        assert source is not None
        read, rules = partial(self._extraction.files.read, source), self._extraction.rules
        photo = await self._extraction.decoder.decode(read, _name_of(source), rules.detector_size_px, rules.max_pixels)
        self.sha256 = photo.sha256  # told of photos only, not of any file that can be read
        return photo

    def _choose(self, detections: Detections) -> tuple[Detection, ...]:
        """Pick the boxes to answer, best first; of equal scores the detector's first one is the best, as in torch."""
        ranked = sorted(detections.items, key=lambda detection: -detection.score)
        if self._wanted == "best":
            chosen = tuple(ranked[:1])
        else:
            rules = self._extraction.rules
            confident = [detection for detection in ranked if detection.score >= rules.score_threshold]
            chosen = suppress(confident, rules.suppression_iou)
        if not chosen:
            raise NoAnimalError(f"{self.shown}: no animal was found; send a closer or clearer photo")
        return chosen

    async def _cut(self, photo: HeldPhoto, chosen: tuple[Detection, ...]) -> list[_Cut]:
        """Cut out the chosen boxes; one too small to cut out is left out unless it is the only one."""
        cuts: list[_Cut] = []
        for detection in chosen:
            box_px = box_in_photo(detection.box, photo.size_px, self._extraction.rules.detector_size_px)
            try:
                pixels = await self._crop(photo, box_px, detection.body_part)
            except NoAnimalError:
                if detection is chosen[-1] and not cuts:
                    raise
                continue
            annotation = Annotation(box_px, detection.body_part, detection.score, animal=len(cuts) + 1)
            cuts.append(_Cut(annotation, pixels))
        return cuts

    async def _cut_drawn(self, photo: HeldPhoto, box: DrawnBox) -> _Cut:
        pixels = await self._crop(photo, box.box_px, box.body_part)
        return _Cut(Annotation(box.box_px, box.body_part, None, box.animal), pixels)

    async def _crop(self, photo: HeldPhoto, box_px: BoundingBox, body_part: str) -> UInt8Array:
        wanted = self._extraction.rules.crops.get(body_part, CropRules())
        return await photo.crop(box_px, wanted.margin, wanted.size_px)

    async def _embed(self, cut: _Cut) -> ExtractedAnimal:
        body_part = cut.annotation.body_part
        embedder = self._extraction.embedders.get(body_part)
        if embedder is None:
            raise UnknownBodyPartError(f'{self.shown}: the models folder has no embedder for "{body_part}"')
        return ExtractedAnimal(cut.annotation, await embedder.embed(cut.pixels))


def _name_of(source: ReadableSource) -> str:
    return source.path if isinstance(source, PathSource) else source.name


async def _outcome(step: Awaitable[None], shown: str) -> Failure | None:
    """Run a step; returns why it failed, or None."""
    try:
        await step
    except ItemError as error:
        return Failure.of(error)
    except Exception:
        logger.exception("unexpected error with photo %s", shown)
        return Failure(WhaleVisionError.code, f"{shown}: the server failed on this photo; its log says why")
    return None

"""The stages of the service, one after the other and without the graph: what a photo costs by itself.

Two processes take part, as in the service the detector and an embedder have a process each, with all cores for threads.
What passes between the processes is not timed.
"""

import itertools
import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.material import make_models
from benchmarks.workers import worker
from deployments.resources import KEEP_FREED_MEMORY
from pipeline.model_files import load_model_folder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import box_in_photo, crop, decode_photo, detector_input
from pipeline.records import Detections, Embedding, UInt8Array
from pipeline.settings import Backend
from training.random_models import Architecture

STAGES = ("decode", "squash", "detect", "crop", "embed")

StageSeconds = dict[str, float]


@dataclass(frozen=True, slots=True)
class Cut:
    """What the first process hands to the second: a crop, its body part, and the seconds of the stages so far."""

    pixels: UInt8Array
    body_part: str
    seconds: StageSeconds


class StageWorkers:
    """The two processes."""

    def __init__(self) -> None:
        """Start them; the networks are loaded at the first photo."""
        self._finder = worker(KEEP_FREED_MEMORY)  # as the replicas'
        self._embedder = worker(KEEP_FREED_MEMORY)
        self._cores = os.cpu_count() or 1

    def close(self) -> None:
        """End them."""
        self._finder.shutdown()
        self._embedder.shutdown()

    def time_photo(self, architecture: Architecture, backend: Backend, file: Path) -> StageSeconds:
        """Run one photo through the stages; returns the seconds of each."""
        cut = self._finder.submit(find, architecture, backend, self._cores, file).result()
        return self._embedder.submit(embed, architecture, backend, self._cores, cut).result()


def find(architecture: Architecture, backend: Backend, threads: int, file: Path) -> Cut:
    """Run a photo's stages as far as the crop.

    Raises:
        RuntimeError: nothing was found in the photo.
    """
    folder = load_model_folder(make_models(architecture))
    detector = _detector(architecture, backend, threads)
    side_px = folder.segmenter.input_size_px
    times = [time.perf_counter()]
    photo = decode_photo(file.read_bytes(), str(file))
    times.append(time.perf_counter())
    pixels = detector_input(photo, side_px)
    times.append(time.perf_counter())
    found = detector.detect([pixels])[0]
    times.append(time.perf_counter())
    if not isinstance(found, Detections) or not found.items:
        raise RuntimeError(f"{file}: the random models find nothing in it")
    part = folder.part(found.items[0].body_part)
    box_px = box_in_photo(found.items[0].box, photo.size_px, side_px)
    cut = crop(photo, box_px, part.margin, part.input_size_px)
    times.append(time.perf_counter())
    spans = [end - start for start, end in itertools.pairwise(times)]
    return Cut(cut, part.name, dict(zip(STAGES, spans, strict=False)))


def embed(architecture: Architecture, backend: Backend, threads: int, cut: Cut) -> StageSeconds:
    """Run the last stage; returns the seconds of all.

    Raises:
        RuntimeError: the embedder failed.
    """
    embedder = _embedder(architecture, backend, threads, cut.body_part)
    start = time.perf_counter()
    embedded = embedder.embed([cut.pixels])[0]
    seconds = time.perf_counter() - start
    if not isinstance(embedded, Embedding):
        raise RuntimeError(embedded.message)
    return {**cut.seconds, "embed": seconds}


@cache
def _detector(architecture: Architecture, backend: Backend, threads: int) -> SegmentationNetwork:
    detector = SegmentationNetwork(load_model_folder(make_models(architecture)), "cpu", backend, threads)
    detector.warm_up()
    return detector


@cache
def _embedder(architecture: Architecture, backend: Backend, threads: int, part: str) -> EmbeddingNetwork:
    embedder = EmbeddingNetwork(load_model_folder(make_models(architecture)), part, "cpu", backend, threads)
    embedder.warm_up()
    return embedder

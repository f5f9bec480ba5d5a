"""The stages of the service, one after the other in one process: what a photo costs without the graph around them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from pipeline.embedding import EmbeddingNetwork
from pipeline.images import box_in_photo, crop, decode_photo, detector_input
from pipeline.model_files import ModelFolder, load_model_folder
from pipeline.records import Detections, Embedding
from pipeline.segmentation import SegmentationNetwork
from pipeline.settings import Backend

Result = TypeVar("Result")
StageSeconds = dict[str, float]

STAGES = ("decode", "squash", "detect", "crop", "embed")


class Stages:
    """The networks of a models folder with the service's threads: the detector all cores, an embedder half of them."""

    def __init__(self, models_dir: Path, backend: Backend, cores: int) -> None:
        """Load and warm up."""
        self._folder: ModelFolder = load_model_folder(models_dir)
        self._threads = {"detect": cores, "embed": max(1, cores // 2)}
        self._detector = SegmentationNetwork(self._folder, "cpu", backend, cores)
        self._embedders = {
            part: EmbeddingNetwork(self._folder, part, "cpu", backend, self._threads["embed"])
            for part in self._folder.body_part_names
        }
        self._detector.warm_up()
        for embedder in self._embedders.values():
            embedder.warm_up()

    def time_photo(self, file: Path) -> StageSeconds:
        """Extract one photo and return the seconds of each stage.

        Raises:
            RuntimeError: nothing was found in the photo.
        """
        seconds: StageSeconds = {}

        def timed(stage: str, work: Callable[[], Result]) -> Result:
            torch.set_num_threads(self._threads.get(stage, 1))  # one process here, one for each network in the service
            start = time.perf_counter()
            result = work()
            seconds[stage] = time.perf_counter() - start
            return result

        photo = timed("decode", lambda: decode_photo(file.read_bytes(), str(file)))
        pixels = timed("squash", lambda: detector_input(photo, self._folder.segmenter.input_size_px))
        found = timed("detect", lambda: self._detector.detect([pixels]))[0]
        if not isinstance(found, Detections) or not found.items:
            raise RuntimeError(f"{file}: the random models find nothing in it")
        best = found.items[0]
        part = self._folder.part(best.body_part)
        box_px = box_in_photo(best.box, photo.size_px, self._folder.segmenter.input_size_px)
        cut = timed("crop", lambda: crop(photo, box_px, part.margin, part.input_size_px))
        embedded = timed("embed", lambda: self._embedders[best.body_part].embed([cut]))[0]
        if not isinstance(embedded, Embedding):
            raise RuntimeError(f"{file}: {embedded.message}")
        return seconds

"""Networks without torch: deterministic answers from the pixels, after a set time. For tests of the machinery."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from pipeline.records import BoundingBox, Detection, Detections, Embedding, Failure, UInt8Array

DIMENSION = 8


@dataclass(frozen=True)
class Journal:
    """Notes in a folder when each process begins and ends a call of a network, so that a test can kill one between."""

    folder: Path | None = None

    @contextmanager
    def call(self) -> Iterator[None]:
        self._note("(")
        yield
        self._note(")")

    def calls(self, process: int) -> str:
        """The calls of one process, such as "()()(": the last one still runs, or never ended."""
        file = self._file(process)
        return file.read_text() if file.exists() else ""

    def _note(self, what: str) -> None:
        if self.folder is not None:
            with self._file(os.getpid()).open("a") as file:
                file.write(what)

    def _file(self, process: int) -> Path:
        assert self.folder is not None
        return self.folder / str(process)


@dataclass(frozen=True)
class StubDetector:
    """A box in the middle of every photo that is not all of one colour; bright photos are the second body part."""

    body_parts: tuple[str, ...]
    seconds: float
    journal: Journal = Journal()
    model: str = "stub-detector"
    engine: str = "stub"

    def detect(self, photos: Sequence[UInt8Array]) -> Sequence[Detections | Failure]:
        with self.journal.call():
            time.sleep(self.seconds * len(photos))
        return [self._detect(photo) for photo in photos]

    def _detect(self, photo: UInt8Array) -> Detections:
        if photo.min() == photo.max():
            return Detections((), self.model)
        part = self.body_parts[-1] if photo.mean() > 128 else self.body_parts[0]
        box = BoundingBox(56.0, 56.0, 168.0, 168.0)
        return Detections((Detection(box, part, 0.9),), self.model)


@dataclass(frozen=True)
class StubEmbedder:
    """Mean brightness of eight stripes of the crop, normalised."""

    model: str
    seconds: float
    journal: Journal = Journal()
    engine: str = "stub"

    def embed(self, crops: Sequence[UInt8Array]) -> Sequence[Embedding | Failure]:
        with self.journal.call():
            time.sleep(self.seconds * len(crops))
        return [self._embed(crop) for crop in crops]

    def _embed(self, crop: UInt8Array) -> Embedding:
        stripes = np.array([part.mean() + 1.0 for part in np.array_split(crop, DIMENSION)], dtype=np.float32)
        return Embedding(stripes / np.linalg.norm(stripes), self.model)


@dataclass(frozen=True)
class StubNetworks:
    """Stands in for `deployments.networks.LoadedNetworks`."""

    models_dir: Path
    body_parts: tuple[str, ...] = ("fluke", "flank")
    detector_seconds: float = 0.0
    embedder_seconds: float = 0.0
    last_part_seconds: float = 0.0
    """What the last body part's embedder, which bright photos go to, takes in addition."""
    journal: Journal = Journal()

    def ranking_device(self, device: str) -> str:
        """The CPU, also where GPUs are pretended."""
        return "cpu"

    def detector(self, device: str, threads: int) -> StubDetector:
        return StubDetector(self.body_parts, self.detector_seconds, self.journal)

    def embedder(self, body_part: str, device: str, threads: int) -> StubEmbedder:
        from pipeline.model_files import load_model_folder, short_hash

        model = short_hash(load_model_folder(self.models_dir).embedder_file(body_part))
        more_seconds = self.last_part_seconds if body_part == self.body_parts[-1] else 0.0
        return StubEmbedder(model, self.embedder_seconds + more_seconds, self.journal)


def make_stub_folder(folder: Path, body_parts: Sequence[str] = ("fluke", "flank")) -> Path:
    """Make a models folder whose weight files hold nothing; only stub networks can serve it."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [{"name": part, "dimension": DIMENSION, "architecture": "narrow_resnet"} for part in body_parts]
    (folder / "models.yaml").write_text(yaml.safe_dump({"provenance": "stub", "body_parts": parts}))
    for name in ("segmentation.pth", *(f"pm_{part}.pth" for part in body_parts)):
        (folder / name).write_bytes(name.encode())
    return folder

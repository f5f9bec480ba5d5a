"""The way of one photo over fake ports: two steps exactly, and every error is that photo's outcome."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UnavailableError
from pipeline.extraction import CropRules, ExtractionRules, PhotoExtraction
from pipeline.photos.decoding import HeldPhoto, ThreadDecoder
from pipeline.photos.files import PhotoFiles
from pipeline.photos.process_decoder import ProcessDecoder
from pipeline.records import (
    Animals,
    BoundingBox,
    Detection,
    Detections,
    Embedding,
    Extracted,
    PathSource,
    PhotoSource,
    Segmented,
    UInt8Array,
    UploadSource,
)
from tests.unit.photos.photo_files_made import saved

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def photo_bytes() -> bytes:
    """448x224: a red, a green and a blue third."""
    pixels = np.zeros((224, 448, 3), np.uint8)
    pixels[:, :150], pixels[:, 150:300], pixels[:, 300:] = RED, GREEN, BLUE
    return saved(Image.fromarray(pixels), "PNG")


def found(x_min: float, x_max: float, score: float, body_part: str = "fluke") -> Detection:
    return Detection(BoundingBox(x_min, 50.0, x_max, 150.0), body_part, score)


class FakeSegmenter:
    """Answers with given boxes, or raises a given error."""

    def __init__(self, answer: Sequence[Detection] | Exception) -> None:
        self.answer = answer
        self.seen: list[UInt8Array] = []

    async def segment(self, pixels: UInt8Array) -> Detections:
        self.seen.append(pixels)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Detections(tuple(self.answer), model="d")


class ColourEmbedder:
    """The embedding of a crop is its mean colour."""

    def __init__(self, model: str, error: Exception | None = None) -> None:
        self.model = model
        self.error = error
        self.running = 0
        self.most_at_once = 0
        self.shapes: list[tuple[int, ...]] = []

    async def embed(self, crop: UInt8Array) -> Embedding:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        await asyncio.sleep(0.01)
        self.running -= 1
        self.shapes.append(crop.shape)
        if self.error is not None:
            raise self.error
        return Embedding(crop.mean(axis=(0, 1)).astype(np.float32), self.model)


def extraction(
    answer: Sequence[Detection] | Exception,
    *,
    fluke: ColourEmbedder | None = None,
    rules: ExtractionRules | None = None,
) -> PhotoExtraction:
    embedders = {"fluke": fluke or ColourEmbedder("k"), "flank": ColourEmbedder("n")}
    return PhotoExtraction(FakeSegmenter(answer), embedders, PhotoFiles(), rules or ExtractionRules())


async def result(work: PhotoExtraction, source: PhotoSource | None = None, animals: Animals = "best") -> Extracted:
    """Run one photo; checks that its two steps come once each, in order."""
    source = UploadSource("a.png", photo_bytes()) if source is None else source
    first, second = [step async for step in work.extract(source, animals)]
    assert isinstance(first, Segmented)
    assert isinstance(second, Extracted)
    assert (second.failure is None) == bool(second.animals)
    return second


def failure_code(extracted: Extracted) -> str:
    assert extracted.failure is not None
    return extracted.failure.code


async def test_best_box_is_cut_out_and_embedded_by_its_body_part() -> None:
    extracted = await result(extraction([found(80, 140, 0.3), found(5, 60, 0.9, "flank")]))
    (animal,) = extracted.animals
    assert animal.annotation.body_part == "flank"
    assert animal.annotation.score == 0.9
    assert animal.annotation.animal == 1
    assert animal.annotation.box_px.xyxy() == (10.0, 50.0, 120.0, 150.0)  # 224 -> 448 wide, 224 high
    assert animal.embedding.model == "n"
    assert animal.embedding.values.tolist() == list(RED)
    assert extracted.sha256 == hashlib.sha256(photo_bytes()).hexdigest()


async def test_best_box_counts_whatever_its_score() -> None:
    extracted = await result(extraction([found(80, 140, 0.06)]))
    assert extracted.animals[0].embedding.values.tolist() == list(GREEN)


async def test_of_equal_scores_the_detectors_first_box_is_the_best() -> None:
    extracted = await result(extraction([found(80, 140, 0.5), found(5, 60, 0.5)]))
    assert extracted.animals[0].embedding.values.tolist() == list(GREEN)


async def test_detector_sees_the_whole_photo_squashed() -> None:
    work = extraction([found(5, 60, 0.9)], rules=ExtractionRules(detector_size_px=112, crops={"fluke": CropRules(64)}))
    fluke = work.embedders["fluke"]
    await result(work)
    assert isinstance(work.segmenter, FakeSegmenter)
    assert isinstance(fluke, ColourEmbedder)
    assert work.segmenter.seen[0].shape == (112, 112, 3)
    assert work.segmenter.seen[0][60, 10].tolist() == list(RED)
    assert fluke.shapes == [(64, 64, 3)]


async def test_all_animals_come_best_first_without_weak_and_doubled_boxes() -> None:
    boxes = [found(5, 60, 0.6), found(80, 140, 0.9, "flank"), found(82, 141, 0.8), found(160, 220, 0.49)]
    extracted = await result(extraction(boxes), animals="all")
    assert [animal.annotation.animal for animal in extracted.animals] == [1, 2]
    assert [animal.annotation.score for animal in extracted.animals] == [0.9, 0.6]
    assert [animal.embedding.values.tolist() for animal in extracted.animals] == [list(GREEN), list(RED)]
    assert [animal.embedding.model for animal in extracted.animals] == ["n", "k"]


async def test_a_box_at_the_threshold_is_answered() -> None:
    work = extraction([found(5, 60, 0.7)], rules=ExtractionRules(score_threshold=0.7))
    assert len((await result(work, animals="all")).animals) == 1


async def test_animals_of_one_photo_are_embedded_at_once() -> None:
    fluke = ColourEmbedder("k")
    await result(extraction([found(5, 60, 0.6), found(80, 140, 0.9)], fluke=fluke), animals="all")
    assert fluke.most_at_once == 2


@pytest.mark.parametrize(("boxes", "animals"), [([], "best"), ([], "all"), ([found(5, 60, 0.2)], "all")])
async def test_no_box_is_no_animal_and_the_photo_is_named(boxes: list[Detection], animals: Animals) -> None:
    extracted = await result(extraction(boxes), animals=animals)
    assert failure_code(extracted) == "no_animal"
    assert extracted.failure is not None
    assert extracted.failure.message.startswith("a.png: ")
    assert extracted.sha256 is not None


async def test_box_too_small_to_cut_out_is_no_animal() -> None:
    assert failure_code(await result(extraction([found(5.0, 5.01, 0.9)]))) == "no_animal"


async def test_box_too_small_to_cut_out_does_not_sink_the_others() -> None:
    extracted = await result(extraction([found(5.0, 5.01, 0.9), found(80, 140, 0.8)]), animals="all")
    assert [animal.annotation.score for animal in extracted.animals] == [0.8]
    assert extracted.animals[0].annotation.animal == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "unreadable"), (b"text", "unsupported"), (photo_bytes()[:300], "unreadable"), (b"FOVb", "unsupported")],
)
async def test_bad_photo_ends_both_steps_and_its_hash_is_not_told(content: bytes, code: str) -> None:
    work = extraction([found(5, 60, 0.9)])
    extracted = await result(work, UploadSource("b.jpg", content))
    assert failure_code(extracted) == code
    assert extracted.sha256 is None
    assert isinstance(work.segmenter, FakeSegmenter)
    assert work.segmenter.seen == []


async def test_too_many_pixels_are_too_large() -> None:
    work = extraction([found(5, 60, 0.9)], rules=ExtractionRules(max_pixels=1000))
    assert failure_code(await result(work)) == "too_large"


class ClosedPhotos:
    """A decoder that tells how many of the photos that it decoded are still held."""

    def __init__(self) -> None:
        self.held = 0

    async def decode(self, *arguments: Any) -> HeldPhoto:
        photo = await ThreadDecoder().decode(*arguments)
        self.held += 1
        really_close = photo.close

        def close() -> None:
            self.held -= 1
            really_close()

        return cast(HeldPhoto, SimpleNamespace(**values(photo), crop=photo.crop, close=close))


def values(photo: HeldPhoto) -> dict[str, Any]:
    return {"size_px": photo.size_px, "sha256": photo.sha256, "squashed": photo.squashed}


@pytest.mark.parametrize(
    "answer",
    [
        [found(5, 60, 0.9)],
        [],
        [found(5.0, 5.01, 0.9)],
        [found(5, 60, 0.9, "fin")],
        UnavailableError("away"),
        RuntimeError("bug"),
    ],
)
async def test_decoded_photo_is_let_go_whatever_becomes_of_it(answer: list[Detection] | Exception) -> None:
    decoder = ClosedPhotos()
    embedders = {"fluke": LateEmbedder(decoder)}
    await result(PhotoExtraction(FakeSegmenter(answer), embedders, PhotoFiles(), ExtractionRules(), decoder))
    assert decoder.held == 0


class LateEmbedder(ColourEmbedder):
    """Sees whether the photo is held while its crop is embedded."""

    def __init__(self, decoder: ClosedPhotos) -> None:
        super().__init__("k")
        self.decoder = decoder

    async def embed(self, crop: UInt8Array) -> Embedding:
        assert self.decoder.held == 0
        return await super().embed(crop)


async def test_photo_is_extracted_alike_by_decoding_processes() -> None:
    decoder = ProcessDecoder(2**32, timeout_s=20.0)
    boxes = [found(80, 140, 0.3), found(5, 60, 0.9), found(5.0, 5.01, 0.8)]
    in_process = extraction(boxes)
    in_process.decoder = decoder
    by_processes, by_threads = [await result(work, animals="all") for work in (in_process, extraction(boxes))]
    decoder.close()
    assert by_processes.sha256 == by_threads.sha256
    assert [animal.annotation for animal in by_processes.animals] == [a.annotation for a in by_threads.animals]
    assert [a.embedding.values.tolist() for a in by_processes.animals] == [list(RED)]


async def test_photo_on_disk_is_read_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "wal\u00fd.png"
    file.write_bytes(photo_bytes())
    extracted = await result(extraction([found(5, 60, 0.9)]), PathSource(str(file), local_peer=True))
    assert extracted.failure is None
    assert extracted.sha256 == hashlib.sha256(photo_bytes()).hexdigest()


async def test_missing_photo_has_no_hash(tmp_path: Path) -> None:
    extracted = await result(extraction([]), PathSource(str(tmp_path / "gone.jpg"), local_peer=True))
    assert failure_code(extracted) == "not_found"
    assert extracted.sha256 is None


async def test_segmenter_that_is_away_is_the_photos_outcome() -> None:
    extracted = await result(extraction(UnavailableError("the segmenter restarts; try again")))
    assert failure_code(extracted) == "unavailable"
    assert extracted.animals == ()


@pytest.mark.parametrize("animals", ["best", "all"])
async def test_embedder_that_is_away_is_the_photos_outcome(animals: Animals) -> None:
    fluke = ColourEmbedder("k", UnavailableError("the embedder restarts; try again"))
    boxes = [found(5, 60, 0.9), found(80, 140, 0.8, "flank")]
    assert failure_code(await result(extraction(boxes, fluke=fluke), animals=animals)) == "unavailable"


async def test_body_part_without_embedder_is_an_outcome() -> None:
    assert failure_code(await result(extraction([found(5, 60, 0.9, "fin")]))) == "unknown_body_part"


@pytest.mark.parametrize("stage", ["segmenter", "embedder"])
async def test_unexpected_error_is_internal_and_logged_and_tells_nothing(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = RuntimeError("secret of the server")
    work = (
        extraction(error) if stage == "segmenter" else extraction([found(5, 60, 0.9)], fluke=ColourEmbedder("k", error))
    )
    with caplog.at_level(logging.ERROR):
        extracted = await result(work)
    assert failure_code(extracted) == "internal"
    assert extracted.failure is not None
    assert "a.png" in extracted.failure.message
    assert "secret" not in extracted.failure.message
    assert "secret of the server" in caplog.text


async def test_cancellation_is_passed_on_and_stops_the_stage() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    class Hanging(FakeSegmenter):
        async def segment(self, pixels: UInt8Array) -> Detections:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            raise AssertionError("never reached")

    work = PhotoExtraction(Hanging([]), {}, PhotoFiles(), ExtractionRules())
    task = asyncio.create_task(result(work))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()

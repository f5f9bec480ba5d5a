"""Crops as the service makes them, kept in a store; their variations; rendered ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UnavailableError
from pipeline.photos.images import Photo, crop
from pipeline.records import BoundingBox, Failure
from training.embedder import boxes
from training.embedder.augmentation import CropAugmentation, CropAugmenter
from training.embedder.boxes import cutter, detected_box, given_box
from training.embedder.crops import Crop, CropStore, Cut
from training.embedder.rendering import renderer, synthetic_photos
from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto

STILL = CropAugmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200, 3), dtype=np.uint8)
    return Photo("a.jpg", Image.fromarray(pixels))


def test_an_exact_crop_is_the_services(photo):
    box = BoundingBox(50.0, 20.0, 150.0, 80.0)
    made = Cut(64, 0.01).apply(photo, box)
    assert np.array_equal(made.pixels, crop(photo, box, 0.01, 64))
    assert made.box.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_a_wide_crop_knows_where_the_services_crop_lies_in_it(photo):
    made = Cut(80, 0.0, 0.25).apply(photo, BoundingBox(50.0, 20.0, 150.0, 80.0))
    # 25 px of room left and right of 100, 15 px above and below of 60
    assert made.box == pytest.approx([25 / 150, 15 / 90, 125 / 150, 75 / 90])


def test_room_ends_at_the_photos_edge(photo):
    made = Cut(80, 0.0, 0.25).apply(photo, BoundingBox(0.0, 0.0, 100.0, 60.0))
    assert made.box == pytest.approx([0.0, 0.0, 100 / 125, 60 / 75])


def test_without_variation_the_box_itself_comes_out():
    picture = np.zeros((80, 80, 3), dtype=np.uint8)
    picture[20:60, 10:50] = 200
    box = np.array([10 / 80, 20 / 80, 50 / 80, 60 / 80], dtype=np.float32)
    out = CropAugmenter(40, STILL).vary(picture, box, False, np.random.default_rng(0))
    assert (out[1:-1, 1:-1] == 200).all()


def test_mirroring_turns_left_and_right():
    picture = np.zeros((40, 40, 3), dtype=np.uint8)
    picture[:, :20] = 200
    whole = np.array([0, 0, 1, 1], dtype=np.float32)
    out = CropAugmenter(40, STILL).vary(picture, whole, True, np.random.default_rng(0))
    assert (out[:, 22:] == 200).all()
    assert (out[:, :18] == 0).all()


def test_variations_depend_on_their_generator_only():
    picture = cv2.resize(np.random.default_rng(1).integers(0, 255, (9, 9, 3), dtype=np.uint8), (80, 80))
    box = np.array([0.1, 0.1, 0.9, 0.9], dtype=np.float32)
    vary = CropAugmenter(64).vary
    seen = [vary(picture, box, False, np.random.default_rng(seed)) for seed in range(30)]
    again = [CropAugmenter(64).vary(picture, box, False, np.random.default_rng(seed)) for seed in range(30)]
    assert all(np.array_equal(one, other) for one, other in zip(seen, again, strict=True))
    assert len({one.tobytes() for one in seen}) == 30
    assert {(one.shape, one.dtype.name) for one in seen} == {((64, 64, 3), "uint8")}


def test_a_store_goes_on_where_it_was_left(tmp_path):
    asked = []

    def make(numbers):
        for number in numbers:
            asked.append(number)
            if number == 3 and len(asked) < 5:
                raise KeyboardInterrupt
            yield None if number == 1 else Crop(np.full((8, 8, 3), number, np.uint8), np.ones(4, np.float32))

    with pytest.raises(KeyboardInterrupt):
        CropStore.prepare(tmp_path, {"a": 1}, 5, 8).fill(make, "test")
    have = CropStore.prepare(tmp_path, {"a": 1}, 5, 8).fill(make, "test")
    assert asked == [0, 1, 2, 3, 3, 4]
    assert have.tolist() == [True, False, True, True, True]
    assert CropStore(tmp_path).pixels[:, 0, 0, 0].tolist() == [0, 0, 2, 3, 4]


def test_a_store_of_other_crops_is_made_anew(tmp_path):
    fill = Crop(np.full((8, 8, 3), 7, np.uint8), np.ones(4, np.float32))
    CropStore.prepare(tmp_path, {"a": 1}, 2, 8).fill(lambda numbers: (fill for _ in numbers), "test")
    asked = []

    def make(numbers):
        for number in numbers:
            asked.append(number)
            yield fill

    CropStore.prepare(tmp_path, {"a": 2}, 2, 8).fill(make, "test")
    assert asked == [0, 1]


def test_a_set_without_any_animal_is_an_error(tmp_path):
    with pytest.raises(TrainingDataError, match="no animal was found in any of 2 photos"):
        CropStore.prepare(tmp_path, {}, 2, 8).fill(lambda numbers: (None for _ in numbers), "test")


def test_crops_come_from_the_datas_boxes_and_else_from_whole_photos(tmp_path, photo):
    photo.image.save(tmp_path / "a.png")
    box = BoundingBox(50.0, 20.0, 150.0, 80.0)
    labelled = [
        LabelledPhoto(tmp_path / "a.png", "Ada", "fluke", box),
        LabelledPhoto(tmp_path / "a.png", "Ada", "fluke"),
    ]
    boxed, whole = cutter(labelled, given_box, Cut(32, 0.0))(range(2))
    assert np.array_equal(boxed.pixels, crop(photo, box, 0.0, 32))
    assert np.array_equal(whole.pixels, crop(photo, BoundingBox(0.0, 0.0, 200.0, 100.0), 0.0, 32))


class BrokenDetector:
    """Answers no picture."""

    def detect(self, pictures):
        return [Failure("unavailable", "out of memory") for _ in pictures]


def test_a_detector_that_fails_stops_the_training_with_its_reason(photo, tmp_path, monkeypatch):
    (tmp_path / "segmentation.pth").touch()
    monkeypatch.setattr(boxes, "SegmentationNetwork", lambda folder, device: BrokenDetector())
    locate = detected_box(tmp_path)
    with pytest.raises(UnavailableError, match=r"a\.jpg: out of memory"):
        locate(photo, LabelledPhoto(Path("a.jpg"), "I0", "fluke"))


def test_rendered_crops_are_the_same_every_time_and_flanks_take_turns_in_sides():
    photos = synthetic_photos(1, "flank", range(2), 1)
    first, again = (list(renderer(photos, Cut(32, 0.01), 160, 1)(range(2))) for _ in range(2))
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(first, again, strict=True))
    labelled = [photo.labelled() for photo in photos]
    assert [one.label for one in labelled] == ["P00000 (left)", "P00001 (right)"]
    assert labelled[0].path == Path("rendered/P00000-E0000.jpg")

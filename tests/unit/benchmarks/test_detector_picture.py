"""The picture of a detector's boxes: where they are drawn and how thick."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.detector_picture import COLOURS, THICK_PX, THIN_PX, Looked, draw, look, main
from pipeline.model_files import ModelFolder
from pipeline.photos.images import Photo
from pipeline.records import BoundingBox, Detection

GREY = (90, 90, 90)
PARTS = ("fluke", "flank")


def looked(size_px: tuple[int, int], *found: Detection) -> Looked:
    return Looked(Photo("photo.png", Image.new("RGB", size_px, GREY)), found)


def run_down(picture: Image.Image, x_px: int, y_px: int, colour: tuple[int, int, int]) -> int:
    """Count pixels of a colour from a point downwards."""
    column = np.asarray(picture)[y_px:, x_px]
    other = np.flatnonzero((column != colour).any(axis=1))
    return int(other[0]) if len(other) else len(column)


@pytest.mark.parametrize(("score", "thickness_px"), [(0.9, THICK_PX), (0.8, THICK_PX), (0.79, THIN_PX)])
def test_boxes_from_the_threshold_on_are_thick(score: float, thickness_px: int) -> None:
    box = Detection(BoundingBox(100.0, 80.0, 400.0, 200.0), "flank", score)
    picture = draw([looked((500, 300), box)], 0.8, PARTS, 500)
    assert picture.size == (500, 300)
    x_px = 350  # right of the words
    assert picture.getpixel((x_px, 79)) == GREY
    assert run_down(picture, x_px, 80, COLOURS[1]) == thickness_px
    assert picture.getpixel((x_px, 140)) == GREY
    assert run_down(picture, x_px, 201 - thickness_px, COLOURS[1]) == thickness_px
    assert picture.getpixel((x_px, 201)) == GREY
    assert picture.getpixel((100, 140)) == COLOURS[1]
    assert picture.getpixel((400, 140)) == COLOURS[1]
    assert picture.getpixel((99, 140)) == picture.getpixel((401, 140)) == GREY


def test_photos_shrink_to_one_height_side_by_side_with_their_boxes() -> None:
    first = looked((800, 400), Detection(BoundingBox(0.0, 200.0, 400.0, 300.0), "fluke", 0.9))
    second = looked((800, 800), Detection(BoundingBox(400.0, 400.0, 720.0, 640.0), "flank", 0.9))
    picture = draw([first, second], 0.5, PARTS, 608)  # (608 - 8) / (2 + 1): 200 high, 400 + 8 + 200 wide
    assert picture.size == (608, 200)
    assert picture.getpixel((403, 100)) == (255, 255, 255)
    assert picture.getpixel((200, 120)) == COLOURS[0]  # right edge of the first box: 400 / 2
    assert picture.getpixel((408 + 100, 130)) == COLOURS[1]  # left edge of the second: 400 / 4
    assert picture.getpixel((408 + 180, 130)) == COLOURS[1]


def test_small_photos_are_not_enlarged() -> None:
    assert draw([looked((100, 60)), looked((300, 90))], 0.5, PARTS, 1200).size == (100 + 8 + 200, 60)


def words_columns(x_px: float) -> np.ndarray:
    """Return where the words' ground lies in the top of a picture 300 px wide, for a narrow box in its top."""
    corner = Detection(BoundingBox(x_px, 0.0, x_px + 19.0, 90.0), "fluke", 0.9)
    top = np.asarray(draw([looked((300, 100), corner)], 0.5, PARTS, 300))[1]
    return np.flatnonzero((top == COLOURS[0]).all(axis=1))


def test_words_stay_inside_the_picture() -> None:
    at_left, at_right = words_columns(0.0), words_columns(280.0)
    assert len(at_left) > 40  # wider than the box
    assert at_left.tolist() == list(range(len(at_left)))
    assert at_right.tolist() == list(range(300 - len(at_left), 300))


def save_noise(file: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def test_boxes_are_the_detectors_in_pixels_of_the_photo(tmp_path: Path, narrow_folder: ModelFolder) -> None:
    save_noise(tmp_path / "a.png", 1)
    (one,) = look([tmp_path / "a.png"], narrow_folder, 0.0, threads=1)
    assert one.photo.size_px == (90, 60)
    assert one.found
    assert [box.score for box in one.found] == sorted((box.score for box in one.found), reverse=True)
    edges = np.array([box.box.xyxy() for box in one.found])
    assert (edges >= -0.01).all()
    assert (edges[:, [0, 2]] <= 90.01).all()
    assert (edges[:, [1, 3]] <= 60.01).all()
    highest = one.found[0].score
    (none,) = look([tmp_path / "a.png"], narrow_folder, highest + 1e-3, threads=1)
    assert none.found == ()


def test_the_command_writes_a_jpeg_and_prints_its_boxes(
    tmp_path: Path, narrow_folder: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, file in enumerate(photos):
        save_noise(file, seed)
    arguments = ["--models", str(narrow_folder.path), "--out", str(tmp_path / "boxes.jpg"), "--threads", "1"]
    assert main([*arguments, "--least", "1", *map(str, photos)]) == 0
    with Image.open(tmp_path / "boxes.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (90 + 8 + 90, 60))
    printed = capsys.readouterr().out
    assert "| a.png | nothing above 1 |" in printed
    assert "boxes.jpg: 188x60 pixels" in printed


def test_a_missing_photo_is_named(
    tmp_path: Path, narrow_folder: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--models", str(narrow_folder.path), "--out", str(tmp_path / "boxes.jpg")]
    assert main([*arguments, str(tmp_path / "nowhere.jpg")]) == 1
    assert "nowhere.jpg" in capsys.readouterr().err
    assert not (tmp_path / "boxes.jpg").exists()

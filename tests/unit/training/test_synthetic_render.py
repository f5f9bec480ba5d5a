"""Rendered photos: same bytes again, dates, what an animal changes in a picture and what it leaves alone."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from training.synthetic.camera import encode_jpeg
from training.synthetic.individuals import BodyPart, Individual, Population
from training.synthetic.plans import Encounter, PhotoPlan, visible_masks
from training.synthetic.render import render_jpeg, render_pixels, render_radiance, scene_of
from training.synthetic.views import plan_empty, plan_photo

WIDTH, HEIGHT = 640, 427
EXIF_DATE_TIME, EXIF_IFD, EXIF_ORIGINAL = 0x0132, 0x8769, 0x9003


def photo(number: int, part: BodyPart = "fluke", encounter: int = 0) -> PhotoPlan:
    return plan_photo(Encounter(Individual(12, Population.TRAIN, number), encounter), 0, part)


@pytest.mark.parametrize("part", ["fluke", "flank"])
def test_same_photo_is_the_same_bytes_again(part: BodyPart) -> None:
    assert render_jpeg(photo(1, part), 320, 213) == render_jpeg(photo(1, part), 320, 213)


def test_another_process_renders_the_same_bytes() -> None:
    here = [hashlib.sha256(render_jpeg(photo(number), 320, 213)).hexdigest() for number in (2, 3)]
    program = (
        "import hashlib\n"
        "from training.synthetic.individuals import Individual, Population\n"
        "from training.synthetic.plans import Encounter\n"
        "from training.synthetic.render import render_jpeg\n"
        "from training.synthetic.views import plan_photo\n"
        "for number in (3, 2):\n"
        "    plan = plan_photo(Encounter(Individual(12, Population.TRAIN, number), 0), 0, 'fluke')\n"
        "    print(hashlib.sha256(render_jpeg(plan, 320, 213)).hexdigest())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == here[::-1]


@pytest.mark.parametrize("size", [(320, 213), (1000, 667)])
def test_jpeg_has_the_size_asked_for(size: tuple[int, int]) -> None:
    with Image.open(BytesIO(render_jpeg(photo(1), *size))) as picture:
        assert picture.size == size
        assert picture.format == "JPEG"


def test_exif_holds_the_encounters_date() -> None:
    plan = photo(1)
    with Image.open(BytesIO(render_jpeg(plan, 160, 107))) as picture:
        exif = picture.getexif()
    text = plan.taken.strftime("%Y:%m:%d %H:%M:%S")
    assert exif[EXIF_DATE_TIME] == text
    assert exif.get_ifd(EXIF_IFD)[EXIF_ORIGINAL] == text


def test_encoded_picture_reads_back_in_the_same_colours() -> None:
    red = np.zeros((40, 60, 3), np.uint8)
    red[..., 0] = 200
    with Image.open(BytesIO(encode_jpeg(red, 95, datetime(2020, 5, 17, 8, 30, 1)))) as picture:
        values = np.asarray(picture)
    np.testing.assert_allclose(values.mean(axis=(0, 1)), (200, 0, 0), atol=3)


def radiance(plan: PhotoPlan) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    scene = replace(scene_of(plan.encounter), birds=0.0, boats=0.0, spray=0.0)
    return render_radiance(plan, WIDTH, HEIGHT, scene, np.random.default_rng(4))


@pytest.mark.parametrize("part", ["fluke", "flank"])
@pytest.mark.parametrize("number", range(3))
def test_animal_changes_its_own_pixels_and_none_of_the_air_around_it(number: int, part: BodyPart) -> None:
    plan = photo(number, part)
    mask = visible_masks(plan, WIDTH, HEIGHT)[0]
    changed = np.abs(radiance(plan) - radiance(replace(plan, animals=()))).max(axis=2) > 1e-3
    assert changed[mask > 0].mean() > 0.97
    rows = np.flatnonzero(mask.any(axis=1))
    upper = np.arange(HEIGHT) < rows[0] + (rows[-1] - rows[0]) * 0.3
    near = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
    assert (changed & ~near)[upper].mean() < 0.002


def test_radiance_is_finite_and_not_negative() -> None:
    for number in range(4):
        picture = radiance(photo(number))
        assert np.isfinite(picture).all()
        assert picture.min() >= 0.0


def test_photos_use_the_range_of_a_photo() -> None:
    for number in range(4):
        pixels = render_pixels(photo(number), 320, 213)
        assert pixels.dtype == np.uint8
        assert 50 < pixels.mean() < 210
        assert pixels.std() > 5


def test_photos_of_one_encounter_share_light_and_sea_and_other_encounters_do_not() -> None:
    first, second = photo(1).encounter, photo(1, "flank").encounter
    assert scene_of(first) == scene_of(second)
    assert scene_of(photo(1, encounter=1).encounter) != scene_of(first)


def test_larger_photo_is_the_same_view_with_more_detail() -> None:
    plan = replace(photo(6), animals=photo(6).animals)
    small, large = render_pixels(plan, 320, 213), render_pixels(plan, 1280, 854)
    shrunk = cv2.resize(large, (320, 213), interpolation=cv2.INTER_AREA)
    mask = cv2.erode(visible_masks(plan, 320, 213)[0], np.ones((5, 5), np.uint8)) > 0
    assert abs(float(small[mask].mean()) - float(shrunk[mask].mean())) < 25
    enlarged = cv2.resize(small, (1280, 854), interpolation=cv2.INTER_CUBIC)
    assert cv2.Laplacian(large, cv2.CV_32F).std() > cv2.Laplacian(enlarged, cv2.CV_32F).std()


def test_empty_sea_renders() -> None:
    plan = plan_empty(Encounter(Individual(12, Population.TRAIN, 0), 3000), 0)
    assert render_pixels(plan, 320, 213).shape == (213, 320, 3)

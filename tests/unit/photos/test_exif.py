"""What a camera wrote of time and place is read as it wrote it; what it did not write, or nonsense, is not known."""

import io
from datetime import datetime

import pytest
from PIL import Image

from pipeline.photos.exif import read_taken
from pipeline.stored_photos import NOT_TOLD, Taken
from tests.photos_made import PLACE, camera_photo


def taken(**options: object) -> Taken:
    image = Image.open(io.BytesIO(camera_photo(**options)))  # type: ignore[arg-type]
    return read_taken(image)


def test_local_time_offset_and_place_are_read() -> None:
    assert taken() == Taken(datetime(2024, 5, 17, 18, 2, 33), 120, 47.5, -8.25)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024:05:17 18:02:33", datetime(2024, 5, 17, 18, 2, 33)),
        ("2024-05-17T18:02:33", datetime(2024, 5, 17, 18, 2, 33)),
        ("0000:00:00 00:00:00", None),
        ("2024:13:01 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_time_that_is_none_is_not_known(written: str | None, expected: datetime | None) -> None:
    assert taken(DateTimeOriginal=written).at == expected


def test_the_time_of_digitising_stands_in_and_the_files_own_does_not() -> None:
    scanned = taken(DateTimeOriginal=None, DateTimeDigitized="1999:01:02 03:04:05", OffsetTimeDigitized="-03:30")
    assert (scanned.at, scanned.utc_offset_min) == (datetime(1999, 1, 2, 3, 4, 5), -210)
    assert taken(DateTimeOriginal=None, DateTime="1999:01:02 03:04:05").at is None


@pytest.mark.parametrize(("written", "expected"), [("-09:30", -570), ("+14:00", 840), ("+25:00", None), ("Z", None)])
def test_an_offset_that_is_none_is_not_known(written: str, expected: int | None) -> None:
    assert taken(OffsetTimeOriginal=written).utc_offset_min == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (47.5, -8.25)),
        ({1: "S", 3: "E"}, (-47.5, 8.25)),
        ({2: (95.0, 0.0, 0.0)}, (None, None)),
        ({4: (0.0, 0.0)}, (None, None)),
        ({9: "V"}, (None, None)),
        ({9: "A"}, (47.5, -8.25)),
    ],
)
def test_a_place_that_is_none_is_not_known(
    changed: dict[int, object], expected: tuple[float | None, float | None]
) -> None:
    found = taken(place=PLACE | changed)
    assert (found.latitude, found.longitude) == expected


@pytest.mark.parametrize(
    ("make", "model", "serial", "expected"),
    [
        ("Canon", "Canon EOS R5", "0123", "Canon, Canon EOS R5, serial 0123"),
        ("NIKON CORPORATION ", "NIKON D850\0\0", None, "NIKON CORPORATION, NIKON D850"),
        (None, None, " 0123\n4", "serial 0123 4"),
        ("", "   ", None, None),
        ("x" * 300, None, None, "x" * 200),
    ],
)
def test_the_camera_is_what_it_calls_itself(
    make: str | None, model: str | None, serial: str | None, expected: str | None
) -> None:
    assert taken(camera={271: make, 272: model}, BodySerialNumber=serial).camera == expected


def test_a_picture_without_exif_data_tells_nothing() -> None:
    assert read_taken(Image.new("RGB", (3, 2))) == NOT_TOLD


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_exif_data_that_is_cut_off_or_garbled_is_no_error(length: int) -> None:
    image = Image.open(io.BytesIO(camera_photo()))
    image.info["exif"] = image.info["exif"][:length] + b"\xff" * 20
    image._exif = None
    assert isinstance(read_taken(image), Taken)

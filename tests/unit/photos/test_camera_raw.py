"""Camera raw files are recognised by what is in them, and by their names where the content could be raw."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UnsupportedPhotoError
from pipeline.photos.camera_raw import has_raw_suffix, is_camera_raw
from pipeline.photos.images import decode_photo
from tests.unit.photos.photo_files_made import BYTE, LONG, SHORT, Tags, saved, tiff

PREVIEW: Tags = {
    256: (SHORT, [4]),
    257: (SHORT, [2]),
    258: (SHORT, [8, 8, 8]),
    259: (SHORT, [1]),
    262: (SHORT, [2]),
    277: (SHORT, [3]),
    278: (SHORT, [2]),
}
PIXELS = b"\x80" * 24
SENSOR: Tags = {256: (SHORT, [4000]), 257: (SHORT, [3000]), 262: (SHORT, [32803])}

RAW_FILES = {
    "Nikon NEF: sensor data below the preview": tiff(PREVIEW, PIXELS, ">", sub_tags=SENSOR),
    "Sony ARW": tiff(PREVIEW, PIXELS, "<", sub_tags={**SENSOR, 259: (SHORT, [32767])}),
    "Nikon's compression without a colour filter array": tiff(PREVIEW, PIXELS, "<", sub_tags={259: (SHORT, [34713])}),
    "DNG": tiff({**PREVIEW, 50706: (BYTE, [1, 4, 0, 0])}, PIXELS),
    "linear DNG": tiff(PREVIEW, PIXELS, "<", sub_tags={262: (SHORT, [34892])}),
    "Pentax PEF: sensor data first": tiff({**PREVIEW, 262: (SHORT, [32803])}, PIXELS),
    "Canon CR2": b"II*\x00\x10\x00\x00\x00CR\x02\x00" + b"\x00" * 32,
    "Canon CR3": b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01" + b"\x00" * 32,
    "Canon CRW": b"II\x1a\x00\x00\x00HEAPCCDR",
    "Fujifilm RAF": b"FUJIFILMCCD-RAW 0201",
    "Olympus ORF": b"IIRO\x08\x00\x00\x00",
    "Panasonic RW2": b"IIU\x00\x18\x00\x00\x00",
    "Minolta MRW": b"\x00MRM\x00\x00",
    "Sigma X3F": b"FOVb\x03\x00",
}


@pytest.mark.parametrize("content", RAW_FILES.values(), ids=RAW_FILES.keys())
def test_raw_is_refused_whatever_it_is_called(content: bytes) -> None:
    with pytest.raises(UnsupportedPhotoError, match=r"IMG_1\.jpg: is a camera raw file; export it as JPEG"):
        decode_photo(content, "IMG_1.jpg")


def test_the_preview_alone_is_an_ordinary_tiff() -> None:
    assert not is_camera_raw(tiff(PREVIEW, PIXELS))
    assert decode_photo(tiff(PREVIEW, PIXELS), "a.tif").size_px == (4, 2)


@pytest.mark.parametrize(
    "name", ["a.CR2", "a.cr3", "a.NEF", "a.arw", "a.dng", "a.RAF", "a.orf", "a.rw2", r"C:\x\a.nef"]
)
@pytest.mark.parametrize("content", [tiff(PREVIEW, PIXELS), b"sensor data of a maker that nobody knows"])
def test_what_could_be_raw_is_refused_by_its_name(name: str, content: bytes) -> None:
    assert has_raw_suffix(name)
    with pytest.raises(UnsupportedPhotoError, match="is a camera raw file"):
        decode_photo(content, name)


def test_a_jpeg_called_raw_is_a_jpeg() -> None:
    assert decode_photo(saved(Image.new("RGB", (8, 8)), "JPEG"), "a.NEF").size_px == (8, 8)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "dng", "a.dng.jpg", ""])
def test_other_names_are_not_raw(name: str) -> None:
    assert not has_raw_suffix(name)


def test_directories_that_point_at_each_other_end() -> None:
    loop = tiff({330: (LONG, [8])})
    assert not is_camera_raw(loop[:4] + struct.pack("<I", 8) + loop[8:])


@given(st.sampled_from([b"II*\x00", b"MM\x00*", b""]), st.binary(max_size=200))
def test_any_bytes_get_an_answer(header: bytes, body: bytes) -> None:
    assert is_camera_raw(header + body) in {True, False}

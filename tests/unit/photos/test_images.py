"""Photos of every accepted kind come out upright, RGB and with the right colours; every bad one with its own error."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import Resize

from pipeline.errors import ItemError, NoAnimalError, PhotoTooLargeError, UnreadablePhotoError, UnsupportedPhotoError
from pipeline.photos.bounds import count_jpeg_scans, webp_size_px
from pipeline.photos.formats import to_rgb
from pipeline.photos.images import Photo, PhotoFile, box_in_photo, crop, decode_photo, detector_input, grow
from pipeline.records import BoundingBox
from tests.unit.photos.photo_files_made import LONG, SHORT, png, png_header_only, saved, tiff, tiff_of

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 48, 32


def quadrants() -> Pixels:
    """(32, 48, 3): red, green / blue, white, so that every turn and mirroring shows."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:16, :24] = (255, 0, 0)
    pixels[:16, 24:] = (0, 255, 0)
    pixels[16:, :24] = (0, 0, 255)
    pixels[16:, 24:] = (255, 255, 255)
    return pixels


def heic(pixels: Pixels, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    return saved(Image.fromarray(pixels), "HEIF", quality=95, chroma=444, **options)


def decoded(content: bytes, name: str = "whale") -> Pixels:
    photo = decode_photo(content, name)
    assert photo.image.mode == "RGB"
    return np.asarray(photo.image)


def assert_close(found: Pixels, expected: Pixels, tolerance: int) -> None:
    """Compare away from the edges between quadrants, where lossy formats ring."""
    assert found.shape == expected.shape
    inner = np.abs(found.astype(int) - expected.astype(int))[[[4], [12], [20], [28]], [[4, 16, 32, 44]]]
    assert inner.max() <= tolerance


# --- formats and modes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 4),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 4),
        ("PNG", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 40),
    ],
)
def test_rgb_photo_keeps_its_colours(kind: str, options: dict[str, object], tolerance: int) -> None:
    assert_close(decoded(saved(Image.fromarray(quadrants()), kind, **options)), quadrants(), tolerance)


def test_heic_photo_keeps_its_colours() -> None:
    assert_close(decoded(heic(quadrants())), quadrants(), 8)


def test_10_bit_heic_photo_is_scaled() -> None:
    values = np.repeat(quadrants().astype(np.uint16) * 257, 2, axis=1)  # 96 wide: rows without padding
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (2 * WIDTH, HEIGHT), values.tobytes()).save(file, quality=-1, chroma=444)
    np.testing.assert_array_equal(decoded(file.getvalue()), np.repeat(quadrants(), 2, axis=1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_png_of_every_8_bit_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(quadrants()).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decoded(saved(image, "PNG")), expected)


def test_palette_with_transparency_keeps_the_palettes_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    assert decoded(saved(image, "PNG", transparency=0)).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_transparency_is_dropped_not_blended() -> None:
    image = Image.new("RGBA", (3, 2), (200, 100, 50, 0))
    assert decoded(saved(image, "PNG")).reshape(-1, 3).tolist() == [[200, 100, 50]] * 6


LEVELS = np.array([[0, 255, 256, 257, 0x7FFF, 0x8000, 0xFF00, 0xFFFF]], np.uint16)
UPPER_BYTES = [0, 0, 1, 1, 0x7F, 0x80, 0xFF, 0xFF]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png(LEVELS[..., None], 0), id="PNG greyscale"),
        pytest.param(png(np.repeat(LEVELS[..., None], 3, 2), 2), id="PNG RGB"),
        pytest.param(png(np.dstack([LEVELS, LEVELS]), 4), id="PNG greyscale, alpha"),
        pytest.param(png(np.repeat(LEVELS[..., None], 4, 2), 6), id="PNG RGBA"),
        pytest.param(tiff_of(LEVELS), id="TIFF greyscale"),
        pytest.param(tiff_of(LEVELS, ">"), id="TIFF greyscale, big-endian"),
        pytest.param(tiff_of(np.repeat(LEVELS[..., None], 3, 2)), id="TIFF RGB"),
        pytest.param(tiff_of(np.repeat(LEVELS[..., None], 3, 2), ">"), id="TIFF RGB, big-endian"),
        pytest.param(saved(Image.fromarray(LEVELS), "TIFF", compression="tiff_lzw"), id="TIFF greyscale, LZW"),
    ],
)
def test_16_bits_are_scaled_and_never_clipped(content: bytes) -> None:
    assert decoded(content)[0].tolist() == [[level] * 3 for level in UPPER_BYTES]


def test_16_bit_tiff_that_counts_from_white_is_inverted() -> None:
    assert decoded(tiff_of(LEVELS, photometric=0))[0, :, 0].tolist() == [255 - level for level in UPPER_BYTES]


def test_12_bit_tiff_is_scaled_from_its_own_range() -> None:
    packed = bytes([0x00, 0x0F, 0xFF])  # two 12-bit values: 0x000, 0xFFF
    header = {256: (SHORT, [2]), 257: (SHORT, [1]), 258: (SHORT, [12]), 259: (SHORT, [1]), 262: (SHORT, [1])}
    content = tiff({**header, 277: (SHORT, [1]), 278: (SHORT, [1])}, packed)
    assert decoded(content)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["La", "PA", "RGBa", "YCbCr", "CMYK"])
def test_the_rarer_modes_of_tiff_become_rgb(mode: str) -> None:
    assert to_rgb(Image.new(mode, (3, 2)), "a.tif").mode == "RGB"


def test_greyscale_jpeg_becomes_rgb() -> None:
    grey = np.full((16, 16), 77, np.uint8)
    assert abs(decoded(saved(Image.fromarray(grey), "JPEG")).astype(int) - 77).max() <= 1


def without_adobe_marker(content: bytes) -> bytes:
    start = content.index(b"\xff\xee")
    return content[:start] + content[start + 2 + struct.unpack_from(">H", content, start + 2)[0] :]


def test_cmyk_jpeg_is_inverted_only_with_the_adobe_marker() -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    adobe = saved(ink, "JPEG", quality=100)
    assert b"Adobe" in adobe
    red, inverted = decoded(adobe)[8, 8], decoded(without_adobe_marker(adobe))[8, 8]
    assert red[0] > 250
    assert red[1:].max() < 5
    # The same values read as plain ink amounts: full cyan and full black, so black.
    assert inverted.max() < 5


def test_first_page_of_a_tiff_is_the_photo() -> None:
    first, second = Image.new("RGB", (9, 5), "red"), Image.new("RGB", (4, 4), "blue")
    content = saved(first, "TIFF", save_all=True, append_images=[second])
    pixels = decoded(content)
    assert pixels.shape == (5, 9, 3)
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_first_picture_of_a_multi_picture_jpeg_is_the_photo() -> None:
    first, second = Image.new("RGB", (16, 8), "red"), Image.new("RGB", (16, 8), "blue")
    content = saved(first, "MPO", save_all=True, append_images=[second])
    assert decoded(content)[4, 4].tolist()[0] > 250


# --- orientation -----------------------------------------------------------------------------------------------------

STORED = {  # how the upright photo lies in the file, from the EXIF 2.3 definition of where row 0 and column 0 are
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", sorted(STORED))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](quadrants())))
    assert_close(decoded(saved(stored, kind, exif=exif)), quadrants(), 60)


@pytest.mark.parametrize("orientation", sorted(STORED))
def test_orientation_of_heic_is_applied_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = heic(np.ascontiguousarray(STORED[orientation](quadrants())), exif=exif.tobytes())
    assert_close(decoded(content), quadrants(), 8)


def test_orientation_of_16_bit_greyscale_is_applied() -> None:
    upright = np.arange(6, dtype=np.uint16).reshape(2, 3) << 8
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1))), "PNG", exif=exif)
    assert decoded(content)[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("exif", [b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00garbage", b"Exif\x00\x00"])
def test_damaged_exif_does_not_sink_the_photo(exif: bytes) -> None:
    assert_close(decoded(saved(Image.fromarray(quadrants()), "JPEG", exif=exif, quality=95)), quadrants(), 60)


def test_photo_is_turned_although_the_rest_of_its_exif_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(Image.fromarray(np.ascontiguousarray(STORED[6](quadrants()))), "JPEG", exif=exif, quality=95)

    def fail(*_: object) -> bytes:
        raise struct.error("a value that its type cannot hold")

    monkeypatch.setattr(Image.Exif, "tobytes", fail)
    assert_close(decoded(content), quadrants(), 60)


def test_photo_that_cannot_be_turned_for_want_of_memory_fails_rather_than_lie_on_its_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageOps, "exif_transpose", fail)
    with pytest.raises(PhotoTooLargeError, match=r"a\.jpg: takes too much memory"):
        decode_photo(saved(Image.fromarray(quadrants()), "JPEG"), "a.jpg")


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_counts_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decoded(saved(Image.fromarray(quadrants()), "PNG", exif=exif)).shape == (HEIGHT, WIDTH, 3)


# --- bad files -------------------------------------------------------------------------------------------------------


def photo_in(kind: str) -> bytes:
    noise = np.random.default_rng(5).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return heic(noise) if kind == "HEIC" else saved(Image.fromarray(noise), kind)


KINDS = ["JPEG", "PNG", "TIFF", "WEBP", "HEIC"]


def test_empty_file_is_unreadable() -> None:
    with pytest.raises(UnreadablePhotoError, match=r"a\.jpg: the file is empty"):
        decode_photo(b"", "a.jpg")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_photo_is_unreadable(kind: str, share: float) -> None:
    content = photo_in(kind)
    with pytest.raises(UnreadablePhotoError, match="truncated or damaged"):
        decode_photo(content[: int(len(content) * share)], "a.jpg")


@pytest.mark.parametrize(
    "content",
    [
        b"not a photo at all",
        b"\x00" * 4096,
        saved(Image.new("RGB", (8, 8)), "GIF"),
        saved(Image.new("RGB", (8, 8)), "BMP"),
        b"%PDF-1.7 ...",
        b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 64,
    ],
)
def test_other_files_are_unsupported(content: bytes) -> None:
    with pytest.raises(UnsupportedPhotoError, match=r"a\.jpg: is not a photo of an accepted kind"):
        decode_photo(content, "a.jpg")


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pixels_without_a_known_range_are_unsupported(mode: str) -> None:
    with pytest.raises(UnsupportedPhotoError, match="8- or 16-bit"):
        decode_photo(saved(Image.new(mode, (4, 4)), "TIFF"), "a.tif")


def test_tiff_with_an_unknown_layout_is_unsupported() -> None:
    size = {256: (SHORT, [1]), 257: (SHORT, [1]), 258: (SHORT, [64]), 259: (SHORT, [1]), 262: (SHORT, [1])}
    with pytest.raises(UnsupportedPhotoError, match="save it as"):
        decode_photo(tiff({**size, 277: (SHORT, [1]), 278: (LONG, [1])}, b"\x00" * 8), "a.tif")


@pytest.mark.parametrize("kind", KINDS)
def test_photo_above_the_pixel_limit_is_too_large(kind: str) -> None:
    with pytest.raises(PhotoTooLargeError, match="64 x 64"):
        decode_photo(photo_in(kind), "a.jpg", max_pixels=64 * 64 - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_photo_at_the_pixel_limit_is_read(kind: str) -> None:
    assert decode_photo(photo_in(kind), "a.jpg", max_pixels=64 * 64).size_px == (64, 64)


def test_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(PhotoTooLargeError, match="60000 x 60000"):
        decode_photo(png_header_only(60_000, 60_000), "bomb.png")


def test_webp_bomb_is_refused_by_its_header() -> None:
    canvas = (16383 - 1).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00" * 4 + canvas
    with pytest.raises(PhotoTooLargeError):
        decode_photo(b"RIFF" + struct.pack("<I", len(body)) + body, "bomb.webp")


def test_tiff_whose_tiles_are_above_the_pixel_limit_is_too_large() -> None:
    tags = {256: (SHORT, [100]), 257: (SHORT, [100]), 258: (SHORT, [8] * 3), 259: (SHORT, [8]), 262: (SHORT, [2])}
    tiles = {322: (LONG, [20_000]), 323: (LONG, [20_000]), 324: (LONG, [8]), 325: (LONG, [8])}
    with pytest.raises(PhotoTooLargeError, match=r"a\.tif: has tiles of 20000 x 20000"):
        decode_photo(tiff({**tags, 277: (SHORT, [3]), **tiles}, b"\x00" * 8), "a.tif")


def test_tiles_count_as_pixels_where_they_are_larger_than_the_photo() -> None:
    tags = {256: (SHORT, [100]), 257: (SHORT, [100]), 258: (SHORT, [8] * 3), 259: (SHORT, [8]), 262: (SHORT, [2])}
    tiles = {322: (LONG, [2000]), 323: (LONG, [1000]), 324: (LONG, [8]), 325: (LONG, [8])}
    assert PhotoFile(tiff({**tags, 277: (SHORT, [3]), **tiles}, b"\x00" * 8), "a.tif").pixels == 2_000_000


def scanned(times: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    content = saved(Image.fromarray(quadrants()), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * times + content[-2:]


def test_jpeg_of_very_many_scans_is_unsupported() -> None:
    with pytest.raises(UnsupportedPhotoError, match=r"a\.jpg: is a JPEG of more than 100 scans"):
        decode_photo(scanned(15_000), "a.jpg")


def test_only_scans_of_the_photo_itself_are_counted() -> None:
    trailer = b"\xff\xda" * 1000  # as in the film that some cameras put behind a photo
    exif = b"Exif\x00\x00" + b"\xff\xda" * 1000
    content = saved(Image.fromarray(quadrants()), "JPEG", quality=95, progressive=True, exif=exif)
    assert_close(decoded(content + trailer), quadrants(), 60)
    assert 1 < count_jpeg_scans(content + trailer) < 20
    assert count_jpeg_scans(scanned(20)) == count_jpeg_scans(scanned(0)) + 20


@pytest.mark.parametrize(("components_a_scan", "counted"), [(1, 101), (3, 1)])
def test_scans_of_a_sequential_jpeg_count_unless_the_first_has_every_component(
    components_a_scan: int, counted: int
) -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 8, 8, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    scan = (
        b"\xff\xda" + struct.pack(">HB", 6 + 2 * components_a_scan, components_a_scan) + b"\x01\x00" * components_a_scan
    )
    content = b"\xff\xd8" + frame + (scan + b"\x00\x3f\x00" + b"\xff\x00pixels\xff\xd0") * 200 + b"\xff\xd9"
    assert count_jpeg_scans(content) == counted


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"quality": 80, "exif": b"Exif\x00\x00MM"}])
def test_pixels_of_a_webp_are_known_before_its_decoder_takes_memory_for_them(options: dict[str, object]) -> None:
    content = saved(Image.fromarray(quadrants()), "WEBP", **options)
    assert webp_size_px(content) == (WIDTH, HEIGHT)
    assert PhotoFile(content, "a.webp").pixels == WIDTH * HEIGHT


def test_error_names_a_photo_whose_name_no_message_can_carry() -> None:
    with pytest.raises(UnreadablePhotoError) as caught:
        decode_photo(b"", "caf\udce9\n" + "x" * 5000)
    caught.value.message.encode("utf-8")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 500


@given(data=st.data(), kind=st.sampled_from(KINDS))
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_give_a_photo_or_an_outcome_and_nothing_else(data: st.DataObject, kind: str) -> None:
    content = bytearray(FUZZED[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ItemError):
        assert decode_photo(bytes(content), "fuzzed", max_pixels=1_000_000).image.mode == "RGB"


def small_photo(kind: str) -> bytes:
    pixels = np.ascontiguousarray(quadrants()[8:24, 16:32])
    return heic(pixels) if kind == "HEIC" else saved(Image.fromarray(pixels), kind)


FUZZED = {kind: small_photo(kind) for kind in KINDS}


# --- the networks' inputs --------------------------------------------------------------------------------------------


def varied_photo(width: int = 301, height: int = 203) -> Photo:
    noise = np.random.default_rng(11).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Photo("p.jpg", Image.fromarray(noise))


def test_detector_sees_the_photo_squashed_by_pils_default_resize() -> None:
    photo = varied_photo()
    pixels = detector_input(photo)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(photo.image.resize((224, 224))))


def test_box_is_scaled_to_each_side_of_the_photo() -> None:
    box = box_in_photo(BoundingBox(56.0, 112.0, 112.0, 224.0), (448, 112))
    assert box.xyxy() == (112.0, 56.0, 224.0, 112.0)


def test_box_grows_by_its_margin_and_stops_at_the_photo() -> None:
    assert grow(BoundingBox(100.0, 50.0, 200.0, 250.0), (1000, 1000)).xyxy() == (99.0, 48.0, 201.0, 252.0)
    assert grow(BoundingBox(0.5, 1.0, 299.5, 201.0), (300, 202)).xyxy() == (0.0, 0.0, 300.0, 202.0)


def test_crop_is_pils_crop_of_the_float_box_resized_as_torchvision_does() -> None:
    photo = varied_photo()
    box = BoundingBox(20.3, 31.7, 187.9, 150.2)
    margin_x, margin_y = (187.9 - 20.3) * 0.01, (150.2 - 31.7) * 0.01
    cut = photo.image.crop((20.3 - margin_x, 31.7 - margin_y, 187.9 + margin_x, 150.2 + margin_y))
    np.testing.assert_array_equal(crop(photo, box), np.asarray(Resize((224, 224))(cut)))


def test_crop_of_a_one_colour_region_has_that_colour_and_the_asked_size() -> None:
    photo = Photo("q", Image.fromarray(quadrants()))
    pixels = crop(photo, BoundingBox(25.0, 1.0, 47.0, 15.0), margin=0.0, size_px=64)
    assert pixels.shape == (64, 64, 3)
    assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [[0, 255, 0]]


@pytest.mark.parametrize("edges", [(5.0, 5.0, 5.2, 9.0), (5.0, 5.0, 9.0, 5.2), (9.0, 5.0, 5.0, 9.0)])
def test_box_without_a_whole_pixel_is_an_error_that_names_the_photo(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(NoAnimalError, match=r"p\.jpg: the box found is smaller than one pixel"):
        crop(varied_photo(), BoundingBox(*edges))


@given(
    x=st.tuples(st.floats(0, 300), st.floats(0, 300)),
    y=st.tuples(st.floats(0, 200), st.floats(0, 200)),
)
def test_grown_box_contains_the_box_and_stays_in_the_photo(x: tuple[float, float], y: tuple[float, float]) -> None:
    box = BoundingBox(min(x), min(y), max(x), max(y))
    grown = grow(box, (300, 200))
    assert 0 <= grown.x_min_px <= box.x_min_px <= box.x_max_px <= grown.x_max_px <= 300
    assert 0 <= grown.y_min_px <= box.y_min_px <= box.y_max_px <= grown.y_max_px <= 200


def test_inputs_are_writable_so_that_tensors_can_share_their_memory() -> None:
    photo = varied_photo()
    assert detector_input(photo).flags.writeable
    assert crop(photo, BoundingBox(10.0, 10.0, 50.0, 50.0)).flags.writeable


# --- real photos -----------------------------------------------------------------------------------------------------


def test_every_real_photo_is_read(photos_dir: Path) -> None:
    files = [file for file in photos_dir.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"}]
    assert files
    for file in files:
        photo = decode_photo(file.read_bytes(), file.name)
        with Image.open(io.BytesIO(file.read_bytes())) as reference:
            assert sorted(photo.size_px) == sorted(reference.size)
        assert detector_input(photo).std() > 5

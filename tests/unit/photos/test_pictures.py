"""Pictures of photos: upright, no larger than asked for or than the photo, and without what the file told."""

import io
from collections.abc import AsyncIterator

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import NoAnimalError, PhotoTooLargeError, UnreadablePhotoError, UnsupportedPhotoError
from pipeline.photo_store.store import PhotoStore
from pipeline.photos.decoding import Decoder, ThreadDecoder
from pipeline.photos.images import Photo, decode_photo, render
from pipeline.photos.process_decoder import ProcessDecoder
from pipeline.photos.stored import StoredPhotos
from pipeline.records import BoundingBox
from pipeline.settings import Limits
from pipeline.stored_photos import Picture
from tests.photos_made import camera_photo, sha256_of
from tests.unit.photos.photo_files_made import saved

DATABASE = "d" * 32


def photo(width: int, height: int) -> Photo:
    """Red to the left of the middle, blue to its right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0], pixels[:, width // 2 :, 2] = 255, 255
    return Photo("a.jpg", Image.fromarray(pixels))


def shown(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize(
    ("size", "width", "expected"),
    [
        ((400, 300), 160, (160, 120)),
        ((400, 300), 640, (400, 300)),
        ((100, 1000), 160, (32, 320)),
        ((5000, 1), 160, (160, 1)),
    ],
)
def test_a_picture_fits_and_is_never_enlarged(size: tuple[int, int], width: int, expected: tuple[int, int]) -> None:
    assert shown(render(photo(*size), Picture(width))).size == expected


def test_a_box_is_cut_out_with_what_is_around_it() -> None:
    box = BoundingBox(110.0, 20.0, 190.0, 100.0)
    cut = shown(render(photo(200, 200), Picture(640, box)))
    assert cut.size == (80, 80)
    assert np.asarray(cut)[..., 2].min() > 200
    wide = shown(render(photo(200, 200), Picture(640, box, 0.5)))
    assert wide.size == (130, 140)  # 40 px more on each side, but for the right and upper edges of the photo
    assert np.asarray(wide)[70, 5, 0] > 200


def test_a_box_outside_the_photo_is_told() -> None:
    with pytest.raises(NoAnimalError, match=r"a\.jpg: the box"):
        render(photo(200, 200), Picture(640, BoundingBox(300.0, 0.0, 400.0, 100.0)))


def test_pictures_of_different_parts_have_different_names() -> None:
    box = BoundingBox(1.0, 2.0, 30.0, 40.0)
    pictures = [Picture(160), Picture(320), Picture(160, box), Picture(160, box, 0.1), Picture(320, box)]
    assert len({picture.kind for picture in pictures}) == len(pictures)


@pytest.fixture(params=["threads", "processes"])
async def decoder(request: pytest.FixtureRequest) -> AsyncIterator[Decoder]:
    if request.param == "threads":
        yield ThreadDecoder()
        return
    decoder = ProcessDecoder(4 * 2**30, timeout_s=20.0)
    yield decoder
    decoder.close()


async def test_a_photo_of_the_store_is_looked_at_wherever_it_is_decoded(decoder: Decoder) -> None:
    store = PhotoStore("memory://pictures", DATABASE)
    store.write_marker(DATABASE)
    content = camera_photo()
    incoming = store.receive()
    incoming.write(content)
    incoming.close(sha256_of(content))
    stored = StoredPhotos(store, decoder, Limits())
    facts = await stored.inspect(incoming.name, "a.jpg")
    assert facts.size_px == (200, 300)
    assert facts.taken == decode_photo(content, "a.jpg").taken
    assert facts.taken.latitude == 47.5
    incoming.keep(sha256_of(content))
    picture = Picture(160, BoundingBox(20.0, 30.0, 120.0, 230.0), 0.1)
    made = await stored.render(sha256_of(content), picture)
    assert made == render(decode_photo(content, "a.jpg"), picture)
    assert b"secret" not in made


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "a.jpg", UnreadablePhotoError),
        (b"text", "a.jpg", UnsupportedPhotoError),
        (camera_photo(width=100, height=60)[:-900], "a.jpg", UnreadablePhotoError),
        (saved(Image.new("RGB", (200, 200)), "PNG"), "a.png", PhotoTooLargeError),
        (saved(Image.new("RGB", (10, 10)), "TIFF"), "a.nef", UnsupportedPhotoError),
    ],
)
async def test_only_what_decodes_as_a_photo_within_bounds_has_facts(
    content: bytes, name: str, error: type[Exception]
) -> None:
    store = PhotoStore("memory://refused", DATABASE)
    store.write_marker(DATABASE)
    incoming = store.receive()
    incoming.write(content)
    incoming.close(sha256_of(content))
    with pytest.raises(error):
        await StoredPhotos(store, ThreadDecoder(), Limits(max_photo_pixels=10_000)).inspect(incoming.name, name)

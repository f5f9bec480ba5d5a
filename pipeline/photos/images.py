"""Photos as pixels: decode, set upright, limit, and cut out what the networks see.

The geometry repeats the original system's, so that its weights give its answers: the detector sees the whole photo
squashed with PIL's default (bicubic) filter, the embedder sees the box grown by 1 % and resized bilinearly.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, ImageOps

from pipeline.errors import NoAnimalError, PhotoTooLargeError, UnreadablePhotoError, UnsupportedPhotoError
from pipeline.names import shown_name
from pipeline.photos.formats import PhotoFormat, recognise, to_rgb
from pipeline.records import BoundingBox, UInt8Array

INPUT_SIZE_PX = 224
"""Side of the networks' square inputs in the original system."""

CROP_MARGIN = 0.01
"""Share of its width and height by which a box grows on each side before the crop; the original's."""

MAX_PIXELS = 120_000_000
"""Default pixel limit: above every camera in the field, below what one decoded photo may cost (360 MB)."""

# What Pillow and its plugins raise on damaged files: they let through whatever their parsers stumble over.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# Without memory a photo could not be turned: it must fail rather than lie on its side.
_DAMAGED_EXIF = tuple(kind for kind in _DAMAGE if kind is not MemoryError)

_NOT_DAMAGE = ("unknown pixel mode", "unknown data organization", "cannot handle", "unsupported")


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo.

    Attributes:
        name: the path or file name that the client sent; for messages.
        image: RGB, 8 bits, upright (EXIF orientation applied), in memory.
    """

    name: str
    image: Image.Image

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.size


def decode_photo(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo to upright RGB.

    Args:
        content: the whole file: JPEG, PNG, TIFF (its first page), WebP or HEIC (its primary image).
        name: as the client sent it; for messages.
        max_pixels: checked in the header, before anything is decoded.

    Returns:
        The decoded photo.

    Raises:
        UnsupportedPhotoError: a camera raw, not a photo, or pixels of an unsupported kind.
        PhotoTooLargeError: more than `max_pixels`.
        UnreadablePhotoError: empty, truncated or damaged.
    """
    shown = shown_name(name)
    if not content:
        raise UnreadablePhotoError(f"{shown}: the file is empty; copy it again from the camera or card")
    kind = recognise(content, shown)
    with _decoding(kind, shown):
        image = kind.open(io.BytesIO(content))
    _check_pixels(image, shown, max_pixels)
    with _decoding(kind, shown):
        image.load()
    _check_pixels(image, shown, max_pixels)  # HEIC: known for sure only after decoding
    with _decoding(kind, shown):
        return Photo(name, _upright(image, shown))


def detector_input(photo: Photo, size_px: int = INPUT_SIZE_PX) -> UInt8Array:
    """Squash the whole photo to the detector's square, as the original does.

    Args:
        photo: upright RGB.
        size_px: side of the detector's input.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    return np.array(photo.image.resize((size_px, size_px), Image.Resampling.BICUBIC))


def box_in_photo(
    box: BoundingBox, photo_size_px: tuple[int, int], detector_size_px: int = INPUT_SIZE_PX
) -> BoundingBox:
    """Scale a box from the detector's square input to the photo.

    Args:
        box: in pixels of the detector's input.
        photo_size_px: width and height of the upright photo.
        detector_size_px: side of the detector's input.

    Returns:
        The box in pixels of the photo.
    """
    x_scale, y_scale = (side_px / detector_size_px for side_px in photo_size_px)
    return BoundingBox(box.x_min_px * x_scale, box.y_min_px * y_scale, box.x_max_px * x_scale, box.y_max_px * y_scale)


def grow(box_px: BoundingBox, photo_size_px: tuple[int, int], margin: float = CROP_MARGIN) -> BoundingBox:
    """Grow a box by a share of its width and height on each side, and clamp it to the photo.

    Args:
        box_px: in pixels of the photo.
        photo_size_px: width and height of the photo.
        margin: share of the box's width (height) added on the left and right (top and bottom).
    """
    width_px, height_px = photo_size_px
    x_margin_px = (box_px.x_max_px - box_px.x_min_px) * margin
    y_margin_px = (box_px.y_max_px - box_px.y_min_px) * margin
    return BoundingBox(
        max(box_px.x_min_px - x_margin_px, 0.0),
        max(box_px.y_min_px - y_margin_px, 0.0),
        min(box_px.x_max_px + x_margin_px, float(width_px)),
        min(box_px.y_max_px + y_margin_px, float(height_px)),
    )


def crop(photo: Photo, box_px: BoundingBox, margin: float = CROP_MARGIN, size_px: int = INPUT_SIZE_PX) -> UInt8Array:
    """Cut out a box and resize it to the embedder's input, as the original does.

    PIL rounds the edges of the grown box to whole pixels; the resize is PIL's bilinear one, which is what
    `torchvision.transforms.Resize` applies to a PIL image.

    Args:
        photo: upright RGB.
        box_px: in pixels of the photo.
        margin: see `grow`.
        size_px: side of the embedder's input.

    Returns:
        (size_px, size_px, 3) uint8 RGB.

    Raises:
        NoAnimalError: the box holds no whole pixel of the photo.
    """
    edges = grow(box_px, photo.size_px, margin).xyxy()
    left, top, right, bottom = (round(edge) for edge in edges)
    if right <= left or bottom <= top:
        raise NoAnimalError(
            f"{shown_name(photo.name)}: the box found is smaller than one pixel; send the photo in its full size"
        )
    cut = photo.image.crop(edges)
    return np.array(cut.resize((size_px, size_px), Image.Resampling.BILINEAR))


def _check_pixels(image: Image.Image, shown: str, max_pixels: int) -> None:
    width_px, height_px = image.size
    if width_px * height_px > max_pixels:
        raise _too_many_pixels(shown, f"{width_px} x {height_px} (the limit is {max_pixels / 1e6:g} million)")


def _too_many_pixels(shown: str, pixels: str) -> PhotoTooLargeError:
    return PhotoTooLargeError(f"{shown}: has {pixels} pixels; send a smaller version or raise limits.max_photo_pixels")


@contextmanager
def _decoding(kind: PhotoFormat, shown: str) -> Iterator[None]:
    """Translate what Pillow raises into a photo's outcome."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(shown, "too many") from error
    except _DAMAGE as error:
        reason = shown_name(str(error) or type(error).__name__)
        if any(words in reason.lower() for words in _NOT_DAMAGE):
            raise UnsupportedPhotoError(
                f"{shown}: is a {kind.label} of a kind that cannot be read ({reason}); save it as 8-bit RGB"
            ) from error
        raise UnreadablePhotoError(
            f"{shown}: the file is truncated or damaged ({reason}); copy it again from the camera or card"
        ) from error


def _upright(image: ImageFile.ImageFile, shown: str) -> Image.Image:
    """Apply the EXIF orientation (TIFF and HEIC come upright, with the tag removed) and convert to RGB.

    EXIF data that cannot be read says nothing about the pixels, so such a photo is taken as it lies.
    """
    with suppress(*_DAMAGED_EXIF):
        ImageOps.exif_transpose(image, in_place=True)
    return to_rgb(image, shown)

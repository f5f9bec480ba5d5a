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
from pipeline.photos.bounds import MAX_PIXELS, MAX_SCANS, count_jpeg_scans, tile_size_px, webp_size_px
from pipeline.photos.exif import read_taken
from pipeline.photos.formats import PhotoFormat, recognise, to_rgb
from pipeline.records import BoundingBox, UInt8Array
from pipeline.stored_photos import NOT_TOLD, Picture, Taken

INPUT_SIZE_PX = 224
"""Side of the networks' square inputs in the original system."""

CROP_MARGIN = 0.01
"""Share of its width and height by which a box grows on each side before the crop; the original's."""

_PICTURE_QUALITY = 85

# What Pillow and its plugins raise on damaged files: they let through whatever their parsers stumble over.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

_NOT_DAMAGE = ("unknown pixel mode", "unknown data organization", "cannot handle", "unsupported")


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo.

    Attributes:
        name: the path or file name that the client sent; for messages.
        image: RGB, 8 bits, upright (EXIF orientation applied), in memory.
        taken: when and where, as its file says.
    """

    name: str
    image: Image.Image
    taken: Taken = NOT_TOLD

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.size


class PhotoFile:
    """A photo whose header was read and found within bounds; nothing of it is decoded yet."""

    def __init__(self, content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> None:
        """Read the header.

        Args:
            content: the whole file: JPEG, PNG, TIFF (its first page), WebP or HEIC (its primary image).
            name: as the client sent it; for messages.
            max_pixels: limit on the photo's pixels, and on those of one tile.

        Raises:
            UnsupportedPhotoError: a camera raw, not a photo, or of too many scans.
            PhotoTooLargeError: more than `max_pixels`.
            UnreadablePhotoError: empty, truncated or damaged.
        """
        self._name, self._shown = name, shown_name(name)
        self._content, self._max_pixels = content, max_pixels
        if not content:
            raise UnreadablePhotoError(f"{self._shown}: the file is empty; copy it again from the camera or card")
        self._kind = recognise(content, self._shown)
        self._check_scans()
        self._image: ImageFile.ImageFile | None = None
        size_px = webp_size_px(content) if self._kind.label == "WebP" else None
        self.pixels = self._count(*(size_px or self._opened().size))
        if self._image is not None:
            self.pixels = max(self.pixels, self._count(*tile_size_px(self._image), of="tiles of "))

    def decode(self) -> Photo:
        """Decode the photo to upright RGB.

        Raises:
            UnsupportedPhotoError: pixels of an unsupported kind.
            PhotoTooLargeError: more than `max_pixels`, or more memory than may be had.
            UnreadablePhotoError: truncated or damaged.
        """
        image = self._opened()
        self._count(*image.size)  # WebP: the header might have promised less
        with _decoding(self._kind, self._shown):
            image.load()
        self._count(*image.size)  # HEIC: known for sure only after decoding
        with _decoding(self._kind, self._shown):
            return Photo(self._name, _upright(image, self._shown), read_taken(image))

    def _opened(self) -> ImageFile.ImageFile:
        if self._image is None:
            with _decoding(self._kind, self._shown):
                self._image = self._kind.open(io.BytesIO(self._content))
        return self._image

    def _check_scans(self) -> None:
        if self._kind.label == "JPEG" and count_jpeg_scans(self._content) > MAX_SCANS:
            raise UnsupportedPhotoError(
                f"{self._shown}: is a JPEG of more than {MAX_SCANS} scans, which would take minutes; save it anew"
            )

    def _count(self, width_px: int, height_px: int, of: str = "") -> int:
        """Return width times height.

        Raises:
            PhotoTooLargeError: it is above the limit.
        """
        if width_px * height_px > self._max_pixels:
            limit = f"the limit is {self._max_pixels / 1e6:g} million"
            raise _too_many_pixels(self._shown, f"{of}{width_px} x {height_px} ({limit})")
        return width_px * height_px


def decode_photo(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo to upright RGB; see `PhotoFile` for arguments and errors."""
    return PhotoFile(content, name, max_pixels).decode()


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


def render(photo: Photo, picture: Picture) -> bytes:
    """Make a picture of a photo to be looked at; it carries no metadata.

    Args:
        photo: upright RGB.
        picture: which part of it, and how large at most; a picture is at most twice as high as it may be wide.

    Returns:
        The file of a JPEG.

    Raises:
        NoAnimalError: the box holds no whole pixel of the photo.
    """
    left, top, right, bottom = 0, 0, *photo.size_px
    if picture.box_px is not None:
        left, top, right, bottom = (round(edge) for edge in grow(picture.box_px, photo.size_px, picture.pad).xyxy())
    width_px, height_px = right - left, bottom - top
    if width_px <= 0 or height_px <= 0:
        raise NoAnimalError(f"{shown_name(photo.name)}: the box holds no whole pixel of the photo")
    scale = min(1.0, picture.width_px / width_px, 2 * picture.width_px / height_px)
    size_px = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    image = photo.image.resize(size_px, Image.Resampling.LANCZOS, (left, top, right, bottom), reducing_gap=2.0)
    image.info = {}  # a comment would go into the file
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_PICTURE_QUALITY)
    return file.getvalue()


def _too_many_pixels(shown: str, pixels: str) -> PhotoTooLargeError:
    return PhotoTooLargeError(f"{shown}: has {pixels} pixels; send a smaller version or raise limits.max_photo_pixels")


@contextmanager
def _decoding(kind: PhotoFormat, shown: str) -> Iterator[None]:
    """Translate what Pillow raises into a photo's outcome."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(shown, "too many") from error
    except MemoryError as error:
        raise PhotoTooLargeError(f"{shown}: takes too much memory to decode; save it anew as JPEG") from error
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
    with suppress(*_DAMAGE):
        ImageOps.exif_transpose(image, in_place=True)
    return to_rgb(image, shown)

"""The kinds of picture that are read: recognised by content, opened without decoding, converted to 8-bit RGB."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from pipeline.errors import UnsupportedPhotoError
from pipeline.photos.camera_raw import has_raw_suffix, is_camera_raw

ACCEPTED = "JPEG, PNG, TIFF, WebP and HEIC"

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_UNSCALED_MODES = frozenset({"I", "F", "LAB"})
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


@dataclass(frozen=True, slots=True)
class PhotoFormat:
    """One accepted kind of file.

    Attributes:
        label: as shown to people.
        matches: whether these bytes begin such a file.
        open: read the header of such a file; decodes no pixels. Raises what Pillow raises.
    """

    label: str
    matches: Callable[[bytes], bool]
    open: Callable[[io.BytesIO], ImageFile.ImageFile]


def open_heif(file: io.BytesIO) -> ImageFile.ImageFile:
    """Open HEIC through pillow-heif, imported only when the first such photo comes."""
    from pillow_heif.as_plugin import HeifImageFile

    image: ImageFile.ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


# Each format's own class rather than `Image.open`: nothing is registered globally, no other decoder ever sees the bytes
# and the pixel limit is ours alone. Of a multi-picture JPEG `JpegImageFile` takes the first picture, as it should.
FORMATS = (
    PhotoFormat("JPEG", lambda head: head.startswith(b"\xff\xd8"), JpegImagePlugin.JpegImageFile),
    PhotoFormat("PNG", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile),
    PhotoFormat("TIFF", lambda head: head[:4] in TiffImagePlugin.PREFIXES, TiffImagePlugin.TiffImageFile),
    PhotoFormat("WebP", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", WebPImagePlugin.WebPImageFile),
    PhotoFormat("HEIC", lambda head: head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS, open_heif),
)


def recognise(content: bytes, name: str) -> PhotoFormat:
    """Tell by its content what kind of photo a file is.

    A camera raw's suffix counts where the content could be one: a JPEG called .NEF is a JPEG, a TIFF called .NEF is not
    a TIFF.

    Args:
        content: the whole file.
        name: as shown in messages; its suffix is looked at.

    Raises:
        UnsupportedPhotoError: a camera raw, or none of the accepted kinds.
    """
    found = next((known for known in FORMATS if known.matches(content[:16])), None)
    if is_camera_raw(content) or (has_raw_suffix(name) and (found is None or found.label == "TIFF")):
        raise UnsupportedPhotoError(
            f"{name}: is a camera raw file; export it as JPEG (or 8- or 16-bit TIFF) and send that"
        )
    if found is None:
        raise UnsupportedPhotoError(f"{name}: is not a photo of an accepted kind ({ACCEPTED}); convert it to JPEG")
    return found


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Convert a loaded image of any mode to 8-bit RGB; as a rule returns the image itself where it is RGB already.

    Transparency is dropped, not blended: the colours are those that the file stores. Sixteen bits are scaled by their
    upper eight, as Pillow's own 16-bit colour readers do (its greyscale conversion would clip at 255).

    Args:
        image: loaded, so that its tile list is empty.
        name: as shown in messages.

    Raises:
        UnsupportedPhotoError: floating-point, 32-bit or L*a*b* pixels, whose range no file states.
    """
    if image.mode == "RGB":
        return image.copy() if image.format == "WEBP" else image  # WebP's holds its decoder's memory, twice its own
    if image.mode in _SIXTEEN_BIT_MODES:
        return _eight_bit(image).convert("RGB")
    if image.mode in _UNSCALED_MODES:
        raise UnsupportedPhotoError(
            f"{name}: has pixels of an unsupported kind ({image.mode}); save it as 8- or 16-bit RGB or greyscale"
        )
    if image.mode == "La":
        image = image.convert("LA")  # the only way that Pillow knows out of premultiplied greyscale
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for an inverted, Adobe one
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit (or 12-bit) greyscale to 8 bits; Pillow ignores that some TIFFs count from white."""
    tags = getattr(image, "tag_v2", {})
    bits = min(tags.get(_BITS_PER_SAMPLE, (16,))[0], 16)
    levels = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = 255 - levels
    return Image.fromarray(levels)

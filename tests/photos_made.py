"""Photos as cameras write them, with EXIF data."""

import hashlib
import io

import numpy as np
from PIL import ExifTags, Image

PLACE = {1: "N", 2: (47.0, 30.0, 0.0), 3: "W", 4: (8.0, 15.0, 0.0)}


def camera_photo(
    width: int = 300,
    height: int = 200,
    seed: int = 1,
    place: dict[int, object] | None = None,
    camera: dict[int, str | None] | None = None,
    **exif: object,
) -> bytes:
    """A JPEG that lies on its side, taken on 17 May 2024 at 47.5 north, 8.25 west, with a comment.

    Args:
        width: as it lies; upright it is the height.
        height: see `width`.
        seed: of its pixels.
        place: its GPS tags, by their numbers.
        camera: tags of make and model, by their numbers; None leaves one out.
        exif: tags of the camera's directory (by their names) that differ; None leaves one out.
    """
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = 6
    for tag, value in (camera or {}).items():
        if value is not None:
            data[tag] = value
    of_camera = data.get_ifd(ExifTags.IFD.Exif)
    tags = {"DateTimeOriginal": "2024:05:17 18:02:33", "OffsetTimeOriginal": "+02:00"} | exif
    for name, written in tags.items():
        if written is not None:
            of_camera[ExifTags.Base[name]] = written
    of_place = data.get_ifd(ExifTags.IFD.GPSInfo)
    for tag, placed in (place or PLACE).items():
        of_place[tag] = placed
    small = np.random.default_rng(seed).integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, exif=data, comment=b"the photographer's secret")
    return file.getvalue()


def sha256_of(content: bytes) -> str:
    """Return the hash by which a photo is named."""
    return hashlib.sha256(content).hexdigest()

"""When, where and by what a photo was taken, from its EXIF data: what cannot be read is unknown, never an error.

Tags after EXIF 3.0 (CIPA DC-008). Call it where the photo is decoded, within bounds: EXIF data may be hostile.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

from pipeline.stored_photos import Taken

_TIMES = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
"""A time and its offset; not `DateTime`, which programs set when they write the file."""

_TIME = re.compile(r"\s*(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"\s*([+-])(\d\d):?(\d\d)")
_VOID = "V"  # GPSStatus: the receiver had no position
_CAMERA_CHARS = 200  # which a request may name it by


def read_taken(image: Image.Image) -> Taken:
    """Read when and where a photo was taken, and by what.

    Args:
        image: opened; loaded where its format keeps EXIF data behind the pixels.
    """
    found = Taken()
    with suppress(Exception):  # Pillow lets through whatever its parsers stumble over
        exif = image.getexif()
        of_camera, of_place = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        found = Taken(*_time(of_camera), *_place(of_place), _camera(exif, of_camera))
    return found


def _time(tags: Mapping[int, Any]) -> tuple[datetime | None, int | None]:
    for time_tag, offset_tag in _TIMES:
        matched = _TIME.match(_text(tags.get(time_tag)))
        if matched is None:
            continue
        with suppress(ValueError):  # a clock that was never set: month 0
            at = datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*matched.groups()))
            return at, _offset_min(tags.get(offset_tag) or tags.get(ExifTags.Base.OffsetTime))
    return None, None


def _offset_min(value: Any) -> int | None:
    matched = _OFFSET.match(_text(value))
    if matched is None:
        return None
    minutes = 60 * int(matched[2]) + int(matched[3])
    return None if minutes > 14 * 60 else -minutes if matched[1] == "-" else minutes


def _place(tags: Mapping[int, Any]) -> tuple[float | None, float | None]:
    if _text(tags.get(ExifTags.GPS.GPSStatus)).strip() == _VOID:
        return None, None
    latitude = _degrees(tags.get(ExifTags.GPS.GPSLatitude), tags.get(ExifTags.GPS.GPSLatitudeRef), "S", 90.0)
    longitude = _degrees(tags.get(ExifTags.GPS.GPSLongitude), tags.get(ExifTags.GPS.GPSLongitudeRef), "W", 180.0)
    return (None, None) if latitude is None or longitude is None else (latitude, longitude)


def _degrees(value: Any, reference: Any, negative: str, most: float) -> float | None:
    with suppress(TypeError, ValueError, ZeroDivisionError):
        degrees, minutes, seconds = (float(part) for part in value)
        found = degrees + minutes / 60 + seconds / 3600
        if math.isfinite(found) and 0.0 <= found <= most:
            return -found if _text(reference).strip().upper() == negative else found
    return None


def _camera(tags: Mapping[int, Any], of_camera: Mapping[int, Any]) -> str | None:
    """Return make, model and serial number, as far as they are written."""
    parts = [_word(tags.get(ExifTags.Base.Make)), _word(tags.get(ExifTags.Base.Model))]
    serial = _word(of_camera.get(ExifTags.Base.BodySerialNumber))
    named = ", ".join(part for part in (*parts, f"serial {serial}" if serial else "") if part)
    return named[:_CAMERA_CHARS] or None


def _word(value: Any) -> str:
    """Return text on one line, without what cannot be printed: cameras fill fields up with NUL and spaces."""
    return " ".join("".join(char if char.isprintable() else " " for char in _text(value)).split())


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""

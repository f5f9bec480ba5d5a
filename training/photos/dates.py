"""The day on which a photo was taken, from its EXIF data."""

import io
import struct
from datetime import date, datetime
from pathlib import Path
from typing import cast

from PIL import ExifTags

from pipeline.errors import ItemError
from pipeline.photos.formats import recognise

_EXIF_FORMAT = "%Y:%m:%d"
_DATE_CHARS = 10
_HEAD_BYTES = 1 << 16  # tells the format; the pixels behind it are not read from the disk
# EXIF data is written by hundreds of programs; whatever Pillow stumbles over says nothing about the photo itself.
_DAMAGE = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError)


def date_taken(path: Path) -> date | None:
    """Return the date in EXIF's DateTimeOriginal, or None where there is none that can be read.

    Only the file's header is decoded. A file that is no photo has no date either: that it cannot be read is reported
    where it is read.
    """
    try:
        with path.open("rb") as stream:
            kind = recognise(stream.read(_HEAD_BYTES), path.name)
            stream.seek(0)
            exif = kind.open(cast(io.BytesIO, stream)).getexif().get_ifd(ExifTags.IFD.Exif)
            text = exif.get(ExifTags.Base.DateTimeOriginal)
    except (ItemError, struct.error, *_DAMAGE):
        return None
    return _as_date(text) if isinstance(text, str) else None


def _as_date(text: str) -> date | None:
    """Cameras whose clock was never set write zeros or blanks."""
    try:
        return datetime.strptime(text[:_DATE_CHARS], _EXIF_FORMAT).date()
    except ValueError:
        return None

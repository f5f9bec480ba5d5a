"""Photo files made byte by byte, of kinds that Pillow cannot write."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

SHORT, LONG, BYTE = 3, 4, 1
_CODES = {SHORT: "H", LONG: "I", BYTE: "B"}

Tags = Mapping[int, tuple[int, Sequence[int]]]


def png(pixels: npt.NDArray[np.uint16], colour_type: int) -> bytes:
    """A 16-bit PNG after the PNG specification, from (h, w, channels) values."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(rows)) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and has none: a decompression bomb's header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(b"\x00"))


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff(tags: Tags, pixels: bytes = b"", byte_order: str = "<", sub_tags: Tags | None = None) -> bytes:
    """An uncompressed TIFF of one strip after TIFF 6.0, optionally with a directory below the first one.

    The layout is: header, pixels, the first directory with its values, the directory below it.
    """
    header_size = 8 + len(pixels) + len(pixels) % 2
    entries = {**tags, 273: (LONG, [8]), 279: (LONG, [len(pixels)])}
    if sub_tags is not None:
        first_size = len(_directory({**entries, 330: (LONG, [0])}, byte_order, 0))
        entries[330] = (LONG, [header_size + first_size])
    first = _directory(entries, byte_order, header_size)
    below = b"" if sub_tags is None else _directory(sub_tags, byte_order, header_size + len(first))
    magic = (b"II" if byte_order == "<" else b"MM") + struct.pack(byte_order + "HI", 42, header_size)
    return magic + pixels + b"\x00" * (len(pixels) % 2) + first + below


def _directory(tags: Tags, byte_order: str, offset: int) -> bytes:
    overflow_at = offset + 2 + 12 * len(tags) + 4
    entries, overflow = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        value = struct.pack(f"{byte_order}{len(values)}{_CODES[kind]}", *values)
        if len(value) > 4:
            place = struct.pack(byte_order + "I", overflow_at + len(overflow))
            overflow += value + b"\x00" * (len(value) % 2)
        else:
            place = value.ljust(4, b"\x00")
        entries += struct.pack(byte_order + "HHI", tag, kind, len(values)) + place
    return struct.pack(byte_order + "H", len(tags)) + entries + struct.pack(byte_order + "I", 0) + overflow


def tiff_of(pixels: npt.NDArray[np.uint16], byte_order: str = "<", photometric: int | None = None) -> bytes:
    """A 16-bit greyscale or RGB TIFF from (h, w) or (h, w, 3) values."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    tags = {
        256: (SHORT, [width]),
        257: (SHORT, [height]),
        258: (SHORT, [16] * channels),
        259: (SHORT, [1]),
        262: (SHORT, [(1 if channels == 1 else 2) if photometric is None else photometric]),
        277: (SHORT, [channels]),
        278: (SHORT, [height]),
    }
    return tiff(tags, pixels.astype(byte_order + "u2").tobytes(), byte_order)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image saved by Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()

"""What decoding a photo would take, told by its header: a small file can promise gigabytes or minutes of work."""

import re

from PIL import ImageFile

MAX_SCANS = 100
"""Scans of a JPEG: encoders write one, progressive ones about ten. Each is a pass over the whole photo."""

MAX_PIXELS = 120_000_000
"""Default pixel limit: above every camera in the field."""

BYTES_PER_DECODING_PIXEL = 24
"""Memory that a pixel may take while its photo is decoded, whatever the format (benchmarks/results/decode.md)."""

BYTES_PER_DECODED_PIXEL = 4
"""Memory that a pixel takes once its photo is decoded: Pillow pads RGB to four bytes."""

HEADER_BYTES = 64 * 2**20
"""Memory that reading a header may take, and that decoding may take beside its pixels."""

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # no stuffed byte and no restart, which stand within a scan
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_WITHOUT_LENGTH = frozenset({0x01, _START_OF_IMAGE})
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def count_jpeg_scans(content: bytes) -> int:
    """Count the scans of a JPEG's first picture, as far as one past `MAX_SCANS`.

    Args:
        content: the whole file; what a damaged one makes of it is for the decoder to say.
    """
    scans, place, all_at_once = 0, 2, 0
    while scans <= MAX_SCANS and (marker := _JPEG_MARKER.search(content, place)) is not None:
        kind, place = marker[1][0], marker.end()
        if kind == _END_OF_IMAGE:
            break
        if kind in _FRAMES:
            all_at_once = 0 if kind in _PROGRESSIVE_FRAMES else _whole(content[place + 7 : place + 8])
        if kind == _START_OF_SCAN:
            scans += 1
            if content[place + 2 : place + 3] == bytes([all_at_once]):
                break  # every component whole, as in a camera's JPEG: the decoder goes no further, nor need the count
        if kind not in _WITHOUT_LENGTH:
            place += int.from_bytes(content[place : place + 2], "big")
    return scans


def webp_size_px(content: bytes) -> tuple[int, int] | None:
    """Return width and height that a WebP's header promises: its decoder takes memory for them when it is opened.

    Args:
        content: begins as a WebP does.

    Returns:
        None where the header is none that WebP knows, which the decoder refuses.
    """
    match content[12:16]:
        case b"VP8X":
            return _whole(content[24:27]) + 1, _whole(content[27:30]) + 1
        case b"VP8L":
            bits = _whole(content[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return _whole(content[26:28]) & 0x3FFF, _whole(content[28:30]) & 0x3FFF
    return None


def tile_size_px(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Return width and height of the pieces that a TIFF is decoded in, which may be larger than the photo.

    Args:
        image: opened, of any format; others come in no pieces, so theirs is (0, 0).
    """
    tags = getattr(image, "tag_v2", {})
    width_px, length_px = tags.get(_TILE_WIDTH), tags.get(_TILE_LENGTH)
    if isinstance(width_px, int) and isinstance(length_px, int):
        return width_px, length_px
    return 0, 0


def _whole(little_endian: bytes) -> int:
    return int.from_bytes(little_endian, "little")

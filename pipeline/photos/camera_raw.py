"""Recognises camera raw files, so that the thumbnail inside one is never taken for the photo.

Many raw formats (NEF, ARW, DNG, CR2, PEF, SRW ...) are TIFF files whose first image is a small preview: an ordinary
TIFF reader opens them and returns the preview. They are told apart by what only they contain, after the TIFF 6.0,
TIFF/EP (ISO 12234-2) and DNG 1.7 specifications: a colour filter array, linear raw data, or a DNG version.
"""

import struct
from collections.abc import Iterator
from pathlib import PureWindowsPath

RAW_SUFFIXES = frozenset(
    """.3fr .arw .cap .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .ptx
    .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .x3f""".split()  # noqa: SIM905
)

_MAGICS = (
    (0, b"FUJIFILMCCD-RAW"),  # Fujifilm RAF
    (4, b"ftypcrx "),  # Canon CR3
    (8, b"CR\x02"),  # Canon CR2, after the TIFF header
    (6, b"HEAPCCDR"),  # Canon CRW
    (0, b"IIRO"),  # Olympus ORF
    (0, b"IIRS"),
    (0, b"MMOR"),
    (0, b"IIU\x00"),  # Panasonic RW2
    (0, b"\x00MRM"),  # Minolta MRW
    (0, b"FOVb"),  # Sigma X3F
)

_TIFF_HEADERS = {b"II*\x00": "<", b"MM\x00*": ">"}
_COMPRESSION, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 259, 262, 330, 50706
_RAW_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array; linear raw
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65000, 65024, 65535})  # Sony, Samsung, Nikon, Kodak, Pentax
_FORMATS = {3: ("H", 2), 4: ("I", 4), 13: ("I", 4)}  # TIFF types SHORT, LONG, IFD
_MAX_DIRECTORIES = 32
_MAX_ENTRIES = 1000
_MAX_VALUES = 16


def is_camera_raw(content: bytes) -> bool:
    """Tell whether the bytes of a file are those of a camera raw, whatever the file is called.

    Args:
        content: the whole file; damaged files are no error.
    """
    if any(content.startswith(magic, offset) for offset, magic in _MAGICS):
        return True
    byte_order = _TIFF_HEADERS.get(content[:4])
    return byte_order is not None and any(_is_raw(tags) for tags in _directories(content, byte_order))


def has_raw_suffix(name: str) -> bool:
    """Tell whether a file name (of any operating system) ends as camera raws do."""
    return PureWindowsPath(name).suffix.lower() in RAW_SUFFIXES


_Tags = dict[int, tuple[int, ...]]


def _is_raw(tags: _Tags) -> bool:
    return (
        _DNG_VERSION in tags
        or not _RAW_PHOTOMETRICS.isdisjoint(tags.get(_PHOTOMETRIC, ()))
        or not _RAW_COMPRESSIONS.isdisjoint(tags.get(_COMPRESSION, ()))
    )


def _directories(content: bytes, byte_order: str) -> Iterator[_Tags]:
    """Yield the tags of each image file directory: the chain of pages and the directories below each."""
    pending = [_number(content, byte_order + "I", 4)]
    seen: set[int] = set()
    while pending and len(seen) < _MAX_DIRECTORIES:
        offset = pending.pop(0)
        if offset in seen or offset == 0:
            continue
        seen.add(offset)
        tags, following = _read_directory(content, byte_order, offset)
        yield tags
        pending += [*tags.get(_SUB_IFDS, ()), following]


def _read_directory(content: bytes, byte_order: str, offset: int) -> tuple[_Tags, int]:
    count = _number(content, byte_order + "H", offset)
    if count > _MAX_ENTRIES:
        return {}, 0
    entries = (_read_entry(content, byte_order, offset + 2 + 12 * place) for place in range(count))
    return dict(entries), _number(content, byte_order + "I", offset + 2 + 12 * count)


def _read_entry(content: bytes, byte_order: str, offset: int) -> tuple[int, tuple[int, ...]]:
    """Return a tag and its first few whole numbers; other kinds of values come back empty."""
    tag = _number(content, byte_order + "H", offset)
    code, size = _FORMATS.get(_number(content, byte_order + "H", offset + 2), ("", 0))
    if not code:
        return tag, ()
    count = _number(content, byte_order + "I", offset + 4)
    place = offset + 8 if count * size <= 4 else _number(content, byte_order + "I", offset + 8)
    values = range(min(count, _MAX_VALUES))
    return tag, tuple(_number(content, byte_order + code, place + size * value) for value in values)


def _number(content: bytes, code: str, offset: int) -> int:
    """Read one whole number, 0 past the end of the file."""
    if offset + struct.calcsize(code) > len(content):
        return 0
    return int(struct.unpack_from(code, content, offset)[0])

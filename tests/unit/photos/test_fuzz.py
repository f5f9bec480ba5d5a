"""Mutated photos of every accepted format: none crashes or hangs anything, each has an outcome of its own."""

import asyncio
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pillow_heif
import psutil
import pytest
from PIL import Image

from pipeline.errors import ItemError
from pipeline.photos.process_decoder import SMALL_BYTES, ProcessDecoder
from pipeline.records import BoundingBox
from tests.unit.photos.photo_files_made import saved

KINDS = ("JPEG", "progressive JPEG", "PNG", "TIFF", "compressed TIFF", "WebP", "HEIC")
AT_ONCE = 4
LONGEST_S = 10.0
OUTCOMES = {"photo", "unreadable", "unsupported", "too_large"}


def seeds(kind: str) -> list[bytes]:
    """Small photos of one format, of several kinds of content."""
    noise = np.random.default_rng(5).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [Image.fromarray(noise), Image.new("RGB", (64, 48), "navy"), Image.fromarray(noise).convert("L")]
    if kind == "HEIC":
        pillow_heif.register_heif_opener()
    format_, options = {
        "JPEG": ("JPEG", {"exif": exif}),
        "progressive JPEG": ("JPEG", {"progressive": True}),
        "PNG": ("PNG", {"exif": exif}),
        "TIFF": ("TIFF", {}),
        "compressed TIFF": ("TIFF", {"compression": "tiff_adobe_deflate", "exif": exif}),
        "WebP": ("WEBP", {"exif": exif}),
        "HEIC": ("HEIF", {"quality": 60}),
    }[kind]
    return [saved(image, format_, **options) for image in images]


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Change bytes, set lengths to extremes, and cut out, double or scramble pieces."""
    mutated = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place, length = chance.randrange(len(mutated)), chance.choice((1, 2, 4, 4, 64))
        match chance.randrange(6):
            case 0 | 1:
                mutated[place] = chance.randrange(256)
            case 2:
                mutated[place : place + 4] = chance.choice(
                    (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff\xff\0\0")
                )
            case 3:
                del mutated[place : place + length]
            case 4:
                mutated[place:place] = mutated[place : place + length] * chance.choice((1, 3, 50))
            case _:
                mutated[place : place + length] = chance.randbytes(length)
        if len(mutated) < 8:
            return content[:8]
    return with_checksums(bytes(mutated)) if mutated[:4] == b"\x89PNG" else bytes(mutated)


def with_checksums(content: bytes) -> bytes:
    """Make the checksums of a PNG's chunks right again, so that a decoder looks at what is in them."""
    mended, place = content[:8], 8
    while place + 8 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        body = content[place + 4 : end]
        mended += content[place : place + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        place = end + 4
    return mended + content[place:]


class Fuzzing:
    """What became of the photos of one format."""

    def __init__(self, decoder: ProcessDecoder) -> None:
        self.decoder = decoder
        self.outcomes: Counter[str] = Counter()
        self.crashes: list[bytes] = []
        self.longest_s = 0.0
        self.peak_bytes = 0

    async def run(self, contents: list[bytes], count: int, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(count):
            content = mutate(chance.choice(contents), chance)
            start = time.monotonic()
            await self.try_photo(content)
            self.longest_s = max(self.longest_s, time.monotonic() - start)

    async def try_photo(self, content: bytes) -> None:
        try:
            photo = await self.decoder.decode(lambda: content, "fuzzed", 224, 4_000_000)
        except ItemError as error:
            self.outcomes[error.code] += 1
            if "crash" in error.message:
                self.crashes.append(content)
            return
        await photo.crop(BoundingBox(0.0, 0.0, *map(float, photo.size_px)), 0.01, 224)
        photo.close()
        self.outcomes["photo"] += 1

    async def watch(self) -> None:
        while True:
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if "pipeline.photos.decoder_main" in child.cmdline():  # others are of earlier tests
                        self.peak_bytes = max(self.peak_bytes, child.memory_full_info().uss)
            await asyncio.sleep(0.05)


async def fuzz(kind: str, count: int) -> Fuzzing:
    decoder = ProcessDecoder(2**32, timeout_s=2 * LONGEST_S)
    fuzzing = Fuzzing(decoder)
    watching = asyncio.create_task(fuzzing.watch())
    await asyncio.gather(*(fuzzing.run(seeds(kind), count // AT_ONCE, seed) for seed in range(AT_ONCE)))
    watching.cancel()
    assert all(budget.free_bytes == budget.total_bytes for budget in (decoder.small, decoder.large))
    decoder.close()
    return fuzzing


def check(kind: str, fuzzing: Fuzzing, count: int) -> None:
    print(
        f"{kind}: {dict(fuzzing.outcomes)}, {len(fuzzing.crashes)} decoders crashed, longest {fuzzing.longest_s:.2f} s,"
        f" most memory of one decoder {fuzzing.peak_bytes / 2**20:.0f} MiB"
    )
    assert fuzzing.outcomes.total() == count
    assert set(fuzzing.outcomes) <= OUTCOMES
    assert fuzzing.outcomes["photo"] > 0
    assert fuzzing.longest_s < LONGEST_S
    assert fuzzing.peak_bytes < SMALL_BYTES + 64 * 2**20


@pytest.mark.parametrize("kind", KINDS)
async def test_mutated_photos_have_an_outcome_each(kind: str) -> None:
    check(kind, await fuzz(kind, 80), 80)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
async def test_twenty_thousand_mutated_photos_have_an_outcome_each(
    kind: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("proved", "20,000 photos")
    check(kind, await fuzz(kind, 20_000), 20_000)

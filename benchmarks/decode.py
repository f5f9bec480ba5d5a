"""What decoding in processes costs a photo, what memory a pixel takes in each format, and what hostile photos get.

    python -m benchmarks.decode

A photo is decoded, squashed and cropped once, in a thread of this process and in a decoding process by turns.
"""

import argparse
import asyncio
import io
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pillow_heif
import psutil
from PIL import Image

from benchmarks.material import CAMERA_SIZE_PX, SMALL_SIZE_PX, make_photos
from benchmarks.tables import heading, markdown, milliseconds
from benchmarks.workers import worker
from pipeline.errors import ItemError
from pipeline.photos.decoding import Decoder, HeldPhoto, ThreadDecoder
from pipeline.photos.images import decode_photo
from pipeline.photos.process_decoder import ProcessDecoder
from pipeline.records import BoundingBox
from pipeline.settings import Limits

LIMITS = Limits()
TIMEOUT_S = 20.0
FREED = {"MALLOC_MMAP_THRESHOLD_": str(2**18), "MALLOC_TRIM_THRESHOLD_": str(2**20), "MALLOC_ARENA_MAX": "2"}
MEASURED_PX = (4000, 3000)
WAITING = 24


async def hold(decoder: Decoder, content: bytes) -> HeldPhoto:
    """Decode a photo and cut out a box."""
    photo = await decoder.decode(lambda: content, "a.jpg", 224, LIMITS.max_photo_pixels)
    await photo.crop(BoundingBox(50.0, 50.0, 400.0, 300.0), 0.01, 224)
    return photo


async def compare(decoders: Sequence[Decoder], content: bytes, rounds: int) -> list[list[float]]:
    """Return the seconds of each decoder, which take turns."""
    seconds: list[list[float]] = [[] for _ in decoders]
    for number in range(rounds + 1):
        for times, decoder in zip(seconds, decoders, strict=True):
            start = time.perf_counter()
            (await hold(decoder, content)).close()
            if number:  # the first round warms up
                times.append(time.perf_counter() - start)
    return seconds


async def cost_table(rounds: int) -> str:
    """Compare the decoders on a small photo and on a camera's."""
    rows = []
    decoders = (ThreadDecoder(), ProcessDecoder(LIMITS.decoding_memory_bytes, TIMEOUT_S))
    for size_px, times in ((SMALL_SIZE_PX, 10 * rounds), (CAMERA_SIZE_PX, rounds)):
        content = make_photos(1, size_px)[0].read_bytes()
        in_thread, in_process = await compare(decoders, content, times)
        ratios = [process / thread for thread, process in zip(in_thread, in_process, strict=True)]
        size = f"{size_px[0]}x{size_px[1]}, {len(content) / 1e6:.1f} MB"
        more = median(in_process) - median(in_thread)
        cells = (milliseconds(median(in_thread)), milliseconds(median(in_process)), f"{more * 1000:+.1f}")
        rows.append((size, times, *cells, f"{median(ratios):.2f}"))
    decoders[1].close()
    return markdown(("JPEG", "photos", "thread ms", "process ms", "more ms", "process / thread"), rows)


def pictures() -> dict[str, Callable[[], bytes]]:
    """Return what makes a photo of each kind, the ones that take most memory among them."""
    noise = np.random.default_rng(1).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(MEASURED_PX)
    turned = Image.Exif()
    turned[0x0112] = 6
    grey = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) << 8)

    def saved(picture: Image.Image, kind: str, **options: object) -> Callable[[], bytes]:
        def save() -> bytes:
            file = io.BytesIO()
            picture.save(file, kind, **options)
            return file.getvalue()

        return save

    def deep_heic() -> bytes:
        file = io.BytesIO()
        values = np.asarray(image).astype(np.uint16) * 257
        pillow_heif.from_bytes("RGB;16", MEASURED_PX, values.tobytes()).save(file, quality=60, chroma=444)
        return file.getvalue()

    pillow_heif.register_heif_opener()
    return {
        "JPEG": saved(image, "JPEG", quality=90),
        "JPEG, progressive 4:4:4, turned": saved(image, "JPEG", progressive=True, subsampling=0, exif=turned),
        "JPEG, CMYK, turned": saved(image.convert("CMYK"), "JPEG", exif=turned),
        "PNG": saved(image, "PNG", compress_level=1),
        "PNG with transparency, turned": saved(image.convert("RGBA"), "PNG", compress_level=1, exif=turned),
        "PNG, 16-bit greyscale": saved(grey, "PNG", compress_level=1),
        "TIFF, 16-bit greyscale, LZW, turned": saved(grey, "TIFF", compression="tiff_lzw", exif=turned),
        "WebP": saved(image, "WEBP", quality=80, method=0),
        "WebP, lossless, turned": saved(image, "WEBP", lossless=True, quality=0, method=0, exif=turned),
        "HEIC": saved(image, "HEIF", quality=60),
        "HEIC, 10 bits, 4:4:4": deep_heic,
    }


def measure_memory(content: bytes) -> tuple[float, float]:
    """Decode a photo; returns the bytes a pixel taken at most and once it is decoded. For a process of its own."""
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "HEIF")
    decode_photo(small.getvalue(), "a")  # so that libraries are loaded
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # begins the highest mark anew
    before = psutil.Process().memory_info().rss
    photo = decode_photo(content, "a")
    after = psutil.Process().memory_info().rss
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    pixels = photo.size_px[0] * photo.size_px[1]
    return (peak - before) / pixels, (after - before) / pixels


def memory_table() -> str:
    """Measure each format in a new process."""
    rows = []
    for name, make in pictures().items():
        pool = worker(FREED)
        pool.submit(pillow_heif.register_heif_opener).result()
        peak, after = pool.submit(measure_memory, make()).result()
        pool.shutdown()
        rows.append((name, f"{peak:.1f}", f"{after:.1f}"))
    return markdown((f"photo of {MEASURED_PX[0]}x{MEASURED_PX[1]}", "most bytes/pixel", "decoded bytes/pixel"), rows)


def png_of_one_colour(width: int, height: int) -> bytes:
    """Return a PNG of very many pixels and a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    rows = b"".join([*(packer.compress(bytes(1 + width // 8)) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_of_scans(scans: int) -> bytes:
    """Return a progressive JPEG of a million pixels with so many scans more."""
    file = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * scans + content[-2:]


def tiff_of_tiles(side: int) -> bytes:
    """Return a TIFF of 100x100 pixels whose one tile has so many more."""
    packer = zlib.compressobj(1)
    tile = b"".join([*(packer.compress(bytes(side * 3)) for _ in range(side)), packer.flush()])
    offset = 8 + len(tile) + len(tile) % 2
    bits = offset + 2 + 12 * 10 + 4
    tags = ((256, 4, 1, 100), (257, 4, 1, 100), (258, 3, 3, bits), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3))
    tiles = ((322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(tile)))
    directory = b"".join(struct.pack("<HHII", *tag) for tag in (*tags, *tiles))
    end = struct.pack("<I", 0) + struct.pack("<HHH", 8, 8, 8)
    return struct.pack("<2sHI", b"II", 42, offset) + tile.ljust(offset - 8, b"\0") + b"\x0a\x00" + directory + end


async def attack(decoder: ProcessDecoder, content: bytes) -> str:
    """Decode a photo and hold it for a second, as while a segmenter works; returns what became of it."""
    try:
        photo = await hold(decoder, content)
    except ItemError as error:
        return error.code
    await asyncio.sleep(1.0)
    photo.close()
    return "answered"


async def watch_memory(peaks: list[int]) -> None:
    """Note the memory of the decoding processes over and over."""
    while True:
        used = 0
        for child in psutil.Process().children(recursive=True):
            try:
                used += child.memory_full_info().uss
            except psutil.NoSuchProcess:
                continue
        peaks.append(used)
        await asyncio.sleep(0.02)


async def attack_table() -> str:
    """Send each hostile photo, many at once, and a small good photo over and over beside them."""
    good = make_photos(1, SMALL_SIZE_PX)[0].read_bytes()
    hostile = {
        "PNG of 120 million pixels": png_of_one_colour(12_000, 10_000),
        "JPEG of 15,000 scans": jpeg_of_scans(15_000),
        "JPEG of 90 scans": jpeg_of_scans(80),
        "TIFF of 100x100 in a tile of 20,000x20,000": tiff_of_tiles(20_000),
        "TIFF of 100x100 in a tile of 10,000x10,000": tiff_of_tiles(10_000),
    }
    rows = []
    for name, content in hostile.items():
        decoder = ProcessDecoder(LIMITS.decoding_memory_bytes, TIMEOUT_S)
        (await hold(decoder, good)).close()
        peaks: list[int] = []
        watching = asyncio.create_task(watch_memory(peaks))
        start = time.perf_counter()
        attacks = [asyncio.create_task(attack(decoder, content)) for _ in range(WAITING)]
        waits = []
        while not all(task.done() for task in attacks):
            since = time.perf_counter()
            (await hold(decoder, good)).close()
            waits.append(time.perf_counter() - since)
            await asyncio.sleep(0.05)
        seconds = time.perf_counter() - start
        watching.cancel()
        decoder.close()
        outcome = ", ".join(sorted({task.result() for task in attacks}))
        shown = (f"{len(content) / 1e3:.0f}", outcome, f"{seconds:.1f}", f"{max(peaks) / 2**20:.0f}")
        rows.append((name, *shown, f"{max(waits) * 1000:.0f}"))
    return markdown(
        (f"{WAITING} at once", "kB each", "outcome", "s, all", "most MiB", "a small photo's longest ms"), rows
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="camera photos of each decoder")
    options = parser.parse_args(arguments)
    print(heading("decode"))
    print(asyncio.run(cost_table(options.rounds)))
    print(memory_table())
    print(asyncio.run(attack_table()))


if __name__ == "__main__":
    main()

"""Decoding in processes gives what decoding in threads gives; a photo that hangs, crashes or grows is alone with it."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.errors import (
    ItemError,
    NoAnimalError,
    PhotoNotFoundError,
    PhotoTooLargeError,
    SettingsError,
    UnreadablePhotoError,
)
from pipeline.photos.decoding import Decoder, HeldPhoto, ThreadDecoder
from pipeline.photos.process_decoder import ProcessDecoder, check_memory
from pipeline.records import BoundingBox
from pipeline.settings import Limits
from tests.unit.photos.photo_files_made import png_header_only, saved

GIB = 2**30
BOX = BoundingBox(20.0, 10.0, 250.0, 150.0)


def noise(width: int = 301, height: int = 203, seed: int = 1) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return saved(Image.fromarray(pixels), "PNG")


PHOTO = noise()


@pytest.fixture
async def decoder() -> AsyncIterator[ProcessDecoder]:
    decoder = ProcessDecoder(4 * GIB, timeout_s=20.0)
    yield decoder
    decoder.close()


async def held(decoder: Decoder, content: bytes = PHOTO, name: str = "a.png", max_pixels: int = 10**8) -> HeldPhoto:
    return await decoder.decode(lambda: content, name, 112, max_pixels)


def all_is_given_back(decoder: ProcessDecoder) -> bool:
    return all(budget.free_bytes == budget.total_bytes for budget in (decoder.small, decoder.large))


def processes() -> list[psutil.Process]:
    """The decoders and the process that they are forked off."""
    return [child for child in psutil.Process().children(recursive=True) if is_decoder(child)]


def is_decoder(process: psutil.Process) -> bool:
    try:
        return "pipeline.photos.decoder_main" in process.cmdline()
    except psutil.NoSuchProcess:  # ended, perhaps not yet buried
        return False


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone with all that it had open, which is later than that its command line is."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_photo_is_the_same_as_decoded_in_a_thread(decoder: ProcessDecoder) -> None:
    found, expected = await held(decoder), await held(ThreadDecoder())
    assert found.size_px == expected.size_px == (301, 203)
    assert found.sha256 == expected.sha256 == hashlib.sha256(PHOTO).hexdigest()
    np.testing.assert_array_equal(found.squashed, expected.squashed)
    for size_px in (64, 224):
        crops = [await photo.crop(BOX, 0.01, size_px) for photo in (found, expected)]
        np.testing.assert_array_equal(*crops)
    assert found.squashed.flags.writeable
    assert crops[0].flags.writeable


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "unreadable"), (b"text", "unsupported"), (PHOTO[:300], "unreadable"), (png_header_only(9999, 9999), "x")],
)
async def test_bad_photo_fails_as_in_a_thread(decoder: ProcessDecoder, content: bytes, code: str) -> None:
    messages = []
    for one in (decoder, ThreadDecoder()):
        with pytest.raises(ItemError) as caught:
            await held(one, content, "caf\udce9.png", max_pixels=10**6)
        messages.append((type(caught.value), caught.value.message))
    assert messages[0] == messages[1]
    assert messages[0][0].code == code or messages[0][0] is PhotoTooLargeError
    assert all_is_given_back(decoder)
    assert (await held(decoder)).size_px == (301, 203)


async def test_error_of_reading_the_file_is_passed_on(decoder: ProcessDecoder) -> None:
    def gone() -> bytes:
        raise PhotoNotFoundError("a.png: no such file")

    with pytest.raises(PhotoNotFoundError):
        await decoder.decode(gone, "a.png", 112, 10**6)
    assert (await held(decoder)).size_px == (301, 203)


async def test_box_too_small_to_cut_out_leaves_the_photo_as_it_is(decoder: ProcessDecoder) -> None:
    photo = await held(decoder)
    with pytest.raises(NoAnimalError):
        await photo.crop(BoundingBox(5.0, 5.0, 5.1, 5.1), 0.0, 64)
    assert (await photo.crop(BOX, 0.0, 64)).shape == (64, 64, 3)


async def test_decoders_go_on_with_the_next_photo(decoder: ProcessDecoder) -> None:
    for _ in range(5):
        photo = await held(decoder)
        await photo.crop(BOX, 0.0, 64)
        photo.close()
        photo.close()
    assert len(processes()) == 2
    assert all_is_given_back(decoder)


async def test_photos_that_are_held_together_keep_their_own_pixels(decoder: ProcessDecoder) -> None:
    contents = [noise(seed=seed) for seed in range(12)]
    photos = await asyncio.gather(*(held(decoder, content) for content in contents))
    assert [photo.sha256 for photo in photos] == [hashlib.sha256(content).hexdigest() for content in contents]
    expected = [await (await held(ThreadDecoder(), content)).crop(BOX, 0.0, 64) for content in contents]
    crops = await asyncio.gather(*(photo.crop(BOX, 0.0, 64) for photo in photos))
    np.testing.assert_array_equal(crops, expected)
    for photo in photos:
        photo.close()
    assert all_is_given_back(decoder)
    await eventually(lambda: len(processes()) <= 5)


# --- hangs, crashes, memory ------------------------------------------------------------------------------------------


async def test_photo_that_takes_too_long_is_its_own_outcome_and_its_decoder_is_killed() -> None:
    decoder = ProcessDecoder(4 * GIB, timeout_s=20.0)
    (await held(decoder)).close()
    decoder.timeout_s = 1e-3
    with pytest.raises(UnreadablePhotoError, match=r"slow\.png: took longer than 0\.001 s"):
        await held(decoder, saved(Image.new("RGB", (4000, 4000)), "PNG", compress_level=1), "slow.png")
    await eventually(lambda: len(processes()) == 1)
    assert all_is_given_back(decoder)
    decoder.timeout_s = 20.0
    assert (await held(decoder)).size_px == (301, 203)
    decoder.close()


@pytest.mark.parametrize("sent", [signal.SIGSEGV, signal.SIGKILL])
async def test_photo_whose_decoder_crashes_is_its_own_outcome(decoder: ProcessDecoder, sent: signal.Signals) -> None:
    first = await held(decoder)
    (crashed,) = [process for process in processes() if process.children() == []]
    second = await held(decoder)
    crashed.send_signal(sent)
    with pytest.raises(UnreadablePhotoError, match=r"a\.png: made the decoder crash"):
        await first.crop(BOX, 0.0, 64)
    first.close()
    assert (await second.crop(BOX, 0.0, 64)).shape == (64, 64, 3)
    second.close()
    assert all_is_given_back(decoder)


async def test_decoder_that_died_idle_costs_no_photo(decoder: ProcessDecoder) -> None:
    (await held(decoder)).close()
    (idle,) = [process for process in processes() if process.children() == []]
    idle.kill()
    await eventually(lambda: has_ended(idle))
    assert (await held(decoder)).size_px == (301, 203)


async def test_process_that_decoders_are_forked_off_is_started_anew(decoder: ProcessDecoder) -> None:
    (await held(decoder)).close()
    killed = processes()
    for process in killed:
        process.kill()
    await eventually(lambda: all(map(has_ended, killed)))
    assert (await held(decoder)).size_px == (301, 203)


async def test_decoding_takes_no_more_memory_than_was_taken_of_the_budget() -> None:
    decoder = ProcessDecoder(memory_bytes=20 * 2**20, timeout_s=20.0)  # of which photos of any size may take 15 MiB
    with pytest.raises(PhotoTooLargeError, match=r"a\.png: takes too much memory"):
        await held(decoder, saved(Image.new("RGB", (3000, 2000)), "PNG"))
    assert (await held(decoder)).size_px == (301, 203)
    assert decoder.large.free_bytes == decoder.large.total_bytes
    assert decoder.small.free_bytes == decoder.small.total_bytes - 4 * 301 * 203
    decoder.close()


async def test_large_photos_take_turns_and_small_ones_do_not_wait_for_them(decoder: ProcessDecoder) -> None:
    large = saved(Image.new("RGB", (10_000, 9_000)), "PNG", compress_level=1)  # 2.2 GB while in work
    first = asyncio.create_task(held(decoder, large, "first.png"))
    second = asyncio.create_task(held(decoder, large, "second.png"))
    await eventually(lambda: decoder.large.free_bytes < GIB)
    small = await held(decoder)
    assert not second.done()
    small.close()
    photo = await first
    assert decoder.large.free_bytes >= 0
    photo.close()
    (await second).close()
    assert all_is_given_back(decoder)


@pytest.mark.parametrize("stage", ["reading", "decoding", "cropping"])
async def test_cancelled_photo_gives_everything_back_at_once(
    decoder: ProcessDecoder, stage: str, tmp_path: Path
) -> None:
    (await held(decoder)).close()
    working = next(process for process in processes() if process.children() == [])
    if stage == "reading":
        os.mkfifo(tmp_path / "pipe")
        task = asyncio.create_task(held_later(decoder, (tmp_path / "pipe").read_bytes))
    elif stage == "decoding":
        working.suspend()  # as one that hangs
        task = asyncio.create_task(held_later(decoder, lambda: PHOTO))
    else:
        photo = await held(decoder)
        working.suspend()
        task = asyncio.create_task(cropped(photo))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if stage == "reading":
        (tmp_path / "pipe").write_bytes(b"")
    assert all_is_given_back(decoder)
    await eventually(lambda: not is_decoder(working))
    assert (await held(decoder)).size_px == (301, 203)


async def held_later(decoder: ProcessDecoder, read: Callable[[], bytes]) -> None:
    await decoder.decode(read, "a.png", 112, 10**6)


async def cropped(photo: HeldPhoto) -> None:
    try:
        await photo.crop(BOX, 0.0, 64)
    finally:
        photo.close()


PARENT = """
import asyncio, sys
from pipeline.photos.process_decoder import ProcessDecoder, check_memory

async def main():
    decoder = ProcessDecoder(2**32, 20.0)
    photo = await decoder.decode(sys.stdin.buffer.read, "a.png", 112, 10**6)
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_decoders_end_with_their_parent_whatever_they_do() -> None:
    pipe = subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdin=pipe, stdout=pipe)
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(PHOTO)
    parent.stdin.close()
    assert await parent.stdout.readline() == b"held\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == 2
    children[-1].suspend()
    parent.kill()
    await parent.wait()
    await eventually(lambda: not any(map(is_decoder, children)))


def test_decoders_import_neither_torch_nor_ray_nor_pydantic() -> None:
    code = "import sys, pipeline.photos.decoder_main; print(sorted({'torch', 'ray', 'pydantic'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_memory_for_decoding_holds_at_least_one_largest_photo() -> None:
    check_memory(Limits())
    with pytest.raises(SettingsError, match="make it at least 4800000000"):
        check_memory(Limits(max_photo_pixels=150_000_000))
    check_memory(Limits(max_photo_pixels=150_000_000, decoding_memory_bytes=4_800_000_000))

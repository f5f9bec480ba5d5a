"""Clients that attack a service: what each sends is defined here, for benchmarks.attacks and the end-to-end tests.

Each attack takes its victim and how much of it is to be done, 1.0 being what stopped an earlier release. It does not
read but where it must, and leaves without a word.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from benchmarks.decode import jpeg_of_scans, png_of_one_colour, tiff_of_tiles

STAY_S = 8.0
"""How long an attacker stays after what it has sent."""

CHUNK_BYTES = 2**20
UNFINISHED_BYTES = 50 * 2**20
SIXTEEN_MIB = 16 * 2**20

GONE = (ConnectionClosed, InvalidHandshake, TimeoutError, OSError)
"""What an attacker meets that is thrown out."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A service, and what an attacker needs to ask it for something.

    Attributes:
        url: WebSocket address.
        item: an element of `identify` that the service ranks.
        folder: where hostile photos may be written.
    """

    url: str
    item: dict[str, Any]
    folder: Path


Attack = Callable[[Victim, float], None]


def until_thrown_out(attack: Attack) -> Attack:
    """End an attack where the service ends its connection."""

    @wraps(attack)
    def carry_out(victim: Victim, share: float) -> None:
        with suppress(*GONE):
            attack(victim, share)

    return carry_out


@contextmanager
def _socket(victim: Victim) -> Iterator[ClientConnection]:
    """Connect, and leave without a close frame."""
    client = connect(victim.url, max_size=None, max_queue=1, open_timeout=60, ping_interval=None, close_timeout=0.1)
    try:
        yield client
    finally:
        client.socket.close()


@until_thrown_out
def small_messages(victim: Victim, share: float) -> None:
    """100,000 small messages at once."""
    text = json.dumps({"type": "cancel", "id": "never"})
    with _socket(victim) as client:
        for _ in range(int(100_000 * share)):
            client.send(text)
        time.sleep(STAY_S)


@until_thrown_out
def bad_elements(victim: Victim, share: float) -> None:
    """469 requests of 10,000 bad elements each, whose answers are not read."""
    with _socket(victim) as client:
        for number in range(int(469 * share)):
            client.send(json.dumps({"type": "extract", "id": str(number % 30), "fileNames": [0] * 10_000}))
        time.sleep(STAY_S)


def bad_elements_and_leave(victim: Victim, share: float) -> None:
    """60 such requests by a client that leaves at once, four times."""
    for _ in range(4):
        _ask_and_leave(victim, share)


@until_thrown_out
def _ask_and_leave(victim: Victim, share: float) -> None:
    with _socket(victim) as client:
        for number in range(int(60 * share)):
            client.send(json.dumps({"type": "extract", "id": str(number % 30), "fileNames": [0] * 10_000}))


def millions_of_values(victim: Victim, share: float) -> None:
    """Messages of 16 MiB with millions of values, each on a connection of its own."""
    for _ in range(max(1, int(4 * share))):
        _one_of_millions(victim, share)


@until_thrown_out
def _one_of_millions(victim: Victim, _: float) -> None:
    element = "{},"
    with _socket(victim) as client:
        client.send('{"type":"identify","id":"x","data":[' + element * (SIXTEEN_MIB // len(element) - 100) + "{}]}")
        time.sleep(STAY_S / 4)


@until_thrown_out
def unread_answers(victim: Victim, share: float) -> None:
    """300 rankings of a thousand items each, the classic way, of which no answer is read."""
    with _socket(victim) as client:
        for _ in range(int(300 * share)):
            client.send(json.dumps({"type": "identify", "data": [victim.item] * 1000}))
        time.sleep(STAY_S)


@until_thrown_out
def long_paths(victim: Victim, share: float) -> None:
    """100 paths of 64,000 folders."""
    path = "/" + "a/" * 64_000 + "a.jpg"
    with _socket(victim) as client:
        for number in range(int(100 * share)):
            client.send(json.dumps({"type": "extract", "id": str(number), "fileNames": [path]}))
            client.recv(timeout=60)
        time.sleep(STAY_S)


@until_thrown_out
def hostile_photos(victim: Victim, share: float) -> None:
    """24 photos each that swell (a tile of 20,000x20,000, 120 megapixels in 15 kB) or do not end (15,000 scans)."""
    makers = {
        "tile.tif": lambda: tiff_of_tiles(20_000),
        "wide.png": lambda: png_of_one_colour(12_000, 10_000),
        "scans.jpg": lambda: jpeg_of_scans(15_000),
    }
    victim.folder.mkdir(parents=True, exist_ok=True)
    for name, make in makers.items():
        if not (victim.folder / name).exists():
            (victim.folder / name).write_bytes(make())
    paths = [str(victim.folder / name) for name in makers] * max(1, int(24 * share))
    with _socket(victim) as client:
        client.send(json.dumps({"type": "extract", "id": "x", "fileNames": paths}))
        while json.loads(client.recv(timeout=300))["type"] != "complete":
            pass


def unfinished_uploads(victim: Victim, share: float) -> None:
    """20 connections at once that send 50 MiB each of a photo, and not its end."""
    count = max(1, int(20 * share))
    with ThreadPoolExecutor(count) as threads:
        for _ in range(count):
            threads.submit(_upload_without_end, victim)


def _upload_without_end(victim: Victim) -> None:
    photo = {"name": "a.jpg", "size": UNFINISHED_BYTES + CHUNK_BYTES}
    with _socket(victim) as client:
        client.send(json.dumps({"type": "extract", "id": "u", "uploads": [photo]}))
        sent = received = 0
        while sent < UNFINISHED_BYTES:
            if sent - received < SIXTEEN_MIB - CHUNK_BYTES:
                client.send(bytes(CHUNK_BYTES))
                sent += CHUNK_BYTES
            else:
                answer = json.loads(client.recv(timeout=10))
                if answer["type"] == "error":
                    return
                received += answer.get("bytes", 0)
        time.sleep(STAY_S)


def many_sockets(victim: Victim, share: float) -> None:
    """1,200 connections at once."""
    asyncio.run(_open_many(victim.url, int(1200 * share)))


async def _open_many(url: str, count: int) -> None:
    at_once = asyncio.Semaphore(50)
    opened = []

    async def open_one() -> None:
        async with at_once:
            with suppress(*GONE):
                opened.append(await connect_async(url, open_timeout=60, ping_interval=None, close_timeout=0.1))

    await asyncio.gather(*(open_one() for _ in range(count)))
    await asyncio.sleep(STAY_S)
    for client in opened:
        client.transport.abort()


@until_thrown_out
def saves_of_one_name(victim: Victim, share: float) -> None:
    """1,500 photos of one name are saved for one individual."""
    photos = [victim.folder / f"{number}" / "IMG_0001.jpg" for number in range(int(1500 * share))]
    for number, photo in enumerate(photos):
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(number.to_bytes(4, "big"))
    saved = [{"file": str(photo), "selectedIdentity": "ONE_NAME"} for photo in photos]
    with _socket(victim) as client:
        client.send(json.dumps({"type": "save", "id": "s", "whaleIdentities": saved}))
        while json.loads(client.recv(timeout=300))["type"] not in ("complete", "error"):
            pass


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        small_messages,
        bad_elements,
        bad_elements_and_leave,
        millions_of_values,
        unread_answers,
        long_paths,
        hostile_photos,
        unfinished_uploads,
        many_sockets,
        saves_of_one_name,
    )
}

"""The client against the real session: both must mean the same by the protocol."""

import asyncio
import hashlib
import os
import random
import time
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from pipeline.client import AsyncClient, ClientOptions, Query
from pipeline.records import (
    UNKNOWN,
    UNKNOWN_DISTANCE,
    Candidate,
    Extracted,
    Failure,
    Ranking,
    SaveOutcome,
    UploadSource,
)
from pipeline.session.actions import (
    Action,
    CloseConnection,
    ExtractPhoto,
    IdentifyItems,
    SavePhotos,
    SendText,
    StopRequest,
    StoreConfirmations,
)
from pipeline.session.session import Session
from tests.unit.session.session_made import SmallLimits, found, make_session

MIB = 2**20
QUICK = ClientOptions(connect_s=1.0, reconnect_s=5.0, first_delay_s=0.005, longest_delay_s=0.02)
ROOMY = SmallLimits(max_photo_bytes=64 * MIB, max_photos_per_request=10_000, max_requests_per_connection=8)


class RealClock:
    """Time as it passes."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now()


@dataclass
class Service:
    """A tiny shell around real sessions, with a pipeline that only looks at names.

    Attributes:
        limits: of the sessions.
        ack_timeout_s: of the sessions.
        photo_s: seconds a photo takes.
        lives: messages that each connection in turn may send before it breaks; the later ones live on.
    """

    limits: SmallLimits = ROOMY
    ack_timeout_s: float = 60.0
    photo_s: float = 0.0
    lives: list[int] = field(default_factory=list)
    extracted: Counter[str] = field(default_factory=Counter)
    confirmed: dict[str, str] = field(default_factory=dict)
    transactions: list[int] = field(default_factory=list)
    connections: int = 0
    closes: list[int] = field(default_factory=list)

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one connection."""
        self.connections += 1
        await _Shell(self, socket, self.lives.pop(0) if self.lives else None).run()


class _Shell:
    def __init__(self, service: Service, socket: ServerConnection, life: int | None) -> None:
        self.service = service
        self.socket = socket
        self.life = life
        self.session: Session = make_session(RealClock(), service.limits, ack_timeout_s=service.ack_timeout_s)  # type: ignore[arg-type]
        self.outbox: asyncio.Queue[SendText | CloseConnection] = asyncio.Queue()
        self.tasks: dict[asyncio.Task[None], int] = {}

    async def run(self) -> None:
        helpers = [asyncio.create_task(self.write()), asyncio.create_task(self.watch())]
        try:
            async for raw in self.socket:
                take = self.session.receive_bytes if isinstance(raw, bytes) else self.session.receive_text
                self.perform(take(raw))  # type: ignore[arg-type]
        except ConnectionClosed:
            pass
        self.perform(self.session.disconnected())
        for task in [*helpers, *self.tasks]:
            task.cancel()

    async def write(self) -> None:
        while True:
            action = await self.outbox.get()
            if isinstance(action, CloseConnection):
                self.service.closes.append(action.code)
                await self.socket.close(action.code, action.reason)
                return
            if self.life is not None:
                self.life -= 1
                if self.life < 0:
                    self.socket.transport.abort()
            await self.socket.send(action.text)

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            deadline = self.session.next_deadline()
            if deadline is not None and deadline <= time.monotonic():
                self.perform(self.session.tick())

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case SendText() | CloseConnection():
                    self.outbox.put_nowait(action)
                case ExtractPhoto():
                    self.start(self.extract(action), action.request)
                case IdentifyItems():
                    self.start(self.identify(action), action.request)
                case StoreConfirmations():
                    self.service.transactions.append(len(action.queries))
                    for item in action.queries:
                        self.service.confirmed[item.query.path] = item.query.identity or ""
                    self.perform(self.session.confirmations_stored(action.request))
                case SavePhotos():
                    for photo in action.items:
                        outcome = SaveOutcome(f"export/{photo.identity}/{Path(photo.file).name}")
                        self.perform(self.session.photo_saved(action.request, photo.index, outcome))
                case StopRequest():
                    for task in [task for task, request in self.tasks.items() if request == action.request]:
                        task.cancel()

    def start(self, work: Any, request: int) -> None:
        task = asyncio.create_task(work)
        self.tasks[task] = request
        task.add_done_callback(self.tasks.pop)

    async def extract(self, action: ExtractPhoto) -> None:
        await asyncio.sleep(self.service.photo_s)
        self.perform(self.session.photo_started(action.request, action.index))
        source = action.source
        name = source.name if isinstance(source, UploadSource) else source.path
        self.service.extracted[name] += 1
        content = source.content if isinstance(source, UploadSource) else name.encode()
        self.perform(self.session.photo_segmented(action.request, action.index))
        extracted = _extraction(name, content, 3 if action.animals == "all" else 1)
        self.perform(self.session.photo_extracted(action.request, action.index, extracted))

    async def identify(self, action: IdentifyItems) -> None:
        for item in action.queries:
            await asyncio.sleep(0)
            candidates = (Candidate(item.query.path, 0.5), Candidate(UNKNOWN, UNKNOWN_DISTANCE))[: action.top_k]
            self.perform(self.session.item_identified(action.request, item.index, Ranking(candidates)))


def _extraction(name: str, content: bytes, animals: int) -> Extracted:
    sha256 = hashlib.sha256(content).hexdigest()
    if "empty-sea" in name:
        return Extracted((), Failure("no_animal", "no fluke or flank was found"), sha256)
    return replace(found(animals=animals), sha256=sha256)


@asynccontextmanager
async def running(service: Service) -> Any:
    """Serve; yield the address."""
    server = await serve(service.handle, "127.0.0.1", 0, max_size=16 * MIB, compression=None)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def codes(results: Any) -> list[str | None]:
    return [result.error.code if result.error else None for result in results]


async def test_paths_are_answered_with_every_field() -> None:
    photos = ["a.jpg", "empty-sea.jpg", "b.jpg", "a.jpg"]
    async with running(Service()) as url, AsyncClient(url, options=QUICK) as client:
        results = await client.extract(photos)
    assert [result.path for result in results] == photos
    assert codes(results) == [None, "no_animal", None, None]
    assert results[0].box_xyxy_px == (10.0, 20.0, 110.5, 80.0)
    assert (results[0].body_part, results[0].embedding, results[0].model) == ("fluke", (0.5, -0.25), "5e1f00d")
    assert results[1].sha256 == hashlib.sha256(b"empty-sea.jpg").hexdigest()


@pytest.mark.parametrize("animals", ["best", "all"])
async def test_long_streams_flow(animals: Any) -> None:
    photos = [f"{number}.jpg" for number in range(1500)]
    async with running(Service()) as url, AsyncClient(url, options=QUICK) as client:
        results = await client.extract(photos, animals=animals)
    each = 3 if animals == "all" else 1
    assert [(r.path, r.animal) for r in results] == [(photo, n + 1) for photo in photos for n in range(each)]


async def test_uploads_arrive_whole_while_the_server_is_slow(tmp_path: Path) -> None:
    service, photos = Service(photo_s=0.05), []
    for number in range(12):
        photos.append(tmp_path / f"{number}.jpg")
        photos[-1].write_bytes(os.urandom(5 * MIB + number))
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        results = await client.extract(photos, uploads=True)
    assert [r.sha256 for r in results] == [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    assert service.closes == []


async def test_uploads_that_are_refused_do_not_disturb_the_others(tmp_path: Path) -> None:
    names = {"good.jpg": 1000, "huge.jpg": 5000, "also-good.jpg": 3000}
    for name, size in names.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    service = Service(replace(ROOMY, max_photo_bytes=4000))
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        results = await client.extract([tmp_path / name for name in names], uploads=True)
    assert codes(results) == [None, "too_large", None]
    assert results[2].sha256 == hashlib.sha256((tmp_path / "also-good.jpg").read_bytes()).hexdigest()


async def test_cancelled_uploads_leave_the_connection_usable(tmp_path: Path) -> None:
    photos = []
    for number in range(6):
        photos.append(tmp_path / f"{number}.jpg")
        photos[-1].write_bytes(os.urandom(300_000))
    chance, service = random.Random(7), Service(photo_s=0.002)
    options = replace(QUICK, chunk_bytes=5_000)
    async with running(service) as url, AsyncClient(url, options=options) as client:
        for _ in range(15):
            call = asyncio.create_task(client.extract(photos, uploads=True))
            beside = asyncio.create_task(client.extract(photos[:1], uploads=True))
            await asyncio.sleep(chance.uniform(0.0, 0.08))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert codes(await beside) == [None]
        results = await client.extract(photos, uploads=True)
    assert [r.sha256 for r in results] == [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    assert (service.closes, service.connections) == ([], 1)


async def test_calls_of_all_kinds_overlap(tmp_path: Path) -> None:
    (tmp_path / "up.jpg").write_bytes(os.urandom(2 * MIB))
    service = Service(photo_s=0.001)
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        uploaded, found_, ranked, saved = await asyncio.gather(
            client.extract([tmp_path / "up.jpg"] * 3, uploads=True),
            client.extract([f"{number}.jpg" for number in range(50)]),
            client.identify([Query(f"{number}.jpg", "fluke", [0.5, 0.5]) for number in range(50)], 1),
            client.save([(f"/photos/{number}.jpg", "NOVA") for number in range(5)]),
        )
    assert (len(uploaded), len(found_), service.connections) == (3, 50, 1)
    assert [r.candidates[0].individual for r in ranked] == [f"{number}.jpg" for number in range(50)]
    assert [len(r.candidates) for r in ranked] == [1] * 50
    assert saved[4].new_file == "export/NOVA/4.jpg"


async def test_more_items_than_fit_a_message_are_split() -> None:
    service = Service()
    embedding = [0.12345678901234567] * 128
    items = [Query(f"/photos/{number}.jpg", "fluke", embedding, "NOVA") for number in range(7000)]
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        results = await client.identify(items, 1)
    assert [result.path for result in results] == [item.path for item in items]
    assert codes(results) == [None] * 7000
    assert len(service.confirmed) == 7000
    assert len(service.transactions) == 2
    assert service.transactions[0] > 5000


async def test_wrong_items_fail_by_themselves() -> None:
    items = [
        Query("a", "fluke", [0.5, 0.5], "NOVA"),
        Query("b", "tail", [0.5, 0.5]),
        Query("c", "fluke", [0.5, 0.5], "Unknown"),
        Query("d", "fluke", []),
        Query("e", "fluke", [0.5, 0.5], sha256="not hexadecimal"),
        Query("f", "flank", [0.5, 0.5]),
    ]
    async with running(Service()) as url, AsyncClient(url, options=QUICK) as client:
        results = await client.identify(items)
    assert codes(results) == [None, "unknown_body_part", "bad_identity", "bad_embedding", "bad_item", None]


async def test_a_caller_who_rests_too_long_still_gets_everything_once() -> None:
    photos = [f"{number}.jpg" for number in range(700)]
    service = Service(ack_timeout_s=0.1)
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        seen = []
        async with aclosing(client.extract_stream(photos)) as results:
            async for result in results:
                seen.append(result.path)
                if len(seen) in (1, 400):
                    await asyncio.sleep(0.4)
    assert sorted(seen) == sorted(photos)
    assert (service.closes, service.connections) == ([], 1)


async def test_requests_beyond_the_limit_wait_for_their_turn() -> None:
    service = Service(replace(ROOMY, max_requests_per_connection=2), photo_s=0.005)
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        answers = await asyncio.gather(*(client.extract([f"{name}.jpg"] * 3) for name in "abcdefgh"))
    assert [len(answer) for answer in answers] == [3] * 8


async def test_a_server_with_a_lower_limit_is_obeyed() -> None:
    photos = [f"{number}.jpg" for number in range(100)]
    service = Service(replace(ROOMY, max_photos_per_request=30))
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        assert [result.path for result in await client.extract(photos)] == photos


@pytest.mark.parametrize("seed", range(8))
async def test_every_photo_is_answered_once_however_the_connection_breaks(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    uploads, animals = seed % 2 == 1, "all" if seed % 4 > 1 else "best"
    photos = [tmp_path / f"{number}.jpg" for number in range(40)]
    for photo in photos:
        photo.write_bytes(photo.name.encode() * 1000)
    service = Service(lives=[chance.randrange(120) for _ in range(6)], photo_s=0.001)
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        seen = [(r.index, r.animal) async for r in client.extract_stream(photos, uploads=uploads, animals=animals)]
        stored = await client.confirm([Query(str(n), "fluke", [0.5, 0.5]) for n in range(300)], "NOVA")
    each = 3 if animals == "all" else 1
    assert sorted(seen) == [(number, animal + 1) for number in range(40) for animal in range(each)]
    assert codes(stored) == [None] * 300
    assert service.confirmed == {str(number): "NOVA" for number in range(300)}
    assert service.connections > 1


async def test_photos_answered_before_the_break_are_not_extracted_again() -> None:
    photos = [f"{number}.jpg" for number in range(200)]
    service = Service(lives=[150])
    async with running(service) as url, AsyncClient(url, options=QUICK) as client:
        await client.extract(photos)
    # Three messages a photo: some 50 came through, and at most a window of them was under way.
    assert 1 <= sum(count - 1 for count in service.extracted.values()) <= 256
    assert service.extracted["0.jpg"] == 1
    assert max(service.extracted.values()) == 2

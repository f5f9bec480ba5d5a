"""The client against the real edge (site, connections, sessions): both must mean the same by the protocol."""

import asyncio
import hashlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.client import AsyncClient, ClientOptions, Query
from pipeline.records import (
    UNKNOWN,
    UNKNOWN_DISTANCE,
    Candidate,
    Extracted,
    Failure,
    Ranking,
    Segmented,
    UploadSource,
)
from tests.integration.edge_made import Edge
from tests.unit.session.session_made import found

MIB = 2**20
QUICK = ClientOptions(connect_s=1.0, reconnect_s=5.0, first_delay_s=0.005, longest_delay_s=0.02)


@dataclass
class NamesExtractor:
    """Looks at names and bytes only: "empty-sea" shows no animal, every other photo one, or three where all are asked.

    Attributes:
        photo_s: seconds a photo takes.
        extracted: how often each was asked for.
    """

    photo_s: float = 0.0
    extracted: Counter[str] = field(default_factory=Counter)

    async def hand_over(self, source: Any) -> Any:
        return source

    async def extract(self, photo: Any, animals: str) -> AsyncIterator[Segmented | Extracted]:
        await asyncio.sleep(self.photo_s)
        uploaded = isinstance(photo, UploadSource)
        name = photo.name if uploaded else photo.path
        self.extracted[name] += 1
        sha256 = hashlib.sha256(photo.content if uploaded else name.encode()).hexdigest()
        yield Segmented()
        if "empty-sea" in name:
            yield Extracted((), Failure("no_animal", "no fluke or flank was found"), sha256)
        else:
            yield replace(found(animals=3 if animals == "all" else 1), sha256=sha256)


@dataclass
class KeyedCatalogue:
    """Keeps who was confirmed, does nothing for a key that it has seen, and ranks each photo's own name first.

    Attributes:
        corrections: what somebody else confirms right after the first confirmations: the individual by path.
        confirmed: the individual by path.
        transactions: confirmations stored at a time.
    """

    corrections: dict[str, str] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    transactions: list[int] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)

    async def heads(self) -> dict[str, Any]:
        return {}

    async def confirm(
        self, catalogue: str, queries: Sequence[Any], actor: object, key: str | None, may_guess: bool
    ) -> list[None]:
        if key is not None and key in self.keys:
            return [None] * len(queries)
        self.keys.add(key)
        self.transactions.append(len(queries))
        self.confirmed |= {query.path: query.identity for query in queries}
        self.confirmed |= self.corrections
        return [None] * len(queries)

    async def rank(self, catalogue: str, queries: Sequence[Any], top_k: int | None, detail: object) -> list[Ranking]:
        await asyncio.sleep(0)
        unknown = Candidate(UNKNOWN, UNKNOWN_DISTANCE)
        return [Ranking((Candidate(query.path, 0.5), unknown)[:top_k]) for query in queries]


def edge(photo_s: float = 0.0, corrections: dict[str, str] | None = None, **arguments: Any) -> Edge:
    """Return the edge, not yet served, with fakes that look at names."""
    arguments["limits"] = {"max_requests_per_connection": 8, **arguments.get("limits", {})}
    return Edge(extractor=NamesExtractor(photo_s), matcher=KeyedCatalogue(corrections or {}), **arguments)


@asynccontextmanager
async def asking(served: Edge, options: ClientOptions = QUICK) -> AsyncIterator[AsyncClient]:
    """Serve; yield a client."""
    with served:
        async with AsyncClient(served.url, options=options) as client:
            yield client


@asynccontextmanager
async def breaking(port: int, lives: list[int]) -> AsyncIterator[str]:
    """Pass bytes on to and from a port; yield the address.

    Args:
        port: of the edge.
        lives: bytes that each connection in turn may bring to the client before it breaks; the later ones live on.
    """

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, life: float) -> None:
        while life > 0 and (content := await reader.read(65_536)):
            writer.write(content[: int(min(life, len(content)))])
            await writer.drain()
            life -= len(content)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        life = lives.pop(0) if lives else float("inf")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = {
            asyncio.create_task(pass_on(reader, far_writer, float("inf"))),
            asyncio.create_task(pass_on(far_reader, writer, life)),
        }
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, far_writer):
            end.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def codes(results: Any) -> list[str | None]:
    return [result.error.code if result.error else None for result in results]


async def test_paths_are_answered_with_every_field() -> None:
    photos = ["a.jpg", "empty-sea.jpg", "b.jpg", "a.jpg"]
    async with asking(edge()) as client:
        results = await client.extract(photos)
    assert [result.path for result in results] == photos
    assert codes(results) == [None, "no_animal", None, None]
    assert results[0].box_xyxy_px == (10.0, 20.0, 110.5, 80.0)
    assert (results[0].body_part, results[0].embedding, results[0].model) == ("fluke", (0.5, -0.25), "5e1f00d")
    assert results[1].sha256 == hashlib.sha256(b"empty-sea.jpg").hexdigest()


@pytest.mark.parametrize("animals", ["best", "all"])
async def test_long_streams_flow(animals: Any) -> None:
    photos = [f"{number}.jpg" for number in range(1500)]
    async with asking(edge()) as client:
        results = await client.extract(photos, animals=animals)
    each = 3 if animals == "all" else 1
    assert [(r.path, r.animal) for r in results] == [(photo, n + 1) for photo in photos for n in range(each)]


async def test_uploads_arrive_whole_while_the_server_is_slow(tmp_path: Path) -> None:
    served, photos = edge(photo_s=0.05), []
    for number in range(12):
        photos.append(tmp_path / f"{number}.jpg")
        photos[-1].write_bytes(os.urandom(5 * MIB + number))
    async with asking(served) as client:
        results = await client.extract(photos, uploads=True)
    assert [r.sha256 for r in results] == [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    assert served.metrics.opened == 1


async def test_uploads_that_are_refused_do_not_disturb_the_others(tmp_path: Path) -> None:
    names = {"good.jpg": 1000, "huge.jpg": 5000, "also-good.jpg": 3000}
    for name, size in names.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    served = edge(limits={"max_photo_bytes": 4000})
    async with asking(served) as client:
        results = await client.extract([tmp_path / name for name in names], uploads=True)
    assert codes(results) == [None, "too_large", None]
    assert results[2].sha256 == hashlib.sha256((tmp_path / "also-good.jpg").read_bytes()).hexdigest()


async def test_cancelled_uploads_leave_the_connection_usable(tmp_path: Path) -> None:
    photos = []
    for number in range(6):
        photos.append(tmp_path / f"{number}.jpg")
        photos[-1].write_bytes(os.urandom(300_000))
    chance, served = random.Random(7), edge(photo_s=0.002)
    async with asking(served, replace(QUICK, chunk_bytes=5_000)) as client:
        for _ in range(15):
            call = asyncio.create_task(client.extract(photos, uploads=True))
            beside = asyncio.create_task(client.extract(photos[:1], uploads=True))
            await asyncio.sleep(chance.uniform(0.0, 0.08))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert codes(await beside) == [None]
        results = await client.extract(photos, uploads=True)
    assert [r.sha256 for r in results] == [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    assert served.metrics.opened == 1


async def test_calls_of_all_kinds_overlap(tmp_path: Path) -> None:
    (tmp_path / "up.jpg").write_bytes(os.urandom(2 * MIB))
    served = edge(photo_s=0.001)
    async with asking(served) as client:
        uploaded, found_, ranked, saved = await asyncio.gather(
            client.extract([tmp_path / "up.jpg"] * 3, uploads=True),
            client.extract([f"{number}.jpg" for number in range(50)]),
            client.identify([Query(f"{number}.jpg", "fluke", [0.5, 0.5]) for number in range(50)], 1),
            client.save([(f"/photos/{number}.jpg", "NOVA") for number in range(5)]),
        )
    assert (len(uploaded), len(found_), served.metrics.opened) == (3, 50, 1)
    assert [r.candidates[0].individual for r in ranked] == [f"{number}.jpg" for number in range(50)]
    assert [len(r.candidates) for r in ranked] == [1] * 50
    assert saved[4].new_file == "/export/NOVA/4.jpg"


async def test_more_items_than_fit_a_message_are_split() -> None:
    served = edge()
    embedding = [0.12345678901234567] * 128
    items = [Query(f"/photos/{number}.jpg", "fluke", embedding, "NOVA") for number in range(7000)]
    async with asking(served) as client:
        results = await client.identify(items, 1)
    assert [result.path for result in results] == [item.path for item in items]
    assert codes(results) == [None] * 7000
    assert len(served.matcher.confirmed) == 7000
    assert len(served.matcher.transactions) == 2
    assert served.matcher.transactions[0] > 5000


async def test_wrong_items_fail_by_themselves() -> None:
    items = [
        Query("a", "fluke", [0.5, 0.5], "NOVA"),
        Query("b", "tail", [0.5, 0.5]),
        Query("c", "fluke", [0.5, 0.5], "Unknown"),
        Query("d", "fluke", []),
        Query("e", "fluke", [0.5, 0.5], sha256="not hexadecimal"),
        Query("f", "flank", [0.5, 0.5]),
    ]
    async with asking(edge()) as client:
        results = await client.identify(items)
    assert codes(results) == [None, "unknown_body_part", "bad_identity", "bad_embedding", "bad_item", None]


async def test_a_caller_who_rests_too_long_still_gets_everything_once() -> None:
    photos = [f"{number}.jpg" for number in range(700)]
    served = edge(timeouts={"ack_timeout_s": 0.1})
    async with asking(served) as client:
        seen = []
        async with aclosing(client.extract_stream(photos)) as results:
            async for result in results:
                seen.append(result.path)
                if len(seen) in (1, 400):
                    await asyncio.sleep(0.4)
    assert sorted(seen) == sorted(photos)
    assert max(served.extractor.extracted.values()) > 1  # the server did end the request, and was asked again
    assert served.metrics.opened == 1


async def test_requests_beyond_the_limit_wait_for_their_turn() -> None:
    served = edge(photo_s=0.005, limits={"max_requests_per_connection": 2})
    async with asking(served) as client:
        answers = await asyncio.gather(*(client.extract([f"{name}.jpg"] * 3) for name in "abcdefgh"))
    assert [len(answer) for answer in answers] == [3] * 8


async def test_a_server_with_a_lower_limit_is_obeyed() -> None:
    photos = [f"{number}.jpg" for number in range(100)]
    served = edge(limits={"max_photos_per_request": 30})
    async with asking(served) as client:
        assert [result.path for result in await client.extract(photos)] == photos


@pytest.mark.parametrize("seed", range(8))
async def test_every_photo_is_answered_once_however_the_connection_breaks(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    uploads, animals = seed % 2 == 1, "all" if seed % 4 > 1 else "best"
    photos = [tmp_path / f"{number}.jpg" for number in range(40)]
    for photo in photos:
        photo.write_bytes(photo.name.encode() * 1000)
    lives = [chance.randrange(40_000) for _ in range(6)]
    with edge(photo_s=0.001) as served:
        async with breaking(served.port, lives) as url, AsyncClient(url, options=QUICK) as client:
            seen = [(r.index, r.animal) async for r in client.extract_stream(photos, uploads=uploads, animals=animals)]
            stored = await client.confirm([Query(str(n), "fluke", [0.5, 0.5]) for n in range(300)], "NOVA")
    each = 3 if animals == "all" else 1
    assert sorted(seen) == [(number, animal + 1) for number in range(40) for animal in range(each)]
    assert codes(stored) == [None] * 300
    assert served.matcher.confirmed == {str(number): "NOVA" for number in range(300)}
    assert len(lives) < 6
    assert served.metrics.opened > 1


async def test_photos_answered_before_the_break_are_not_extracted_again() -> None:
    photos = [f"{number}.jpg" for number in range(200)]
    with edge() as served:
        async with breaking(served.port, [30_000]) as url, AsyncClient(url, options=QUICK) as client:
            await client.extract(photos)
    asked = served.extractor.extracted
    # Some 600 bytes a photo: some 50 came through, and at most a window of them was under way.
    assert 1 <= sum(count - 1 for count in asked.values()) <= 256
    assert asked["0.jpg"] == 1
    assert max(asked.values()) == 2


async def test_a_confirmation_sent_again_after_a_break_leaves_somebody_elses_correction_alone() -> None:
    served = edge(corrections={"299": "CRUX"})
    with served:
        async with breaking(served.port, [10_000, 10_000]) as url, AsyncClient(url, options=QUICK) as client:
            stored = await client.confirm([Query(str(n), "fluke", [0.5, 0.5]) for n in range(300)], "NOVA")
    assert codes(stored) == [None] * 300
    assert served.metrics.opened == 3
    assert served.matcher.transactions == [300]
    assert served.matcher.confirmed == {**{str(number): "NOVA" for number in range(300)}, "299": "CRUX"}

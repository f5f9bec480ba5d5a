"""The real edge, site and connections, served by uvicorn on a real socket, with fakes for what stands behind it."""

import asyncio
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import numpy as np
import uvicorn
from websockets.sync.client import connect

from deployments.description import ServiceDescription
from deployments.health import RUNNING, Health
from deployments.photo_library import library_of
from deployments.photo_queue import PhotoQueue
from deployments.rights import rights_of
from deployments.services import Services
from deployments.site import Site
from pipeline.photo_store.store import PhotoStore
from pipeline.photos.decoding import ThreadDecoder
from pipeline.photos.stored import StoredPhotos
from pipeline.records import (
    UNKNOWN,
    Annotation,
    BoundingBox,
    Candidate,
    Embedding,
    Extracted,
    ExtractedAnimal,
    Failure,
    Ranking,
    SaveOutcome,
    Segmented,
)
from pipeline.session.fair_queue import FairQueue
from pipeline.settings import Settings

DESCRIPTION = ServiceDescription("cpu", "./models/demo", "humpback", "", ("fluke", "flank"))
DATABASE = "d" * 32
ANIMAL = ExtractedAnimal(
    Annotation(BoundingBox(1.0, 2.0, 3.0, 4.0), "fluke", 0.9, 1),
    Embedding(np.array([1.0, 0.0], dtype="float32"), "abc"),
)


class FakeMetrics:
    def __init__(self):
        self.outcomes = []
        self.opened = 0
        self.open_now = 0

    def photo_answered(self, outcome):
        self.outcomes.append(outcome)

    def received(self, size_bytes):
        pass

    def in_flight(self, photos):
        pass

    def connections(self, sockets):
        self.opened += sockets > self.open_now
        self.open_now = sockets


class FakeExtractor:
    """Answers "bad" paths with a failure, "slow" ones when they are released, all others with one animal."""

    def __init__(self):
        self.photos = []
        self.started = threading.Event()
        self.released = asyncio.Event()
        self.cancelled = threading.Event()

    async def hand_over(self, source):
        return source

    async def extract(self, photo, animals):
        self.photos.append(photo)
        name = getattr(photo, "path", None) or getattr(photo, "name", None) or photo.sha256
        try:
            if "slow" in name:
                self.started.set()
                await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        yield Segmented()
        if "bad" in name:
            yield Extracted((), Failure("unreadable", f"{name}: damaged"), None)
        else:
            yield Extracted((ANIMAL,), None, "ff")


@dataclass
class FakeMatcher:
    confirmed: list = field(default_factory=list)
    broken: Exception | None = None

    async def confirm(self, catalogue, queries, actor, key, may_guess):
        if self.broken:
            raise self.broken
        self.confirmed += [query.identity for query in queries]
        return [None] * len(queries)

    async def rank(self, catalogue, queries, top_k, detail):
        if self.broken:
            raise self.broken
        return [Ranking((Candidate("DANTE", 0.5), Candidate(UNKNOWN, 1.0))) for _ in queries]

    async def rank_in_several(self, catalogues, queries, top_k, detail):
        return await self.rank(None, queries, top_k, detail)

    async def heads(self):
        return {"default": {"version": 1, "nonce": "a"}}

    async def answer(self, message, permit):
        if self.broken:
            raise self.broken
        return {"asked": message.type, "by": permit.actor.name}


class FakeExport:
    def save(self, file, identity, local_peer):
        return SaveOutcome(f"/export/{identity}/{file.rpartition('/')[2]}")


class Edge:
    """A site on a free port of the loopback interface, in a thread of its own.

    Every attribute but the settings is a fake, made here where it is not given.
    """

    def __init__(self, health=None, *, extractor=None, matcher=None, **arguments):
        self.settings = Settings.model_validate(
            {"catalogue_url": "sqlite://", "photo_store": "memory://edge", **arguments}
        )
        self.extractor, self.matcher = extractor or FakeExtractor(), matcher or FakeMatcher()
        self.metrics = FakeMetrics()
        turns = FairQueue(self.settings.limits.in_flight_per_connection, self.settings.limits.in_flight_per_replica)
        rights = rights_of(self.settings)
        photos = PhotoQueue(self.extractor, turns, self.metrics)
        self.store = PhotoStore(self.settings.photo_store, DATABASE)
        looker = StoredPhotos(self.store, ThreadDecoder(), self.settings.limits)
        library = library_of(self.settings, DATABASE, looker, photos.turn)
        services = Services(photos, self.matcher, FakeExport(), rights, library)
        self.health = health or Health({"Ingress": RUNNING}, catalogue={"individuals": 3, "photos": 7})
        self._site = Site(self.settings, DESCRIPTION, services, self._health, self.metrics, rights, library)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(self.wrap(self._site.application()), log_level="error", ws="websockets-sansio")
        )

    def wrap(self, application):
        """What stands between the sockets and the edge."""
        return application

    async def _health(self):
        return self.health

    def __enter__(self):
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *error):
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])

    def release_slow_photos(self, after_s):
        self._loop.call_soon_threadsafe(self._loop.call_later, after_s, self.extractor.released.set)

    def drain(self, seconds):
        """Let the site close its sockets, as it is told before the service stops; returns what it took."""
        start = time.monotonic()
        asyncio.run_coroutine_threadsafe(self._site.drain(seconds), self._loop).result(10)
        return time.monotonic() - start

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/"

    def connect(self, query="", **options):
        return connect(f"{self.url}{query}", open_timeout=10, **options)

    def get(self, path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

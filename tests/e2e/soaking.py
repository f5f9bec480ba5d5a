"""What works on a service for hours, what hurts it meanwhile, and what is noted of both."""

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from websockets.exceptions import ConnectionClosed, WebSocketException

from benchmarks.hostile import ATTACKS, Victim
from benchmarks.processes import family_bytes, processes_by_kind
from benchmarks.workers import worker
from pipeline.client import Client, ClientError, PhotoResult, Query
from tests.e2e.running import Service
from tests.e2e.stub_networks import DIMENSION

KINDS = ("Ingress", "Extractor", "Segmenter", "FlukeEmbedder", "FlankEmbedder", "Matcher", "Catalogue", "Proxy")
ALONE = ("Catalogue", "Proxy")
"""Of which there is one."""

PHOTOS_A_REQUEST = 12
INDIVIDUALS = 40
RECONNECT_S = 0.5
ATTACK_SHARES = {
    "small_messages": 0.1,
    "bad_elements": 0.05,
    "bad_elements_and_leave": 0.1,
    "millions_of_values": 0.25,
    "unread_answers": 0.05,
    "long_paths": 0.2,
    "hostile_photos": 0.05,
    "unfinished_uploads": 0.1,
    "many_sockets": 0.1,
    "saves_of_one_name": 0.05,
}


@dataclass
class Notes:
    """What all clients met; each adds to it under the lock."""

    waits_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    photos: Counter[str] = field(default_factory=Counter)
    """Answers by outcome."""
    confirmed: dict[str, str] = field(default_factory=dict)
    """Photo and individual of each confirmation that was acknowledged."""
    kills: Counter[str] = field(default_factory=Counter)
    attacks: Counter[str] = field(default_factory=Counter)
    lost_connections: int = 0
    wrong: list[str] = field(default_factory=list)
    """What must not happen."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Material:
    """Photos with an animal in each, and files that have an outcome of their own instead."""

    good: Sequence[Path]
    bad: Mapping[Path, str]

    def draw(self, chance: random.Random) -> list[Path]:
        """Return the photos of one request, a bad one among them."""
        return [*chance.choices(self.good, k=PHOTOS_A_REQUEST - 1), chance.choice(list(self.bad))]

    def expected(self, photo: Path) -> str:
        """Return the outcome that a photo must have."""
        return self.bad.get(photo, "ok")


class Worker(ABC, threading.Thread):
    """Does one thing again and again until it is told to end."""

    def __init__(self, service: Service, notes: Notes, seed: int) -> None:
        super().__init__(daemon=True, name=f"{type(self).__name__} {seed}")
        self.service, self.notes = service, notes
        self.chance = random.Random(seed)
        self._ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            try:
                self.once(number)
            except (AssertionError, ClientError, OSError, WebSocketException) as error:  # what must not happen
                with self.notes.lock:
                    self.notes.wrong.append(f"{self.name}: {type(error).__name__}: {error}")
            number += 1

    def end(self) -> None:
        """Begin nothing more."""
        self._ended.set()

    @abstractmethod
    def once(self, number: int) -> None:
        """Do it once."""

    def timed(self, name: str, start: float) -> None:
        """Note how long something took."""
        with self.notes.lock:
            self.notes.waits_s[name].append(time.monotonic() - start)

    def pause(self, seconds: float) -> None:
        """Wait, or shorter where it is told to end."""
        self._ended.wait(seconds)


class Extracts(Worker):
    """Asks as the project's client does, by path and by upload in turns: each photo is answered once."""

    def __init__(self, service: Service, notes: Notes, seed: int, material: Material) -> None:
        super().__init__(service, notes, seed)
        self._material = material
        self._client = Client(service.url)

    def once(self, number: int) -> None:
        photos = self._material.draw(self.chance)
        uploads = number % 2 == 1
        if uploads:  # the client itself refuses what it cannot read
            photos = [photo for photo in photos if photo.exists()]
        start = time.monotonic()
        results = list(self._client.extract_stream(photos, uploads=uploads))
        self.timed("extract, uploads" if uploads else "extract, paths", start)
        check_answers(self.notes, self._material, photos, [(one.index, outcome(one)) for one in results])


class Streams(Worker):
    """Speaks the protocol by itself: within a connection nothing is answered twice, and every answer comes."""

    def __init__(self, service: Service, notes: Notes, seed: int, material: Material) -> None:
        super().__init__(service, notes, seed)
        self._material = material

    def once(self, number: int) -> None:
        try:
            socket = self.service.connect(ping_interval=None)
        except (WebSocketException, OSError):  # it is coming back
            self.pause(RECONNECT_S)
            return
        with socket:
            try:
                while not self._ended.is_set():
                    self._ask(socket)
            except ConnectionClosed:
                with self.notes.lock:
                    self.notes.lost_connections += 1

    def _ask(self, socket: Any) -> None:
        photos = self._material.draw(self.chance)
        start = time.monotonic()
        message = {"type": "extract", "id": "x", "stream": True, "fileNames": [str(photo) for photo in photos]}
        socket.send(json.dumps(message))
        answers = []
        while (heard := json.loads(socket.recv(timeout=300)))["type"] != "complete":
            if heard["type"] == "error":
                raise AssertionError(heard)
            if "item" in heard:
                answers.append((heard["item"]["index"], heard["item"].get("error", {}).get("code", "ok")))
        self.timed("extract, stream", start)
        check_answers(self.notes, self._material, photos, answers)


class Confirms(Worker):
    """Confirms a new photo, has it ranked, and saves one; remembers what was acknowledged."""

    def __init__(self, service: Service, notes: Notes, seed: int, material: Material, model: str) -> None:
        super().__init__(service, notes, seed)
        self._material, self._model = material, model
        self._client = Client(service.url)
        self._seed = seed

    def once(self, number: int) -> None:
        vector = np.random.default_rng([self._seed, number]).normal(size=DIMENSION)
        values = tuple(map(float, vector / np.linalg.norm(vector)))
        query = Query(f"soak-{self._seed}-{number}.jpg", "fluke", values, None, self._model)
        individual = f"individual-{self._seed}-{number % INDIVIDUALS}"
        self._confirm(query, individual)
        start = time.monotonic()
        (ranked,) = self._client.identify([query], top_k=1)
        self.timed("identify", start)
        assert ranked.error is None, ranked.error
        assert ranked.candidates[0].individual == individual or number >= INDIVIDUALS, ranked.candidates
        self._save(individual)
        self.pause(0.3)

    def _confirm(self, query: Query, individual: str) -> None:
        start = time.monotonic()
        (answer,) = self._client.confirm([query], individual)
        self.timed("confirm", start)
        assert answer.error is None, answer.error
        with self.notes.lock:
            self.notes.confirmed[query.path] = individual

    def _save(self, individual: str) -> None:
        photo = self.chance.choice(self._material.good)
        start = time.monotonic()
        (saved,) = self._client.save([(photo, individual)])
        self.timed("save", start)
        assert saved.error is None, saved.error
        assert saved.new_file is not None
        assert Path(saved.new_file).read_bytes() == photo.read_bytes()


class Attacks(Worker):
    """Attacks by turns, in a process of its own."""

    def __init__(self, service: Service, notes: Notes, seed: int, victim: Victim) -> None:
        super().__init__(service, notes, seed)
        self._victim = victim
        self._process = worker(gives_way=True)

    def once(self, number: int) -> None:
        name = list(ATTACK_SHARES)[number % len(ATTACK_SHARES)]
        self._process.submit(ATTACKS[name], self._victim, ATTACK_SHARES[name]).result()
        with self.notes.lock:
            self.notes.attacks[name] += 1


class Kills(Worker):
    """Kills a process of each kind in turns, at random moments.

    In the second half the oldest process of each kind is left alone, so that memory can be followed through it; the
    proxy and the writer, of which there is one each, are killed in the first half only.
    """

    def __init__(self, service: Service, notes: Notes, seed: int, pauses_s: tuple[float, float]) -> None:
        super().__init__(service, notes, seed)
        self._pauses_s = pauses_s
        self.spares_the_oldest = False

    def once(self, number: int) -> None:
        self.pause(self.chance.uniform(*self._pauses_s))
        kind = KINDS[number % len(KINDS)]
        found = processes_by_kind(psutil.Process()).get(kind, [])
        candidates = found[1:] if self.spares_the_oldest else found
        if len(found) < (1 if kind in ALONE else 2) or not candidates or self._ended.is_set():
            return  # the one that was killed last is not back yet
        self.chance.choice(candidates).kill()
        with self.notes.lock:
            self.notes.kills[kind] += 1


class Memory(Worker):
    """Reads what the oldest process of each kind holds."""

    def __init__(self, service: Service, notes: Notes, pause_s: float) -> None:
        super().__init__(service, notes, 0)
        self._pause_s = pause_s
        self.series: defaultdict[tuple[str, int], list[float]] = defaultdict(list)

    def once(self, number: int) -> None:
        for kind, found in processes_by_kind(psutil.Process()).items():
            if held := family_bytes(found[0]):
                self.series[kind, found[0].pid].append(held)
        self.pause(self._pause_s)

    def thirds(self) -> dict[str, tuple[float, float, float]]:
        """Return of each kind the medians of the first, middle and last third, of the one that lived through all."""
        longest = {kind: max((s for (k, _), s in self.series.items() if k == kind), key=len) for kind in KINDS}
        return {kind: _medians_of_thirds(values) for kind, values in longest.items()}

    def lives(self, kind: str) -> int:
        """Return how many processes of a kind were the oldest one."""
        return sum(k == kind for k, _ in self.series)


def _medians_of_thirds(values: Sequence[float]) -> tuple[float, float, float]:
    first, middle, last = np.array_split(np.array(values), 3)
    return float(np.median(first)), float(np.median(middle)), float(np.median(last))


def outcome(result: PhotoResult) -> str:
    """Return "ok" or the code of a photo's outcome."""
    return "ok" if result.error is None else result.error.code


def check_answers(notes: Notes, material: Material, photos: Sequence[Path], answers: Sequence[tuple[int, str]]) -> None:
    """Note an answer that is missing, came twice, or says something else than it must."""
    with notes.lock:
        notes.photos.update(code for _, code in answers)
        if sorted(index for index, _ in answers) != list(range(len(photos))):
            notes.wrong.append(f"{len(photos)} photos were answered {sorted(answers)}")
        for index, code in answers:
            if code != material.expected(photos[index]):
                notes.wrong.append(f"{photos[index].name}: {code}, not {material.expected(photos[index])}")


def end_all(workers: Sequence[Worker], timeout_s: float = 180.0) -> list[str]:
    """Let workers end what they do; returns those that hang."""
    for each in workers:
        each.end()
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda each: each.join(timeout_s), workers))
    return [each.name for each in workers if each.is_alive()]

"""Everything at once for an hour: nothing is lost, nothing is answered twice, and memory stays as it is.

Clients extract by path, by upload and by streams of their own, among bad photos, and confirm, identify and save,
while others attack and processes are killed. The short form takes half a minute. $WHALE_VISION_SOAK_MINUTES is another
length of the long form, $WHALE_VISION_SOAK_TABLE a file for its table.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.hostile import Victim
from benchmarks.processes import MIB
from benchmarks.tables import heading, markdown, percentile
from pipeline.model_files import load_model_folder, short_hash
from tests.e2e.running import Service, start_service, wait_until
from tests.e2e.soaking import (
    KINDS,
    Attacks,
    Confirms,
    Extracts,
    Kills,
    Material,
    Memory,
    Notes,
    Streams,
    Worker,
    end_all,
)
from tests.e2e.stub_networks import DIMENSION, StubNetworks
from tests.e2e.stub_photos import BRIGHT, write_photos
from tests.e2e.test_faults import stored_photos

pytestmark = pytest.mark.serve

HOUR = float(os.environ.get("WHALE_VISION_SOAK_MINUTES", "60"))
TABLE = os.environ.get("WHALE_VISION_SOAK_TABLE")
SHORT = 0.5
FLAT, FLAT_FROM_MINUTES = 1.10, 30.0
NOT_YET_FLAT = 1.5
"""Of a soak that is shorter: caches and heaps still fill."""


@pytest.fixture(scope="module")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two replicas of all that may have two, so that one of each kind can be killed while the other lives on."""
    two = {"min": 2, "max": 2}
    running = start_service(
        stub_models,
        tmp_path_factory.mktemp("soaked"),
        ray_cluster,
        StubNetworks(stub_models, detector_seconds=0.02, embedder_seconds=0.01),
        replicas=dict.fromkeys(("ingress", "extractor", "segmenter", "embedder", "matcher"), two),
        timeouts={"drain_timeout_s": 5, "unsent_timeout_s": 5},
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Photos of both body parts, and files that are none, or not whole."""
    folder = tmp_path_factory.mktemp("material")
    good = [*write_photos(folder / "dark", 20), *write_photos(folder / "bright", 20, BRIGHT, padding_bytes=2**18)]
    (folder / "text.jpg").write_text("no photo")
    (folder / "cut.jpg").write_bytes(good[0].read_bytes()[:300])
    (folder / "empty.jpg").touch()
    bad = {"text.jpg": "unsupported", "cut.jpg": "unreadable", "empty.jpg": "unreadable", "missing.jpg": "not_found"}
    return Material(good, {folder / name: code for name, code in bad.items()})


@pytest.mark.parametrize(
    "minutes", [SHORT, pytest.param(HOUR, marks=(pytest.mark.long, pytest.mark.timeout(HOUR * 60 + 1800)))]
)
def test_mixed_load_attacks_and_kills_lose_nothing_and_leave_memory_as_it_is(
    service, stub_models, material, tmp_path, minutes
):
    notes = Notes()
    item = {"path": "a.jpg", "type": "fluke", "embedding": [1.0] + [0.0] * (DIMENSION - 1)}
    victim = Victim(service.url, item, tmp_path / "hostile")
    model = short_hash(load_model_folder(stub_models).embedder_file("fluke"))
    workers = [
        Kills(service, notes, 1, (8.0, 16.0) if minutes > SHORT else (1.0, 3.0)),
        Attacks(service, notes, 2, victim),
        *(Extracts(service, notes, seed, material) for seed in (3, 4)),
        Streams(service, notes, 5, material),
        *(Confirms(service, notes, seed, material, model) for seed in (6, 7)),
    ]
    with at_work(workers):
        memory = soak(service, notes, workers, minutes * 60)
    wait_until(lambda: is_whole(service))

    levels = memory.thirds()
    report(notes, levels, minutes)
    assert notes.wrong == []
    assert_each_confirmation_is_stored_once(service, notes)
    assert set(notes.kills) == set(KINDS) or minutes <= SHORT
    assert {kind: memory.lives(kind) for kind in KINDS} == dict.fromkeys(KINDS, 1), "a process that was spared ended"
    most = FLAT if minutes >= FLAT_FROM_MINUTES else NOT_YET_FLAT
    grown = {kind: last / first for kind, (first, _, last) in levels.items() if last > first * most}
    assert grown == {}


@contextmanager
def at_work(workers: Sequence[Worker]) -> Iterator[None]:
    """Let workers work for as long as the block lasts; all must have ended soon after it."""
    for each in workers:
        each.start()
    try:
        yield
    finally:
        hanging = end_all(workers)
    assert hanging == []


def soak(service: Service, notes: Notes, workers: Sequence[Worker], seconds: float) -> Memory:
    """Let everybody work; returns what was read of the memory in the second half."""
    rest(notes, workers, seconds / 2)
    for each in workers:
        if isinstance(each, Kills):
            each.spares_the_oldest = True
    wait_until(lambda: is_whole(service))  # a kill of the first half may be healing still
    memory = Memory(service, notes, pause_s=min(10.0, seconds / 60))
    with at_work([memory]):
        rest(notes, [*workers, memory], seconds / 2)
    return memory


def rest(notes: Notes, workers: Sequence[Worker], seconds: float) -> None:
    """Wait, and not to the end where something is wrong already."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert notes.wrong == []
        assert all(each.is_alive() for each in workers)
        time.sleep(1.0)


def is_whole(service: Service) -> bool:
    """Whether every deployment runs; while the proxy comes back nobody answers."""
    try:
        return service.http("/healthz")[0] == 200
    except OSError:
        return False


def assert_each_confirmation_is_stored_once(service: Service, notes: Notes) -> None:
    rows = stored_photos(service)
    times = Counter(path for path, _ in rows)
    assert max(times.values()) == 1
    stored = dict(rows)
    assert {path: stored.get(path) for path in notes.confirmed} == notes.confirmed


def report(notes: Notes, levels: dict[str, tuple[float, float, float]], minutes: float) -> None:
    """Print the table, and write it where the environment says."""
    counts = [
        ("minutes", f"{minutes:g}"),
        ("requests", sum(map(len, notes.waits_s.values()))),
        *((f"photos answered {code}", count) for code, count in notes.photos.most_common()),
        ("confirmations acknowledged, each stored once", len(notes.confirmed)),
        ("attacks", notes.attacks.total()),
        ("kills", notes.kills.total()),
        ("connections lost by kills (plain client)", notes.lost_connections),
        ("answers missing, double or wrong", len(notes.wrong)),
    ]
    waits = [
        (name, len(values), f"{percentile(values, 50):.2f}", f"{percentile(values, 99):.2f}", f"{max(values):.1f}")
        for name, values in sorted(notes.waits_s.items())
    ]
    held = [
        (
            kind,
            notes.kills[kind],
            *(f"{each / MIB:.1f}" for each in thirds),
            f"{(thirds[2] / thirds[0] - 1) * 100:+.1f} %",
        )
        for kind, thirds in levels.items()
    ]
    text = "\n".join(
        (
            markdown(("what", "count"), counts),
            markdown(("request", "answered", "p50 s", "p99 s", "worst s"), waits),
            markdown(("process", "kills", "MiB, first third", "middle", "last", "change"), held),
        )
    )
    print(f"\n{text}")
    if TABLE:
        head = re.sub("`.*`", "`scripts/long-test -k soak`", heading("soak"), count=1)
        Path(TABLE).write_text(f"{head}\n{ABOUT}\n\n{text}", encoding="utf-8")


ABOUT = """Clients extract (by path, by upload, by a stream of their own), confirm, identify and save, bad photos among
the good ones, while others attack (benchmarks/hostile.py) and processes of each kind are killed by turns at random
moments; on stub networks, two replicas of each deployment but the writer. Waits include those for a killed process to
come back.

Memory is that of the last half: in it the oldest process of each kind is spared while its twin is killed on, and the
proxy, which has none, lives from the last kill of the first half on. Medians of the half's thirds; an extractor's
decoders are counted with it."""

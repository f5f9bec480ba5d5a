"""How long a client waits, and what the service's processes hold, while another client attacks.

    python -m benchmarks.attacks [--only bad_elements]

The start command serves light networks and a catalogue of 500 individuals, one replica of each. A client extracts a
small photo and identifies an embedding, by turns and without a pause, in a process of its own that goes before all
others. The attackers (benchmarks/hostile.py) and what reads the memory have processes of their own, too, at a low
priority (10): what is measured is what the service does to the client, not that attackers and client share the cores of
one machine.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from benchmarks.hostile import ATTACKS, Attack, Victim
from benchmarks.material import SMALL_SIZE_PX, make_models_with_catalogue, make_photos
from benchmarks.processes import MIB, family_bytes, processes_by_kind
from benchmarks.serving import Application, start_command
from benchmarks.tables import heading, markdown, milliseconds
from benchmarks.workers import go_first, worker

INDIVIDUALS = 500
SAMPLE_S = 0.5
ALONE_S = 20.0
TARGETS_S = {"identify": 1.0, "extract": 2.0}
DIMENSION = 128


@dataclass
class Waits:
    """What a client met: the seconds of each answer, by request, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"extract": [], "identify": []})
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measured:
    """One attack: the client's waits, and by kind of process the memory at first, at most and at last."""

    waits: Waits
    before: Mapping[str, int]
    most: Mapping[str, int]
    after: Mapping[str, int]
    replaced: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ATTACKS), default=list(ATTACKS), help="these (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="of each attack's size (default: 1)")
    parser.add_argument("--after", type=float, default=60.0, help="seconds until memory is to be back (default: 60)")
    options = parser.parse_args(arguments)
    print(heading("attacks"))
    one = {"min": 1, "max": 1}
    served = {
        "models_dir": str(make_models_with_catalogue(INDIVIDUALS)),
        "replicas": {"ingress": one, "extractor": one},
    }
    application = Application("light", served)
    attacks: dict[str, Attack | None] = {"(nobody)": None} | {name: ATTACKS[name] for name in options.only}
    with tempfile.TemporaryDirectory() as folder, start_command(Path(folder), [application]) as service:
        service.wait_until_healthy(application)
        item = {"path": "a.jpg", "type": "fluke", "embedding": [1.0] + [0.0] * (DIMENSION - 1)}
        victim = Victim(service.url(application), item, Path(folder) / "hostile")
        rows = {}
        with Bench(psutil.Process(service.process.pid), victim, options.share, options.after) as bench:
            bench.measure(None)  # warms up
            for name, attack in attacks.items():
                print(f"{name} ...", file=sys.stderr, flush=True)
                rows[name] = bench.measure(attack)
        print(table(rows, options.after))


class Bench:
    """A service, a client that works on it, an attacker, and somebody who reads the memory."""

    def __init__(self, service: psutil.Process, victim: Victim, share: float, after_s: float) -> None:
        """Start the processes.

        Args:
            service: the start command.
            victim: what is attacked.
            share: of each attack's size.
            after_s: seconds between the attacker's leaving and the last look at the memory.
        """
        self._service = service
        self._victim = victim
        self._share = share
        self._after_s = after_s
        self._photo = make_photos(8, SMALL_SIZE_PX)[0]
        self._client = worker()
        self._attacker = worker(gives_way=True)
        self._watcher = worker(gives_way=True)
        self._ended = victim.folder.parent / "ended"
        self._ended.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.touch()  # also where it was interrupted: the client works until this is there
        for pool in (self._client, self._attacker, self._watcher):
            pool.shutdown(cancel_futures=True)

    def measure(self, attack: Attack | None) -> Measured:
        """Let the client work while the attacker attacks, and for as long as the memory may take to come back."""
        before = self._watcher.submit(memory, self._service.pid).result()
        replicas = _replicas(self._service)
        self._ended.unlink()
        working = self._client.submit(work, self._victim, self._photo, self._ended)
        watching = self._watcher.submit(watch, self._service.pid, self._ended)
        self._attacker.submit(attack or rest, self._victim, self._share).result()
        time.sleep(self._after_s if attack else 0)
        self._ended.touch()
        most = watching.result()
        after = self._watcher.submit(memory, self._service.pid).result()
        now = _replicas(self._service)
        replaced = tuple(kind for kind, pids in replicas.items() if pids - now.get(kind, set()))
        return Measured(working.result(), before, most, after, replaced)


def _replicas(service: psutil.Process) -> dict[str, set[int]]:
    return {kind: {process.pid for process in found} for kind, found in processes_by_kind(service).items()}


def watch(service: int, ended: Path) -> dict[str, int]:
    """Return the most that each kind of process holds until a file is there."""
    most: dict[str, int] = {}
    while not ended.exists():
        for kind, held in memory(service).items():
            most[kind] = max(most.get(kind, 0), held)
        time.sleep(SAMPLE_S)
    return most


def memory(service: int) -> dict[str, int]:
    """Return the bytes that all processes of each kind hold, their children's included."""
    kinds = processes_by_kind(psutil.Process(service))
    return {kind: sum(family_bytes(process) for process in found) for kind, found in kinds.items()}


def rest(_: Victim, __: float) -> None:
    """Attack nobody."""
    time.sleep(ALONE_S)


def work(victim: Victim, photo: Path, ended: Path) -> Waits:
    """Extract and identify by turns until a file is there; a lost connection is an error, after which it goes on."""
    go_first()
    waits = Waits()
    requests = {
        "extract": {"type": "extract", "id": "e", "fileNames": [str(photo)]},
        "identify": {"type": "identify", "id": "i", "data": [victim.item], "topK": 1},
    }
    while not ended.exists():
        try:
            with connect(victim.url, max_size=None, open_timeout=60) as client:
                while not ended.exists():
                    for name, request in requests.items():
                        start = time.monotonic()
                        waits.errors += _ask(client, request)
                        waits.seconds[name].append(time.monotonic() - start)
        except (WebSocketException, OSError) as error:
            waits.errors.append(type(error).__name__)
            time.sleep(SAMPLE_S)
    return waits


def _ask(client: ClientConnection, request: Mapping[str, Any]) -> list[str]:
    """Ask, and return the codes of what went wrong."""
    client.send(json.dumps(request))
    errors: list[str] = []
    while True:
        message = json.loads(client.recv(timeout=120))
        errors += [entry["error"]["code"] for entry in message.get("data", []) if "error" in entry]
        if message["type"] == "error":
            return [*errors, str(message["code"])]
        if message["type"] == "complete":
            return errors


def table(rows: Mapping[str, Measured], after_s: float) -> str:
    """Return the two tables."""
    head = ("attack", "answers", "errors", "identify: worst ms", "photo: worst ms", "replicas replaced")
    waits = []
    for name, row in rows.items():
        seconds = row.waits.seconds
        shown = [_against(max(seconds[kind], default=0.0), TARGETS_S[kind]) for kind in ("identify", "extract")]
        answers = sum(map(len, seconds.values()))
        waits.append((name, answers, len(row.waits.errors), *shown, ", ".join(row.replaced) or "none"))
    kinds = sorted({kind for row in rows.values() for kind in row.before})
    held = []
    for name, row in rows.items():
        cells = []
        for kind in kinds:
            most, after = ((place[kind] - row.before[kind]) / MIB for place in (row.most, row.after))
            cells.append(f"{most:+.0f} / {after:+.0f}")
        held.append((name, *cells))
    text = (
        f"The second client's waits; at most {TARGETS_S['identify']:g} s, {TARGETS_S['extract']:g} s for a photo.\n\n"
        f"{markdown(head, waits)}\nMiB above what was held before: at most, and {after_s:g} s after the attacker left. "
        f"The extractor's decoders are counted with it.\n\n{markdown(('attack', *kinds), held)}"
    )
    return f"{' '.join((__doc__ or '').split('    python')[0].split())}\n\n{text}"


def _against(seconds: float, target_s: float) -> str:
    return milliseconds(seconds) + ("" if seconds <= target_s else " (!)")


if __name__ == "__main__":
    main()

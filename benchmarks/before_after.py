"""Whether a change made the service slower or faster: another checkout and this one, asked in turn.

    git worktree add ../before main~1
    python -m benchmarks.before_after ../before

Three things are measured: extract; identify while another client extracts a hundred photos; and the seconds from the
start command to the first answer. Two runs one after the other differ by more than most changes do, on a machine that
also does other things. So for the first two both services are up at once, each in its own Ray cluster and with its own
start command, and are asked in turn; a ratio is taken within a round, and the order changes from round to round. They
are asked over the socket in the protocol's own words, so that no checkout's client takes part; who asks goes before all
other processes, so that its own turn is not measured.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.material import (
    CAMERA_SIZE_PX,
    SMALL_SIZE_PX,
    make_models,
    make_models_with_catalogue,
    make_photos,
)
from benchmarks.plain_client import PlainClient
from benchmarks.ratios import CONFIDENCE, ratio_interval
from benchmarks.serving import ROOT, Application, Running, start_command
from benchmarks.tables import heading, markdown, milliseconds, percentile
from benchmarks.workers import go_first

PARTS = ("extract", "interference", "start")
DIFFERENT_PHOTOS = 8
INDIVIDUALS = 500
SETTLE_S = 5.0
"""After the start: Ray goes on starting things of its own."""
PAUSE_S = 0.02
"""Between two questions of the client that waits while another extracts."""
LEAST_RATIO = 0.95


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked in a round: requests of one photo, one request of many, and the request of the other client."""

    size_px: tuple[int, int]
    single: int
    many: int
    other: int


LOADS = {"seed": Load(CAMERA_SIZE_PX, 2, 8, 8), "narrow": Load(SMALL_SIZE_PX, 25, 40, 100)}

Roots = Mapping[str, Path]
"""The two checkouts: "before" and "now"."""
Measures = dict[str, float]
"""Seconds of one checkout in one round, by what was measured."""
Rounds = list[dict[str, Measures]]
"""Each round's measures by the checkout's name."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout; runs in this environment")
    parser.add_argument("--networks", choices=sorted(LOADS), default="narrow", help="light ones or the seed's")
    parser.add_argument("--backend", choices=("auto", "openvino", "torch"), default="auto")
    parser.add_argument("--rounds", type=int, default=10, help="of each part, at least 2 (default: 10)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    options = parser.parse_args(arguments)
    if options.rounds < 2:
        parser.error("an interval needs at least 2 rounds")
    print(heading("before_after"))
    models = make_models_with_catalogue(INDIVIDUALS) if options.networks == "narrow" else make_models("seed")
    application = Application("compared", {"models_dir": str(models), "backend": options.backend})
    roots = {"before": options.before.resolve(), "now": ROOT}
    load = LOADS[options.networks]
    rows: list[Sequence[object]] = []
    if parts := [part for part in options.parts if part != "start"]:
        rows += table_rows(asyncio.run(ask_in_turn(application, roots, load, options.rounds, parts)))
    if "start" in options.parts:
        rows += table_rows(asyncio.run(start_in_turn(application, roots, load, options.rounds)))
    print(_table(rows, f"{options.networks} networks, {options.backend} backend, {options.rounds} rounds"))


async def ask_in_turn(application: Application, roots: Roots, load: Load, rounds: int, parts: Sequence[str]) -> Rounds:
    """Ask both services, which are up at once, in turn.

    Args:
        application: what both serve.
        roots: the checkouts.
        load: of a round.
        rounds: how many.
        parts: "extract", "interference" or both.
    """
    small = make_photos(DIFFERENT_PHOTOS, load.size_px)
    camera = make_photos(DIFFERENT_PHOTOS, CAMERA_SIZE_PX)
    async with AsyncExitStack() as stack:
        urls = {name: stack.enter_context(started(application, root)).url(application) for name, root in roots.items()}
        await asyncio.sleep(SETTLE_S)
        go_first()
        clients = {name: await stack.enter_async_context(PlainClient(url)) for name, url in urls.items()}
        others = {name: await stack.enter_async_context(PlainClient(url)) for name, url in urls.items()}
        for client in clients.values():
            await client.extract(small)  # the first photos pay for caches and lazy initialisation
            await client.extract(camera)

        async def measure(name: str) -> Measures:
            measures: Measures = {}
            if "extract" in parts:
                measures |= await time_extract(clients[name], small, load)
            if "interference" in parts:
                measures |= await time_interference(
                    clients[name], others[name], small[:1], _repeated(camera, load.other)
                )
            return measures

        return await _take_turns(tuple(roots), rounds, measure)


async def start_in_turn(application: Application, roots: Roots, load: Load, rounds: int) -> Rounds:
    """Start and stop the services in turn, each with a folder, a catalogue and a Ray cluster of its own.

    Args:
        application: what both serve.
        roots: the checkouts.
        load: the size of its photos is that of the first question.
        rounds: how many.
    """
    photo = make_photos(1, load.size_px)

    async def measure(name: str) -> Measures:
        begin = time.perf_counter()
        with started(application, roots[name], orderly=False) as service:
            healthy_s = time.perf_counter() - begin
            async with PlainClient(service.url(application)) as client:
                await client.extract(photo)
            return {"start until healthy": healthy_s, "start until the first answer": time.perf_counter() - begin}

    return await _take_turns(tuple(roots), rounds, measure)


async def _take_turns(names: Sequence[str], rounds: int, measure: Callable[[str], Awaitable[Measures]]) -> Rounds:
    taken: Rounds = []
    for number in range(rounds):
        order = names if number % 2 == 0 else names[::-1]
        taken.append({name: await measure(name) for name in order})
    return taken


async def time_extract(client: PlainClient, photos: Sequence[Path], load: Load) -> Measures:
    """Return the seconds a photo, for one photo a request (the median of some) and for many."""
    single = [await client.extract([photos[number % len(photos)]]) for number in range(load.single)]
    many = await client.extract(_repeated(photos, load.many))
    return {
        "extract, 1 photo a request": median(request.seconds for request in single),
        f"extract, {load.many} photos a request, each": many.seconds / load.many,
    }


async def time_interference(
    client: PlainClient, other: PlainClient, photo: Sequence[Path], many: Sequence[Path]
) -> Measures:
    """Return the seconds of one client's identify requests while another's extract of many photos runs, and of that."""
    query = (await client.extract(photo)).entries
    running = asyncio.create_task(other.extract(many))
    waits: list[float] = []
    while not running.done():
        waits.append((await client.identify(query)).seconds)
        await asyncio.sleep(PAUSE_S)
    during = f"during an extract of {len(many)} photos"
    return {
        f"identify {during}, p50": percentile(waits, 50),
        f"identify {during}, p95": percentile(waits, 95),
        f"identify {during}, p99": percentile(waits, 99),
        f"that extract of {len(many)} photos, each": (await running).seconds / len(many),
    }


@contextmanager
def started(application: Application, root: Path, *, orderly: bool = True) -> Iterator[Running]:
    """Run a checkout's start command in a new folder until the application is up; stop or kill it afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(start_command(folder, [application], root, orderly=orderly))
        service.wait_until_healthy(application)
        yield service


def _repeated(photos: Sequence[Path], count: int) -> list[Path]:
    return [photos[number % len(photos)] for number in range(count)]


def table_rows(rounds: Rounds) -> list[Sequence[object]]:
    """Return a row for each thing measured: both medians, the ratio and its interval."""
    rows: list[Sequence[object]] = []
    for what in rounds[0]["before"]:
        before_s, now_s = ([measures[name][what] for measures in rounds] for name in ("before", "now"))
        ratio, least, greatest = ratio_interval(before_s, now_s)
        verdict = "yes" if least > LEAST_RATIO else "no"
        interval = f"{least:.3f} to {greatest:.3f}"
        rows.append(
            (what, milliseconds(median(before_s)), milliseconds(median(now_s)), f"{ratio:.3f}", interval, verdict)
        )
    return rows


def _table(rows: Sequence[Sequence[object]], what: str) -> str:
    percent = f"{CONFIDENCE:.0%}".replace("%", " %")
    columns = ("measured", "before ms", "now ms", "times as fast", f"{percent} interval", f"above {LEAST_RATIO}")
    method = (
        f"{what}. In ms the medians of the rounds. Times as fast: the geometric mean of the ratios\n"
        f"before / now, with the {percent} interval of Student's t for the mean of their logarithms."
    )
    return f"{method}\n\n{markdown(columns, rows)}"


if __name__ == "__main__":
    main()

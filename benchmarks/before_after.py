"""Whether a change made the service faster: another checkout and this one, served side by side and asked in turn.

    git worktree add ../before main~1
    python -m benchmarks.before_after ../before --networks seed --backend torch

Two runs one after the other differ by more than most changes do, on a machine that also does other things. Here
whatever it does hits both, each in its own Ray cluster; a ratio is taken within a round, and the order changes from
round to round.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.material import CAMERA_SIZE_PX, SMALL_SIZE_PX, make_models, make_photos
from benchmarks.serving import ROOT, Application, start_command
from benchmarks.tables import heading, markdown, milliseconds, spread
from benchmarks.timing import time_request
from pipeline.client import AsyncClient

DIFFERENT_PHOTOS = 8
SETTLE_S = 5.0
"""After the start: Ray goes on starting things of its own."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked in a round: so many requests of one photo, and one request of many photos."""

    size_px: tuple[int, int]
    single: int
    many: int


LOADS = {"seed": Load(CAMERA_SIZE_PX, 2, 8), "narrow": Load(SMALL_SIZE_PX, 25, 40)}


Taken = dict[int, list[float]]
"""Seconds a photo by photos a request, an entry a round."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout; runs in this environment")
    parser.add_argument("--networks", choices=sorted(LOADS), default="narrow", help="light ones or the seed's")
    parser.add_argument("--backend", choices=("auto", "openvino", "torch"), default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    models = str(make_models(options.networks))
    application = Application("compared", {"models_dir": models, "backend": options.backend})
    print(heading("before_after"))
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for name, root in (("before", options.before.resolve()), ("now", ROOT)):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            service = stack.enter_context(start_command(folder, [application], root))
            service.wait_until_healthy(application)
            urls[name] = service.url(application)
        time.sleep(SETTLE_S)
        taken = asyncio.run(compare(urls, LOADS[options.networks], options.rounds))
    print(_table(taken, f"{options.networks} networks, {options.backend}"))


async def compare(urls: Mapping[str, str], load: Load, rounds: int) -> dict[str, Taken]:
    """Ask the services in turn; returns what each took, by the names of `urls`."""
    photos = make_photos(DIFFERENT_PHOTOS, load.size_px)
    many = [photos[number % len(photos)] for number in range(load.many)]
    taken: dict[str, Taken] = {name: {1: [], load.many: []} for name in urls}
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(AsyncClient(url)) for name, url in urls.items()}
        for client in clients.values():
            await time_request(client, photos)  # the first photos pay for caches and lazy initialisation
        for number in range(rounds):
            for name in sorted(clients, reverse=bool(number % 2)):
                single = [await time_request(clients[name], [many[index]]) for index in range(load.single)]
                taken[name][1].append(median(single))
                taken[name][load.many].append(await time_request(clients[name], many) / load.many)
    return taken


def _table(taken: Mapping[str, Taken], what: str) -> str:
    rows = []
    for photos, before_s in taken["before"].items():
        now_s = taken["now"][photos]
        ratios = [before / now for before, now in zip(before_s, now_s, strict=True)]
        rows.append((str(photos), milliseconds(median(before_s)), milliseconds(median(now_s)), spread(ratios)))
    columns = ("photos a request", "before, ms a photo", "now, ms a photo", "times as fast (least to greatest round)")
    return f"{what}, {len(ratios)} rounds.\n\n{markdown(columns, rows)}"


if __name__ == "__main__":
    main()

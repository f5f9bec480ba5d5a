"""How fast photos are extracted, against the original's way; what the graph adds; where the time goes.

    python -m benchmarks.extract

The start command serves light networks, then the seed's networks with OpenVINO, then with torch, each by itself as
on an operator's machine. In each round the service and the original's loop take turns, so that whatever else the
machine does hits both; a ratio is taken within a round, and the table has the median of the rounds.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.material import CAMERA_SIZE_PX, make_models, make_photos
from benchmarks.overhead import measure_overhead
from benchmarks.serving import Application, Running, start_command
from benchmarks.stages import STAGES, StageSeconds, StageWorkers
from benchmarks.tables import heading, markdown, milliseconds, spread
from benchmarks.timing import time_request
from benchmarks.workers import worker
from pipeline.client import AsyncClient
from pipeline.settings import Backend

if TYPE_CHECKING:
    from benchmarks.original_loop import OriginalModels

BACKENDS: tuple[Backend, ...] = ("openvino", "torch")
TARGETS = {"openvino": 1.6, "torch": 1.3}
LOOP_PHOTOS = 2
PARTS = ("overhead", "speed")
MOST_PHOTOS = 8
REQUESTS = (1, MOST_PHOTOS)
CPU_SHARE = dict.fromkeys(("ingress", "extractor", "segmenter", "embedder", "matcher", "catalogue"), 0.02)
"""Reservations that let two applications onto two cores; only one of them works at a time."""


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds a photo in one round: of the loop, and of the service by photos a request."""

    loop_s: float
    seconds: dict[int, float]

    def ratio(self, photos: int) -> float:
        """How many times as fast as the loop."""
        return self.loop_s / self.seconds[photos]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison (default: 3)")
    parser.add_argument("--small", type=int, default=150, help="small photos for the graph's overhead (default: 150)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="tables to make (default: all)")
    options = parser.parse_args(arguments)
    print(heading("extract"))
    with worker() as loop, closing(StageWorkers()) as stages:
        bench = Bench(loop, stages)
        if "overhead" in options.parts:
            print(bench.overhead(options.small), flush=True)
        if "speed" in options.parts:
            print(bench.compare(options.rounds), flush=True)
            print(bench.shares(options.rounds), flush=True)


@contextmanager
def serving(*applications: Application) -> Iterator[Running]:
    """Run the start command until all applications are up."""
    with tempfile.TemporaryDirectory() as folder, start_command(Path(folder), list(applications)) as service:
        for application in applications:
            service.wait_until_healthy(application)
        yield service


class Bench:
    """The parts of the run that share worker processes."""

    def __init__(self, loop: ProcessPoolExecutor, stages: StageWorkers) -> None:
        """Take what is running."""
        self._loop = loop
        self._stages = stages
        self._photos = make_photos(MOST_PHOTOS, CAMERA_SIZE_PX)

    def compare(self, rounds: int) -> str:
        """Return the table of images/s."""
        done = {backend: self._serve_rounds(backend, rounds) for backend in BACKENDS}
        loops = [1 / taken.loop_s for backend in BACKENDS for taken in done[backend]]
        rows = [("loop", "1 or 8", spread(loops, 3), "1", "")]
        for backend in BACKENDS:
            for photos in REQUESTS:
                speeds = [1 / taken.seconds[photos] for taken in done[backend]]
                ratios = spread([taken.ratio(photos) for taken in done[backend]])
                rows.append((backend, str(photos), spread(speeds, 3), ratios, f"{TARGETS[backend]}"))
        size_mb = median(photo.stat().st_size for photo in self._photos) / 1e6
        title = (
            f"Seed's networks, photos of 3888x2592 pixels and {size_mb:.1f} MB: median (least to greatest) of rounds"
        )
        table = markdown(("way", "photos a request", "images/s", "times the loop", "target"), rows)
        return f"## Speed\n\n{title}.\n\n{table}"

    def _serve_rounds(self, backend: Backend, rounds: int) -> list[Round]:
        application = Application(backend, {"models_dir": str(make_models("seed")), "backend": backend})
        with serving(application) as service:
            return asyncio.run(self._rounds(service.url(application), rounds))

    async def _rounds(self, url: str, rounds: int) -> list[Round]:
        async with AsyncClient(url) as client:
            await time_request(client, self._photos[:1])  # the first photo pays for caches and lazy initialisation
            await self._time_loop(self._photos[:1])
            return [await self._round(client, number) for number in range(rounds)]

    async def _round(self, client: AsyncClient, number: int) -> Round:
        """Run the service with one photo and with eight, and the loop before each."""
        loop_s: list[float] = []
        seconds: dict[int, float] = {}
        for place, photos in enumerate(REQUESTS):
            index = (place + number * LOOP_PHOTOS) % (MOST_PHOTOS - LOOP_PHOTOS)
            loop_s.append(await self._time_loop(self._photos[index : index + LOOP_PHOTOS]) / LOOP_PHOTOS)
            chosen = self._photos if photos == MOST_PHOTOS else [self._photos[index]]
            seconds[photos] = await time_request(client, chosen) / photos
        return Round(median(loop_s), seconds)

    async def _time_loop(self, photos: list[Path]) -> float:
        return await asyncio.wrap_future(self._loop.submit(_time_loop, make_models("seed"), photos))

    def overhead(self, photos: int) -> str:
        """Return the table of what the graph adds to a small photo of light models."""
        arguments = {"models_dir": str(make_models("narrow")), "cpu_share": CPU_SHARE}
        light = Application("light", arguments)
        bare = Application("bare", arguments, "benchmarks.bare_graph:build")
        with serving(light, bare) as service:
            urls = (service.url(light), service.url(bare))
            return asyncio.run(measure_overhead(*urls, self._stages, photos))

    def shares(self, rounds: int) -> str:
        """Return the table of where the time goes, with the seed's networks."""
        taken: dict[Backend, list[StageSeconds]] = {backend: [] for backend in BACKENDS}
        for number in range(-1, rounds):
            for backend in BACKENDS:
                seconds = self._stages.time_photo("seed", backend, self._photos[number % MOST_PHOTOS])
                if number >= 0:  # the first one warms up
                    taken[backend].append(seconds)
        rows = [
            (stage, *(milliseconds(median(photo[stage] for photo in taken[backend])) for backend in BACKENDS))
            for stage in STAGES
        ]
        sums = {backend: [sum(photo.values()) for photo in taken[backend]] for backend in BACKENDS}
        rows.append(("all", *(milliseconds(median(sums[backend])) for backend in BACKENDS)))
        table = markdown(("stage", *(f"{backend} ms" for backend in BACKENDS)), rows)
        return f"## Where the time goes\n\nOne photo of 3888x2592, its stages one after the other.\n\n{table}"


def _time_loop(models_dir: Path, photos: list[Path]) -> float:
    from benchmarks.original_loop import extract

    models = _original_models(models_dir)
    start = time.perf_counter()
    answers = [extract(models, photo) for photo in photos]
    seconds = time.perf_counter() - start
    if any(answer is None or not answer.requires_grad for answer in answers):
        raise RuntimeError("the original's loop found nothing in a photo, or ran without gradients")
    return seconds


@cache
def _original_models(models_dir: Path) -> "OriginalModels":
    from benchmarks.original_loop import load_models

    return load_models(models_dir)


if __name__ == "__main__":
    main()

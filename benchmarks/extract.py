"""How fast photos are extracted, against the original's way; what the graph adds; where the time goes.

    python -m benchmarks.extract

One run of the start command serves the seed's networks with torch and with OpenVINO, and light networks. In each round
the original's loop and each service take their turn, so that whatever else the machine does hits all of them; a ratio
is taken within a round, and the table has the median of the rounds.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
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
PARTS_OF = {"overhead": ("light", "bare"), "speed": BACKENDS}
PARTS = tuple(PARTS_OF)
MOST_PHOTOS = 8
CPU_SHARE = {"ingress": 0.02, "extractor": 0.02, "segmenter": 0.02, "embedder": 0.02, "matcher": 0.02}
"""Reservations that let three applications onto two cores; only one of them works at a time."""


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds a photo in one round, by way ("loop", "openvino", "torch") and photos a request; the loop knows none."""

    loop_s: float
    seconds: dict[tuple[str, int], float]

    def ratio(self, way: str, photos: int) -> float:
        """How many times as fast as the loop."""
        return self.loop_s / self.seconds[way, photos]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison (default: 3)")
    parser.add_argument("--small", type=int, default=150, help="small photos for the graph's overhead (default: 150)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="tables to make (default: all)")
    options = parser.parse_args(arguments)
    print(heading("extract"))
    wanted = {name: PARTS_OF[name] for name in options.parts}
    applications = {way: _application(way) for way in sorted({way for ways in wanted.values() for way in ways})}
    with (
        tempfile.TemporaryDirectory() as folder,
        start_command(Path(folder), list(applications.values())) as service,
        worker() as loop,
        closing(StageWorkers()) as stages,
    ):
        for application in applications.values():
            service.wait_until_healthy(application)
        bench = Bench(service, applications, loop, stages)
        if "overhead" in options.parts:
            print(asyncio.run(bench.overhead(options.small)), flush=True)
        if "speed" in options.parts:
            print(asyncio.run(bench.compare(options.rounds)), flush=True)
            print(bench.shares(options.rounds), flush=True)


class Bench:
    """The parts of the run that share a service and worker processes."""

    def __init__(
        self,
        service: Running,
        applications: dict[str, Application],
        loop: ProcessPoolExecutor,
        stages: StageWorkers,
    ) -> None:
        """Take what is running."""
        self._service = service
        self._applications = applications
        self._loop = loop
        self._stages = stages
        self._photos = make_photos(MOST_PHOTOS, CAMERA_SIZE_PX)

    async def compare(self, rounds: int) -> str:
        """Return the table of images/s."""
        for way in ("loop", *BACKENDS):  # the first photo pays for caches and lazy initialisation
            await self._time(way, self._photos[:1])
        done = [await self._round(number) for number in range(rounds)]
        rows = [("loop", "1 or 8", spread([1 / taken.loop_s for taken in done], 3), "1", "")]
        for way in BACKENDS:
            for photos in (1, MOST_PHOTOS):
                speeds = [1 / taken.seconds[way, photos] for taken in done]
                ratios = spread([taken.ratio(way, photos) for taken in done])
                rows.append((way, str(photos), spread(speeds, 3), ratios, f"{TARGETS[way]}"))
        size_mb = median(photo.stat().st_size for photo in self._photos) / 1e6
        title = (
            f"Seed's networks, photos of 3888x2592 pixels and {size_mb:.1f} MB: median (least to greatest) of rounds"
        )
        table = markdown(("way", "photos a request", "images/s", "times the loop", "target"), rows)
        return f"## Speed\n\n{title}.\n\n{table}"

    async def _round(self, number: int) -> Round:
        """Run each service with one photo and with eight, and the loop between them; each round in another order."""
        asked = [(way, photos) for way in BACKENDS for photos in (1, MOST_PHOTOS)]
        loop: list[float] = []
        seconds: dict[tuple[str, int], float] = {}
        for place in range(len(asked)):
            way, photos = asked[(place + number) % len(asked)]
            index = (place + number * LOOP_PHOTOS) % (MOST_PHOTOS - LOOP_PHOTOS)
            loop.append(await self._time("loop", self._photos[index : index + LOOP_PHOTOS]) / LOOP_PHOTOS)
            chosen = self._photos if photos == MOST_PHOTOS else [self._photos[index]]
            seconds[way, photos] = await self._time(way, chosen) / photos
        return Round(median(loop), seconds)

    async def _time(self, way: str, photos: list[Path]) -> float:
        if way == "loop":
            job = self._loop.submit(_time_loop, make_models("seed"), photos)
            return await asyncio.wrap_future(job)
        async with AsyncClient(self._service.url(self._applications[way])) as client:
            return await time_request(client, photos)

    async def overhead(self, photos: int) -> str:
        """Return the table of what the graph adds to a small photo of light models."""
        service, bare = (self._service.url(self._applications[way]) for way in PARTS_OF["overhead"])
        return await measure_overhead(service, bare, self._stages, photos)

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


def _application(way: str) -> Application:
    """Return the application that serves the seed's networks with a backend, light ones, or none at all."""
    if way == "bare":
        return Application(way, {"models_dir": str(make_models("narrow"))}, "benchmarks.bare_graph:build")
    models_dir, backend = (make_models("seed"), way) if way in BACKENDS else (make_models("narrow"), "auto")
    return Application(way, {"models_dir": str(models_dir), "backend": backend, "cpu_share": CPU_SHARE})


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

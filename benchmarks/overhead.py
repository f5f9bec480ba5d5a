"""What the graph adds to a photo: the service, the same stages without it, and Ray Serve's own share, side by side."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.material import SMALL_SIZE_PX, make_photos
from benchmarks.stages import StageWorkers
from benchmarks.tables import markdown, milliseconds, percentile
from benchmarks.timing import time_request
from pipeline.client import AsyncClient

TARGET_S = 0.015
WARM_UP = 5
DIFFERENT_PHOTOS = 8

Taken = dict[str, float]
"""Seconds of one photo: "whole", "stages", "bare"."""


async def measure_overhead(service_url: str, bare_url: str, stages: StageWorkers, photos: int) -> str:
    """Return the table.

    Args:
        service_url: of the service with light networks.
        bare_url: of the application of `benchmarks.bare_graph`.
        stages: run the same photos without the graph.
        photos: how many.
    """
    files = make_photos(DIFFERENT_PHOTOS, SMALL_SIZE_PX)
    async with AsyncClient(service_url) as client, connect(bare_url) as bare:
        taken = [await _take_turns(client, bare, stages, files[number % len(files)]) for number in range(photos)]
    return _table(taken[WARM_UP:])


async def _take_turns(client: AsyncClient, bare: ClientConnection, stages: StageWorkers, photo: Path) -> Taken:
    alone = await asyncio.to_thread(stages.time_photo, "narrow", "auto", photo)
    return {
        "whole": await time_request(client, [photo]),
        "stages": sum(alone.values()),
        "bare": await _time_bare(bare, str(photo)),
    }


async def _time_bare(bare: ClientConnection, path: str) -> float:
    start = time.perf_counter()
    await bare.send(path)
    for _step in range(2):
        await bare.recv()
    return time.perf_counter() - start


def _table(taken: list[Taken]) -> str:
    added = [photo["whole"] - photo["stages"] for photo in taken]
    rows = {
        "end to end, over the WebSocket": [photo["whole"] for photo in taken],
        "its stages, without the graph": [photo["stages"] for photo in taken],
        "difference: the graph": added,
        "of that Ray Serve: the same hops with nothing in them": [photo["bare"] for photo in taken],
        "of that our code": [graph - photo["bare"] for graph, photo in zip(added, taken, strict=True)],
    }
    targets: Mapping[str, str] = {"difference: the graph": f"p50 {TARGET_S * 1000:g}"}
    table = markdown(
        ("light networks, one client, 640x427 pixels", "p50 ms", "p95 ms", "target ms"),
        [
            (name, milliseconds(median(values)), milliseconds(percentile(values, 95)), targets.get(name, ""))
            for name, values in rows.items()
        ],
    )
    return f"## Overhead of the graph\n\n{len(taken)} photos, each way in turn.\n\n{table}"

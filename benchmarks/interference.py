"""How long a client waits while another one extracts a hundred photos.

    python -m benchmarks.interference

The start command serves light networks and a catalogue of 500 individuals. A client asks to identify one embedding, or
to extract one small photo, again and again with a pause between; alone, and while another client's request of a hundred
camera photos is running. The phases take turns, so that whatever else the machine does hits all of them.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.material import CAMERA_SIZE_PX, SMALL_SIZE_PX, make_models_with_catalogue, make_photos
from benchmarks.serving import Application, start_command
from benchmarks.tables import heading, markdown, milliseconds, percentile
from benchmarks.workers import go_first, worker
from pipeline.client import AsyncClient, Client, PhotoResult

INDIVIDUALS = 500
PAUSE_S = 0.05
TARGET_S = 0.1
DISTINCT_PHOTOS = 8

Ask = Callable[[], Awaitable[None]]
Waits = dict[tuple[str, str], list[float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100, help="photos of the other client's request (default: 100)")
    parser.add_argument("--rounds", type=int, default=3, help="of all phases (default: 3)")
    parser.add_argument("--alone", type=float, default=10.0, help="seconds of a phase without it (default: 10)")
    parser.add_argument("--backend", default="auto", help="of the networks (default: auto)")
    options = parser.parse_args(arguments)
    print(heading("interference"))
    arguments_of_service = {"models_dir": str(make_models_with_catalogue(INDIVIDUALS)), "backend": options.backend}
    application = Application("light", arguments_of_service)
    with tempfile.TemporaryDirectory() as folder, start_command(Path(folder), [application]) as service:
        service.wait_until_healthy(application)
        url = service.url(application)
        print(asyncio.run(measure(url, options.photos, options.rounds, options.alone)))


async def measure(url: str, photos: int, rounds: int, alone_s: float) -> str:
    """Run the phases and return the table.

    Args:
        url: of the service.
        photos: of the other client's request.
        rounds: of all phases.
        alone_s: seconds of a phase without the other client.
    """
    waits: Waits = {}
    speeds: list[float] = []
    with worker() as other:
        async with AsyncClient(url) as client:
            asks = await _asks(client)
            go_first()
            await asyncio.wrap_future(other.submit(extract_many, url, DISTINCT_PHOTOS))  # warm-up
            for _ in range(rounds):
                for name, ask in asks.items():
                    waits.setdefault((name, "alone"), []).extend(await _repeat(ask, _after(alone_s)))
                    job = other.submit(extract_many, url, photos)
                    waits.setdefault((name, "during"), []).extend(await _repeat(ask, job.done))
                    speeds.append(photos / job.result())
    return _table(waits, f"{photos} photos at {min(speeds):.1f} to {max(speeds):.1f} images/s")


def extract_many(url: str, photos: int) -> float:
    """Extract so many camera photos in one request; returns the seconds."""
    files = make_photos(DISTINCT_PHOTOS, CAMERA_SIZE_PX)
    chosen = [files[number % len(files)] for number in range(photos)]
    with Client(url) as client:
        start = time.perf_counter()
        results = client.extract(chosen)
        seconds = time.perf_counter() - start
    _require_success(results)
    return seconds


async def _asks(client: AsyncClient) -> dict[str, Ask]:
    photo = make_photos(DISTINCT_PHOTOS, SMALL_SIZE_PX)[0]
    query = await client.extract([photo])
    _require_success(query)

    async def identify() -> None:
        answers = await client.identify(query)
        if len(answers[0].candidates) != INDIVIDUALS + 1:
            raise RuntimeError(f"{len(answers[0].candidates)} candidates, {answers[0].error}")

    async def extract() -> None:
        _require_success(await client.extract([photo]))

    return {"identify": identify, "extract of one photo": extract}


async def _repeat(ask: Ask, ended: Callable[[], bool]) -> list[float]:
    """Ask until something has ended; returns the seconds of each answer."""
    waits: list[float] = []
    while not ended():
        start = time.perf_counter()
        await ask()
        waits.append(time.perf_counter() - start)
        await asyncio.sleep(PAUSE_S)
    return waits


def _after(seconds: float) -> Callable[[], bool]:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline


def _require_success(results: Sequence[PhotoResult]) -> None:
    failed = [result.error for result in results if result.error]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(results)} photos failed: {failed[0]}")


def _table(waits: Waits, other: str) -> str:
    head = ("request of the waiting client", "answers", "p50 ms", "p95 ms", "p99 ms", "greatest ms", "target p99 ms")
    rows = [
        (
            f"{name}, {when}",
            len(values),
            *(milliseconds(percentile(values, percent)) for percent in (50, 95, 99)),
            milliseconds(max(values)),
            f"{TARGET_S * 1000:g}" if (name, when) == ("identify", "during") else "",
        )
        for (name, when), values in waits.items()
    ]
    return f"During: another client's request of {other}.\n\n{markdown(head, rows)}"


if __name__ == "__main__":
    main()

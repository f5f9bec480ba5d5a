"""How long the start command takes until a client has its first answer.

    python -m benchmarks.start

Each run is a fresh folder: new config file, port, catalogue and Ray cluster; with the demo models, and with random ones
that the start command makes first. The answer is the extract of one photo over the WebSocket.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.material import SMALL_SIZE_PX, make_photos
from benchmarks.serving import ROOT, Application, start_command
from benchmarks.tables import heading, markdown, spread
from pipeline.client import AsyncClient

TARGET_S = 60
DEMO_MODELS = ROOT / "models" / "demo"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="(default: 3)")
    options = parser.parse_args(arguments)
    print(heading("start"))
    times = [time_start(DEMO_MODELS) for _ in range(options.runs)]
    columns = (spread([run[column] for run in times], 1) for column in (0, 1))
    rows = [("demo models", len(times), *columns, f"{TARGET_S}")]
    print(markdown(("start command", "runs", "healthy after s", "first answer after s", "target s"), rows))


def time_start(models_dir: Path) -> tuple[float, float]:
    """Start once and stop again; returns the seconds to a healthy service and to the first answer."""
    photo = make_photos(1, SMALL_SIZE_PX)[0]
    application = Application("whale-vision", {"models_dir": str(models_dir)})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with start_command(Path(folder), [application]) as service:
            service.wait_until_healthy(application)
            healthy_s = time.perf_counter() - start
            asyncio.run(_extract(service.url(application), photo))
            return healthy_s, time.perf_counter() - start


async def _extract(url: str, photo: Path) -> None:
    async with AsyncClient(url) as client:
        (result,) = await client.extract([photo])
    if result.error is not None and result.error.code != "no_animal":
        raise RuntimeError(f"the first answer is a failure: {result.error}")


if __name__ == "__main__":
    main()

"""One request and its clock."""

import time
from pathlib import Path

from pipeline.client import AsyncClient


async def time_request(client: AsyncClient, photos: list[Path]) -> float:
    """Return the seconds of one extract.

    Raises:
        RuntimeError: a photo failed.
    """
    start = time.perf_counter()
    results = await client.extract(photos)
    seconds = time.perf_counter() - start
    failed = [result.error for result in results if result.error]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(photos)} photos failed: {failed[0]}")
    return seconds

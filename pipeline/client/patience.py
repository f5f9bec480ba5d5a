"""How long a client goes on trying without an answer, and how it paces its tries."""

import asyncio
import logging
import random
import time

from pipeline.client.errors import ClientError, ServerUnreachableError
from pipeline.client.options import ClientOptions

logger = logging.getLogger(__name__)


def pause_s(tries: int, options: ClientOptions) -> float:
    """Return the pause before another try: doubling, up to a longest one.

    Args:
        tries: how many have failed, from 1.
        options: first and longest pause.
    """
    return min(options.first_delay_s * 2.0 ** min(tries - 1, 30), options.longest_delay_s)


class Patience:
    """Counts from the first failure after the last answer; runs out after the limit of the options."""

    def __init__(self, url: str, options: ClientOptions) -> None:
        self._url = url
        self._options = options
        self._tries = 0
        self._since_s: float | None = None

    def progressed(self) -> None:
        """Note an answer: patience is whole again."""
        self._tries = 0
        self._since_s = None

    async def wait(self, error: ClientError, *, was_connected: bool) -> None:
        """Pause before another try.

        Args:
            error: why the last try failed.
            was_connected: whether this server has answered this client before.

        Raises:
            ServerUnreachableError: there was no answer for too long.
        """
        now_s = time.monotonic()
        self._since_s = now_s if self._since_s is None else self._since_s
        self._tries += 1
        limit_s = self._options.reconnect_s if was_connected else self._options.connect_s
        left_s = self._since_s + limit_s - now_s
        if left_s <= 0.0:
            raise ServerUnreachableError(
                f"{self._url} gave no answer for {limit_s:g} s ({error}). Is the service running there?"
            ) from error
        # Jitter: many clients that lost the same server must not come back in step.
        pause = pause_s(self._tries, self._options) * random.uniform(0.5, 1.0)
        logger.info("%s; trying again in %.1f s", error, min(pause, left_s))
        await asyncio.sleep(min(pause, left_s))

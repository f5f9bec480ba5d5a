"""When to try again after a failure, and when to give up."""

import asyncio
import logging
import random
import time

from pipeline.client.connection import Server
from pipeline.client.errors import ClientError, ServerUnreachableError
from pipeline.client.options import ClientOptions

logger = logging.getLogger(__name__)

TRANSIENT = ("ack_timeout", "too_many_requests", "unavailable", "upload_timeout")
"""Refusals of a whole request that pass by themselves; nothing was done for what is still unanswered."""


def pause_s(tries: int, options: ClientOptions) -> float:
    """Return the pause before another try: doubling, up to a longest one.

    Args:
        tries: how many have failed, from 1.
        options: first and longest pause.
    """
    return min(options.first_delay_s * 2.0 ** min(tries - 1, 30), options.longest_delay_s)


class Retries:
    """Paces the tries that follow a failure, and ends them when there was no answer for as long as the options say."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tries = 0
        self._since_s: float | None = None

    def answered(self) -> None:
        """Note an answer: the time counts anew from the next failure."""
        self._tries = 0
        self._since_s = None

    async def wait(self, error: ClientError) -> None:
        """Pause before another try.

        Args:
            error: why the last try failed.

        Raises:
            ServerUnreachableError: there was no answer for too long.
        """
        options, now_s = self._server.options, time.monotonic()
        self._since_s = now_s if self._since_s is None else self._since_s
        self._tries += 1
        limit_s = options.reconnect_s if self._server.was_connected else options.connect_s
        left_s = self._since_s + limit_s - now_s
        if left_s <= 0.0:
            raise ServerUnreachableError(
                f"{self._server.url} gave no answer for {limit_s:g} s ({error}). Is the service running there?"
            ) from error
        # Jitter: many clients that lost the same server must not come back in step.
        pause = min(pause_s(self._tries, options) * random.uniform(0.5, 1.0), left_s)
        logger.info("%s; trying again in %.1f s", error, pause)
        await asyncio.sleep(pause)

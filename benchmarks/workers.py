"""Processes in which a benchmark works beside the service."""

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

LOW_PRIORITY = 10


def worker(environment: Mapping[str, str] | None = None, *, gives_way: bool = False) -> ProcessPoolExecutor:
    """Return one process in a session of its own, as the service is.

    Linux shares the cores between sessions first, so that what else the machine does slows both alike.

    Args:
        environment: variables that the process starts with, besides this one's.
        gives_way: let everybody else's processes go first.
    """
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=[gives_way])
    with patch.dict(os.environ, environment or {}):
        pool.submit(os.getpid).result()  # starts it
    return pool


def go_first() -> None:
    """Let this process go before all others where the system permits it, but not those that it starts.

    What a client waits for is then the service, not its own turn: once the answer lies at its socket, a client that
    shares busy cores with the service may wait for many times as long.
    """
    if hasattr(os, "SCHED_RR"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _begin(gives_way: bool) -> None:
    os.setsid()
    if gives_way:
        os.nice(LOW_PRIORITY)
        with suppress(OSError):  # no kernel that shares between sessions, for which `nice` counts within one only
            Path("/proc/self/autogroup").write_text(str(LOW_PRIORITY), encoding="ascii")

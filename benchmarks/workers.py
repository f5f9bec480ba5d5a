"""Processes in which a benchmark works beside the service."""

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest.mock import patch


def worker(environment: Mapping[str, str] | None = None) -> ProcessPoolExecutor:
    """Return one process in a session of its own, as the service is.

    Linux shares the cores between sessions first, so that what else the machine does slows both alike.

    Args:
        environment: variables that the process starts with, besides this one's.
    """
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=os.setsid)
    with patch.dict(os.environ, environment or {}):
        pool.submit(os.getpid).result()  # starts it
    return pool

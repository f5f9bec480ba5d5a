"""Processes in which a benchmark works beside the service."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def worker() -> ProcessPoolExecutor:
    """Return one process in a session of its own, as the service is.

    Linux shares the cores between sessions first, so that what else the machine does slows both alike.
    """
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=os.setsid)

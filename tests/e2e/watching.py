"""Watching how much memory replicas hold."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from benchmarks.processes import MIB, private_bytes_of
from tests.e2e.running import replica_processes

__all__ = ["MIB", "peaks_during", "private_bytes", "wait_until_given_back"]

PAUSE_S = 0.02
GIVEN_BACK_S = 20.0


def private_bytes(deployment: str) -> int:
    """Memory that a deployment's only replica holds and nobody else does."""
    return private_bytes_of(_only(deployment))


def _only(deployment: str) -> psutil.Process:
    (process,) = replica_processes(deployment)
    return process


def wait_until_given_back(deployment: str, most_bytes: float, within_s: float = GIVEN_BACK_S) -> None:
    """Wait until a replica holds no more than this; a busy machine takes its time to end what a client has left."""
    deadline, process = time.monotonic() + within_s, _only(deployment)
    while (held := private_bytes_of(process)) > most_bytes:
        assert time.monotonic() < deadline, f"{deployment} keeps {held / MIB:.1f} MiB, not {most_bytes / MIB:.1f}"
        time.sleep(PAUSE_S)


class Peaks:
    """The most that each deployment's replica held."""

    def __init__(self, deployments: tuple[str, ...]) -> None:
        self._processes = {deployment: _only(deployment) for deployment in deployments}
        self.bytes = dict.fromkeys(deployments, 0)

    def sample(self) -> None:
        for deployment, process in self._processes.items():
            self.bytes[deployment] = max(self.bytes[deployment], private_bytes_of(process))


@contextmanager
def peaks_during(deployments: tuple[str, ...]) -> Iterator[Peaks]:
    """Sample for as long as the block lasts, and once at its end."""
    peaks, ended = Peaks(deployments), threading.Event()
    watcher = threading.Thread(target=_until(ended, peaks.sample))
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()
        peaks.sample()


def _until(ended: threading.Event, sample: Callable[[], None]) -> Callable[[], None]:
    def watch() -> None:
        while not ended.wait(PAUSE_S):
            sample()

    return watch

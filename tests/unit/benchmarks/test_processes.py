"""Processes of a service are told apart by the titles that Ray gives them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from benchmarks.processes import MIB, family_bytes, processes_by_kind

TITLES = (
    "ray::ServeReplica:light:Ingress",
    "ray::ServeReplica:light:Ingress.handle_request",
    "ray::ProxyActor",
    "other",
)
SLEEP = "import sys, time; held = bytearray(64 * 2**20); print(flush=True); time.sleep(60)"


@pytest.fixture
def started() -> Iterator[list[int]]:
    """Processes with such titles, the oldest first, each holding 64 MiB."""
    with ExitStack() as stack:
        processes = []
        for title in TITLES:
            process = subprocess.Popen([sys.executable, "-c", SLEEP, title], stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            processes.append(process.pid)
        yield processes


def test_replicas_and_proxies_are_found_the_oldest_first(started: list[int]) -> None:
    found = processes_by_kind(psutil.Process())
    assert {kind: [process.pid for process in kinds] for kind, kinds in found.items()} == {
        "Ingress": started[:2],
        "Proxy": started[2:3],
    }


def test_what_children_hold_is_counted_with_their_parent(started: list[int]) -> None:
    assert family_bytes(psutil.Process()) > 64 * MIB * len(TITLES)


def test_a_process_that_has_ended_holds_nothing() -> None:
    process = psutil.Process(subprocess.Popen([sys.executable, "-c", ""]).pid)
    process.wait()
    assert family_bytes(process) == 0

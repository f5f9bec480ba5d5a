"""A network replica's memory: what one photo's tensors took serves the next photo's."""

import os
import platform
import subprocess
import sys

import pytest

from deployments.resources import KEEP_FREED_MEMORY

SIX_TENSORS = """
import resource, threading, torch
def allocate():
    for _ in range(4):
        for step in range(1, 7):
            torch.zeros(2_500_000 * step)
def run():
    allocate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    allocate()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
"""Tensors of 10 to 60 MB, over and over, on a thread as the replicas' networks run on one."""


def page_faults(environment: dict[str, str]) -> int:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    run = subprocess.run(
        [sys.executable, "-c", SIX_TENSORS], env=plain | environment, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the variables are glibc's")
def test_replicas_environment_has_the_allocator_keep_what_tensors_took() -> None:
    assert page_faults(KEEP_FREED_MEMORY) < page_faults({}) / 10

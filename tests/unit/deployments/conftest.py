"""What a replica does to its own process is undone in that of the tests."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """Have garbage collected again that a replica took out of collection when it had started.

    Otherwise libraries find their objects alive at exit, and say so below pytest's summary.
    """
    yield
    gc.unfreeze()

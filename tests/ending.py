"""How a run of the tests ends before its time."""

import pytest


def end_the_run(number: int, _: object) -> None:
    """End all tests on a signal, a time limit's for example.

    Ray's own handler raises `SystemExit` in the test that runs: pytest takes that for the test's failure and goes on
    with the next one, although the signal has ended Ray, too.
    """
    pytest.exit(f"ended by signal {number}", returncode=128 + number)

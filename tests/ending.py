"""How a run of the tests ends before its time."""

import pytest


def end_the_run(config: pytest.Config, number: int) -> None:
    """End all tests on a signal, a time limit's for example; to be called by its handler.

    Ray's own handler raises `SystemExit` in the test that runs: pytest takes that for the test's failure and goes on
    with the next one, although the signal has ended Ray, too. A minute later Ray ends this process, which has said
    nothing then; so this says at once what happened.
    """
    said = f"ended by signal {number}"
    if config.pluginmanager.has_plugin("terminalreporter"):  # not in a process that has a share of the tests
        config.get_terminal_writer().line(f"\n{said}", flush=True)
    pytest.exit(said, returncode=128 + number)

"""The table of the long proofs: each that has run writes its own row, so that they may run one at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import psutil
import pytest

from benchmarks.tables import hardware, markdown, software

PROVED = "proved"
"""The property that a long proof records: how much of what it has proved, such as "40 kills"."""

HEAD = ("proof", "of", "outcome", "seconds", "peak MiB", "date")
PAUSE_S = 2.0
MIB = 2**20


class LongResults:
    """A pytest plugin that keeps the table in a file."""

    def __init__(self, file: Path) -> None:
        """Keep the table here; rows of other proofs, from the same machine, stay."""
        self._file = file

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watch a proof's memory."""
        with _peak_memory() as peak:
            try:
                return (yield)
            finally:
                item.user_properties.append(("peak", f"{peak[0] / MIB:.0f}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the row of a proof that has run, or could not."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            noted = dict(report.user_properties)
            took = f"{report.duration:.0f}"
            row = (in_words(report.nodeid), noted.get(PROVED), report.outcome, took, noted.get("peak"), date.today())
            self.write(tuple("" if cell is None else str(cell) for cell in row))

    def write(self, row: tuple[str, ...]) -> None:
        """Put a row in the place of the same proof's last one, or at the end."""
        heading = f"# long\n\n`scripts/long-test`\n\n{hardware()}, {software()}\n\n"
        before = self._file.read_text() if self._file.exists() else ""
        rows = {kept[0]: kept for kept in read_rows(before)} if before.startswith(heading) else {}
        rows[row[0]] = row
        self._file.write_text(heading + markdown(HEAD, list(rows.values())))


def in_words(nodeid: str) -> str:
    """Return a test's file and what its name says, such as "test_faults: killed matcher loses nothing (40)"."""
    path, _, name = nodeid.partition("::")
    said, _, parameters = name.removesuffix("]").partition("[")
    words = said.removeprefix("test_").replace("_", " ")
    return f"{Path(path).stem}: {words}" + (f" ({parameters})" if parameters else "")


def read_rows(table: str) -> list[tuple[str, ...]]:
    """Return the rows of a Markdown table under whatever stands above it."""
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line) for line in lines[2:]]


@contextmanager
def _peak_memory() -> Iterator[list[int]]:
    """Watch what this process and all it has started, Ray and its replicas among them, hold together; shared once."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(PAUSE_S):
            peak[0] = max(peak[0], _held_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
        peak[0] = max(peak[0], _held_bytes())


def _held_bytes() -> int:
    this = psutil.Process()
    held = 0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended meanwhile
            held += process.memory_full_info().pss
    return held

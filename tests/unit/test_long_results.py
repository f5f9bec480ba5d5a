from types import SimpleNamespace

import pytest

from tests.long_results import LongResults, in_words, read_rows


def report(nodeid: str, outcome: str = "passed", when: str = "call", **noted: str) -> SimpleNamespace:
    return SimpleNamespace(
        nodeid=nodeid,
        when=when,
        outcome=outcome,
        passed=outcome == "passed",
        duration=12.6,
        user_properties=list(noted.items()),
    )


@pytest.fixture
def file(tmp_path):
    return tmp_path / "long.md"


def rows(file) -> list[tuple[str, ...]]:
    return [row[:5] for row in read_rows(file.read_text())]


def test_a_proof_is_named_by_what_it_says():
    assert in_words("tests/e2e/test_faults.py::test_killed_matcher_loses_nothing[40]") == (
        "test_faults: killed matcher loses nothing (40)"
    )
    assert in_words("tests/unit/test_x.py::test_it_holds") == "test_x: it holds"


def test_each_proof_has_a_row_and_the_last_run_counts(file):
    first = LongResults(file)
    first.pytest_runtest_logreport(report("a.py::test_one", outcome="failed", proved="40 kills", peak="900"))
    first.pytest_runtest_logreport(report("a.py::test_two"))
    LongResults(file).pytest_runtest_logreport(report("a.py::test_one", proved="40 kills", peak="800"))
    assert rows(file) == [("a: one", "40 kills", "passed", "13", "800"), ("a: two", "", "passed", "13", "")]


def test_a_proof_that_could_not_begin_is_in_the_table(file):
    results = LongResults(file)
    results.pytest_runtest_logreport(report("a.py::test_one", when="setup"))
    assert not file.exists()
    results.pytest_runtest_logreport(report("a.py::test_one", outcome="failed", when="setup"))
    results.pytest_runtest_logreport(report("a.py::test_one", when="teardown"))
    assert rows(file) == [("a: one", "", "failed", "13", "")]


def test_rows_of_another_machine_are_not_kept(file):
    file.write_text("# long\n\n`scripts/long-test`\n\n64 cores\n\n| proof |\n|---|\n| a: two |\n")
    LongResults(file).pytest_runtest_logreport(report("a.py::test_one"))
    assert rows(file) == [("a: one", "", "passed", "13", "")]

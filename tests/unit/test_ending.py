import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """
import os, signal
from pathlib import Path
from tests.ending import end_the_run

def test_that_is_ended(request):
    signal.signal(signal.SIGTERM, lambda number, _: end_the_run(request.config, number))
    os.kill(os.getpid(), signal.SIGTERM)

def test_after_it():
    (Path(__file__).parent / "went on").touch()
"""


def test_a_signal_ends_all_tests_and_fails_none(tmp_path):
    file = tmp_path / "test_ended.py"
    file.write_text(TESTS)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", str(file)]
    ended = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 128 + 15, ended.stdout
    assert "ended by signal 15" in ended.stdout
    assert "failed" not in ended.stdout
    assert not (tmp_path / "went on").exists()

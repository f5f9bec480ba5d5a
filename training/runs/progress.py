"""The progress bar of a run: rank 0 writes how far it is into a file, the command that started Ray draws the bar."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from training.files import write_atomically

_POLL_S = 0.5


def write_progress(file: Path, photos: int, total: int, words: str) -> None:
    """Say how far a run is.

    Args:
        file: replaced as a whole.
        photos: seen so far.
        total: of the whole run.
        words: loss and score.
    """
    write_atomically(file, json.dumps({"photos": photos, "total": total, "words": words}).encode())


@contextmanager
def progress_bar(file: Path, name: str) -> Iterator[None]:
    """Draw a bar of what the file says while the block runs.

    Args:
        file: that `write_progress` writes; what is left of a former attempt goes.
        name: of the run.
    """
    file.unlink(missing_ok=True)
    stop = threading.Event()
    thread = threading.Thread(target=_follow, args=(file, name, stop), name="progress bar", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _follow(file: Path, name: str, stop: threading.Event) -> None:
    bar = None
    while True:
        stopped = stop.wait(_POLL_S)
        if file.exists():
            said = json.loads(file.read_text(encoding="utf-8"))
            # a resumed run begins in the middle; counting that as speed would promise too much
            bar = bar or tqdm(desc=name, total=said["total"], initial=said["photos"], unit="photos")
            bar.set_postfix_str(said["words"], refresh=False)
            bar.update(said["photos"] - bar.n)
        if stopped:
            break
    if bar is not None:
        bar.close()

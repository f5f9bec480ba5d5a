"""How the commands give their answers: tables for people, CSV and JSON for programs."""

import csv
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pipeline.client.names import UNKNOWN, fold_name
from pipeline.client.photo_answers import PhotoAnswer
from pipeline.client.results import Identification, OnProgress, Progress

_PLAIN_WIDTH = 160

CSV_COLUMNS = (
    "path",
    "index",
    "animal",
    "body_part",
    "rank",
    "individual",
    "distance",
    "x_min_px",
    "y_min_px",
    "x_max_px",
    "y_max_px",
    "score",
    "model",
    "sha256",
    "error_code",
    "error_message",
    "catalogue",
)


def consoles() -> tuple[Console, Console]:
    """Return standard output and standard error; text that is piped is not squeezed into 80 columns."""
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    return (
        out if out.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH),
        err if err.is_terminal else Console(stderr=True, highlight=False, width=_PLAIN_WIDTH),
    )


def shown(text: str) -> Text:
    """Return text of others as it can be shown: no markup, no bytes that are not text."""
    return Text(text.encode("utf-8", "replace").decode())


@contextmanager
def progress_bars(console: Console) -> Generator[OnProgress]:
    """Show a bar for each stage while the block runs; nothing where there is no terminal."""
    columns = (TextColumn("{task.description:<11}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total)
            bars.update(tasks[progress.stage], completed=progress.done)

        yield on_progress


def print_candidates(out: Console, answers: Sequence[PhotoAnswer]) -> None:
    """Print the candidates of each animal, best first."""
    table = Table(box=box.SIMPLE_HEAD, title="Candidates by distance (lower is more alike)", title_justify="left")
    table.add_column("Photo", overflow="fold", ratio=3)
    table.add_column("Body part")
    table.add_column("Candidate", overflow="fold", ratio=2)
    table.add_column("Distance", justify="right")
    hint = False
    for answer in answers:
        if answer.identification is None or answer.failure is not None:
            continue
        photo = answer.photo
        name = f"{photo.path} (animal {photo.animal})" if photo.animal > 1 else photo.path
        head = (shown(name), shown(photo.body_part or ""))
        for candidate in answer.identification.candidates:
            whose = f" ({candidate.catalogue})" if candidate.catalogue else ""
            table.add_row(*head, shown(f"{candidate.individual}{whose}"), f"{candidate.distance:.3f}")
            head = (Text(), Text())
            hint = hint or candidate.individual == UNKNOWN
    if table.row_count:
        out.print(table)
    if hint:
        out.print(f'Individuals below "{UNKNOWN}" are too far away to be a match: perhaps the animal is a new one.')


def print_failures(console: Console, answers: Sequence[PhotoAnswer]) -> int:
    """Print the photos that failed with why; return how many failed."""
    failed = [(answer.photo.path, answer.failure) for answer in answers if answer.failure]
    if not failed:
        return 0
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(failed)} without an answer", title_justify="left")
    table.add_column("Photo", overflow="fold", ratio=2)
    table.add_column("Why")
    table.add_column("What happened", overflow="fold", ratio=3)
    for path, failure in failed:
        table.add_row(shown(path), shown(failure.code), shown(failure.message))
    console.print(table)
    return len(failed)


def print_enrolled(out: Console, answers: Sequence[PhotoAnswer]) -> None:
    """Print what was added to the catalogue, one line an individual, and photos that look like another one."""
    spellings = _spellings(answers)
    added: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        if answer.identification is not None and answer.failure is None:
            name = answer.identification.identity or ""
            added[spellings.get(fold_name(name), name)][answer.photo.body_part or ""] += 1
    table = Table(box=box.SIMPLE_HEAD, title="Added to the catalogue", title_justify="left")
    table.add_column("Individual", overflow="fold")
    table.add_column("Photos", justify="right")
    table.add_column("Body parts")
    for name, parts in sorted(added.items()):
        each = ", ".join(f"{count} {part}" for part, count in sorted(parts.items()))
        table.add_row(shown(name), str(parts.total()), shown(each))
    if added:
        out.print(table)
    _print_suspects(out, answers, spellings)


def _spellings(answers: Sequence[PhotoAnswer]) -> dict[str, str]:
    """Return by fold how the server spells the confirmed individuals, where a ranking shows them."""
    return {fold_name(own): own for answer in answers if (own := _own_candidate(answer.identification)) is not None}


def _own_candidate(identification: Identification | None) -> str | None:
    """Return the candidate that a photo was confirmed as: of the very spelling that was typed, or else of its fold."""
    if identification is None or identification.identity is None:
        return None
    typed, fold = identification.identity, fold_name(identification.identity)
    alike = [each.individual for each in identification.candidates if fold_name(each.individual) == fold]
    return typed if typed in alike else next(iter(alike), None)


def _print_suspects(out: Console, answers: Sequence[PhotoAnswer], spellings: Mapping[str, str]) -> None:
    """Each photo is ranked as if it were not in the catalogue, so a wrong label shows in its best candidate."""
    for answer in answers:
        identification = answer.identification
        if identification is None or not identification.candidates:
            continue
        best = identification.candidates[0]
        if best.individual not in (UNKNOWN, _own_candidate(identification)):
            name, typed = answer.photo.path, identification.identity or ""
            own = spellings.get(fold_name(typed), typed)
            said = f"{name}: enrolled as {own}, yet nearest to {best.individual} (distance {best.distance:.3f})"
            out.print(shown(f"please check {said}"), soft_wrap=True)


def write_csv(file: Path, answers: Sequence[PhotoAnswer]) -> None:
    """Write one row for each candidate, and one for each photo without any; the file appears whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        # Names of files that are not text keep their bytes.
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            _write_rows(out, answers)
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(file.stat().st_mode & 0o777 if file.exists() else 0o666 & ~_umask())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_rows(out: TextIO, answers: Sequence[PhotoAnswer]) -> None:
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for answer in answers:
        writer.writerows(_rows(answer))


def _rows(answer: PhotoAnswer) -> Iterator[tuple[object, ...]]:
    photo, failure = answer.photo, answer.failure
    head = (photo.path, photo.index, photo.animal, photo.body_part)
    tail = (*(photo.box_xyxy_px or (None,) * 4), photo.score, photo.model, photo.sha256)
    candidates = answer.identification.candidates if answer.identification else ()
    for rank, candidate in enumerate(candidates, 1):
        yield (*head, rank, candidate.individual, candidate.distance, *tail, None, None, candidate.catalogue)
    if failure is not None or not candidates:
        reason = (failure.code, failure.message) if failure else (None, None)
        yield (*head, None, None, None, *tail, *reason, None)


def as_json(server: str, answers: Sequence[PhotoAnswer]) -> str:
    """Return one JSON object: `server`, and `photos` with an element for each animal or failed photo."""
    return json.dumps({"server": server, "photos": [_json_of(answer) for answer in answers]}, indent=1)


def _json_of(answer: PhotoAnswer) -> dict[str, Any]:
    identification, failure = answer.identification, answer.failure
    candidates = [asdict(candidate) for candidate in identification.candidates] if identification else []
    told: dict[str, Any] = {}
    if identification is not None and identification.ranking is not None:
        told = {"individuals": identification.individuals, "ranking": identification.ranking}
    else:
        candidates = [{name: one[name] for name in ("individual", "distance")} for one in candidates]
    return {
        **asdict(answer.photo),
        "identity": identification.identity if identification else None,
        "candidates": candidates,
        **told,
        "error": asdict(failure) if failure else None,
    }

"""Sightings for people: tables on the terminal, or plain lines of text where there is none."""

from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pipeline.client.results import OnProgress, Progress
from pipeline.client.sightings import Sighting

_PLAIN_WIDTH = 160
UNKNOWN = "Unknown"


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


def print_candidates(out: Console, sightings: Sequence[Sighting]) -> None:
    """Print the candidates of each animal, best first."""
    table = Table(box=box.SIMPLE_HEAD, title="Candidates by distance (lower is more alike)", title_justify="left")
    table.add_column("Photo", overflow="fold", ratio=3)
    table.add_column("Body part")
    table.add_column("Candidate", overflow="fold", ratio=2)
    table.add_column("Distance", justify="right")
    hint = False
    for sighting in sightings:
        if sighting.identification is None or sighting.failure is not None:
            continue
        photo = sighting.photo
        name = f"{photo.path} (animal {photo.animal})" if photo.animal > 1 else photo.path
        head = (shown(name), shown(photo.body_part or ""))
        for candidate in sighting.identification.candidates:
            table.add_row(*head, shown(candidate.individual), f"{candidate.distance:.3f}")
            head = (Text(), Text())
            hint = hint or candidate.individual == UNKNOWN
    if table.row_count:
        out.print(table)
    if hint:
        out.print(f'Individuals below "{UNKNOWN}" are too far away to be a match: perhaps the animal is a new one.')


def print_failures(console: Console, sightings: Sequence[Sighting]) -> int:
    """Print the photos that failed with why; return how many failed."""
    failed = [(sighting.photo.path, sighting.failure) for sighting in sightings if sighting.failure]
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


def print_enrolled(out: Console, sightings: Sequence[Sighting]) -> None:
    """Print what was added to the catalogue, one line an individual, and photos that look like another one."""
    added: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sighting in sightings:
        if sighting.identification is not None and sighting.failure is None:
            added[sighting.identification.identity or ""][sighting.photo.body_part or ""] += 1
    table = Table(box=box.SIMPLE_HEAD, title="Added to the catalogue", title_justify="left")
    table.add_column("Individual", overflow="fold")
    table.add_column("Photos", justify="right")
    table.add_column("Body parts")
    for name, parts in sorted(added.items()):
        each = ", ".join(f"{count} {part}" for part, count in sorted(parts.items()))
        table.add_row(shown(name), str(parts.total()), shown(each))
    if added:
        out.print(table)
    _print_suspects(out, sightings)


def _print_suspects(out: Console, sightings: Sequence[Sighting]) -> None:
    """Each photo is ranked as if it were not in the catalogue, so a wrong label shows in its best candidate."""
    for sighting in sightings:
        identification = sighting.identification
        if identification is None or not identification.candidates:
            continue
        best = identification.candidates[0]
        if best.individual not in (UNKNOWN, identification.identity):
            name, own = sighting.photo.path, identification.identity
            said = f"{name}: enrolled as {own}, yet nearest to {best.individual} (distance {best.distance:.3f})"
            out.print(shown(f"please check {said}"), soft_wrap=True)

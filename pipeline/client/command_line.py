"""The command line: `python -m pipeline.client identify|enroll|confirm|catalogue|photos|rights`."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipeline.client.arguments import (
    ANSWERED,
    EXIT_CODES,
    INTERRUPTED,
    NO_SERVER,
    NOT_WRITTEN,
    SOME_FAILED,
    USAGE,
    UsageError,
    add_command,
    at_least_one,
    read_token,
)
from pipeline.client.asynchronous import AsyncClient
from pipeline.client.catalogue_commands import add_catalogue_command
from pipeline.client.enrolment import read_enrolment
from pipeline.client.errors import ClientError, FolderLayoutError
from pipeline.client.filters import add_filter_arguments, read_filters
from pipeline.client.names import RESERVED, normal_name
from pipeline.client.options import ClientOptions
from pipeline.client.output import (
    as_json,
    consoles,
    print_candidates,
    print_enrolled,
    print_failures,
    progress_bars,
    shown,
    write_csv,
)
from pipeline.client.photo_answers import Job, PhotoAnswer, answer_photos
from pipeline.client.photos import absolute, find_photos
from pipeline.client.photos_commands import add_photos_command
from pipeline.client.results import ItemFailure, PhotoResult
from pipeline.client.rights_commands import add_rights_command

Failures = Sequence[tuple[str, ItemFailure]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parsed = parser().parse_args(arguments)
    out, err = consoles()
    try:
        code: int = asyncio.run(parsed.run(parsed, out, err))
        return code
    except (UsageError, FolderLayoutError) as error:
        err.print(shown(f"error: {error}"), soft_wrap=True)
        return USAGE
    except ClientError as error:
        err.print(shown(f"error: {error}"), soft_wrap=True)
        return NO_SERVER
    except KeyboardInterrupt:
        err.print("interrupted")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments; `--help` and the documentation's test read it."""
    top = argparse.ArgumentParser(
        prog="python -m pipeline.client",
        description="Identify whales in photos with a running Whale Vision service.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True)
    identify = add_command(commands, "identify", "rank the known individuals for the animals in photos", _identify)
    identify.add_argument("photos", nargs="+", metavar="PHOTO|FOLDER", help="folders are searched recursively")
    identify.add_argument("--top", type=at_least_one, default=5, metavar="N", help="candidates an animal (default: 5)")
    identify.add_argument("--animals", choices=("best", "all"), default="best", help="in each photo (default: best)")
    identify.add_argument(
        "--references", type=at_least_one, metavar="N", help="with --json: so many annotations a candidate"
    )
    add_filter_arguments(identify)
    form = identify.add_mutually_exclusive_group()
    form.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each candidate to FILE")
    form.add_argument("--json", action="store_true", help="print JSON with every field, embeddings included")
    enroll = add_command(commands, "enroll", "add a folder of known individuals to the catalogue", _enroll)
    enroll.add_argument("folder", type=Path, metavar="FOLDER", help="one sub-folder an individual, its name the name")
    confirm = add_command(commands, "confirm", "add one photo of a known or new individual to the catalogue", _confirm)
    confirm.add_argument("photo", metavar="PHOTO")
    confirm.add_argument("name", metavar="NAME", help="of the individual; a new name makes a new one")
    for command in (identify, enroll, confirm):
        command.add_argument("--upload", action="store_true", help="send the photos, for a server on another machine")
    identify.add_argument(
        "--catalogue", metavar="NAME", action="append", help="which one, or, given again, several; without it, your own"
    )
    for command in (enroll, confirm):
        command.add_argument("--catalogue", metavar="NAME", help="which one; without it, your own")
    add_catalogue_command(commands)
    add_photos_command(commands)
    add_rights_command(commands)
    return top


async def _identify(parsed: argparse.Namespace, out: Console, err: Console) -> int:
    if parsed.csv is not None and not (parsed.csv.parent.is_dir() and not parsed.csv.is_dir()):
        raise UsageError(f"--csv: {parsed.csv} is a folder, or not in one that exists")
    found = find_photos(parsed.photos)
    _note_raws(found.raws, err)
    if not found.photos and not found.failures:
        raise UsageError(f"there are no photos in {', '.join(parsed.photos)}")
    named: list[str] = parsed.catalogue or []
    job = Job(
        *(found.photos, {}, parsed.upload, parsed.animals, parsed.top),
        catalogue=named[0] if len(named) == 1 else None,
        catalogues=named if len(named) > 1 else None,
        references=parsed.references,
        filters=read_filters(parsed),
    )
    answers, error = await _carry_out(parsed, job, found.failures, err)
    if parsed.json:
        print(as_json(parsed.server, answers))
    elif parsed.csv is not None:
        try:
            write_csv(parsed.csv, answers)
        except OSError as problem:
            err.print(shown(f"error: {parsed.csv} cannot be written ({problem.strerror})"), soft_wrap=True)
            return NOT_WRITTEN
    else:
        print_candidates(out, answers)
    return _conclude(answers, error, err if parsed.json else out, err)


async def _enroll(parsed: argparse.Namespace, out: Console, err: Console) -> int:
    enrolment = read_enrolment(parsed.folder)
    _note_raws(enrolment.raws, err)
    job = Job(tuple(enrolment.identities), enrolment.identities, parsed.upload, catalogue=parsed.catalogue)
    answers, error = await _carry_out(parsed, job, enrolment.failures, err)
    print_enrolled(out, answers)
    if error is not None:
        err.print("Not all photos were enrolled; running the same command again does not count any of them twice.")
    return _conclude(answers, error, out, err)


async def _confirm(parsed: argparse.Namespace, out: Console, err: Console) -> int:
    name = normal_name(parsed.name)
    if not name or name.casefold() == RESERVED:
        raise UsageError(f'"{parsed.name}" cannot be the name of an individual')
    if Path(parsed.photo).is_dir():
        raise UsageError(f"{parsed.photo} is a folder; enroll takes folders")
    photo = absolute(parsed.photo)
    job = Job((photo,), {photo: name}, parsed.upload, catalogue=parsed.catalogue)
    answers, error = await _carry_out(parsed, job, (), err)
    print_enrolled(out, answers)
    print_candidates(out, answers)
    return _conclude(answers, error, out, err)


def _note_raws(raws: Sequence[str], err: Console) -> None:
    if raws:
        example = Path(raws[0]).name
        err.print(
            shown(f"left out {len(raws)} camera raws such as {example}: export them as JPEG to have them identified")
        )


async def _carry_out(
    parsed: argparse.Namespace, job: Job, failures: Failures, err: Console
) -> tuple[list[PhotoAnswer], ClientError | None]:
    """Return what was answered, and the error that ended it early, if one did."""
    options = replace(ClientOptions(), connect_s=parsed.wait)
    answers: list[PhotoAnswer] = []
    error = None
    with progress_bars(err) as on_progress:
        async with AsyncClient(parsed.server, read_token(parsed.token_file), options) as client:
            try:
                await answer_photos(client, job, answers, on_progress)
            except ClientError as problem:
                error = problem
    if error is not None:
        left = len(job.photos) - len({answer.photo.index for answer in answers})
        err.print(f"{left} of {len(job.photos)} photos were not answered.")
    answers.sort(key=lambda answer: (answer.photo.index, answer.photo.animal))
    for index, (path, failure) in enumerate(failures, len(job.photos)):
        answers.append(PhotoAnswer(PhotoResult(path, index, error=failure), None))
    return answers, error


def _conclude(answers: Sequence[PhotoAnswer], error: ClientError | None, out: Console, err: Console) -> int:
    failed = print_failures(out, answers)
    if error is not None:
        err.print(shown(f"error: {error}"), soft_wrap=True)
        return NO_SERVER
    return SOME_FAILED if failed else ANSWERED

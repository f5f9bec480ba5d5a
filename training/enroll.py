"""`python -m training.enroll --models DIR --data FOLDER`: make the catalogue CSV of a models folder from photos."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.catalogue.csv_rows import format_csv
from pipeline.model_files import ModelFolder
from training.command_line import exit_status, positive
from training.errors import TrainingDataError
from training.evaluation.data import read_data
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.extraction import PhotoEmbedder
from training.evaluation.options import add_running
from training.files import write_atomically
from training.models_yaml import read_unfinished_folder
from training.photos.problems import describe
from training.photos.records import LabelledPhoto

SOME_FAILED = 3
"""Exit status where the catalogue was written and some photos are not in it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Enrol what the command line names; return the exit status."""
    given = _parser().parse_args(arguments)
    return exit_status(lambda: _enroll(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.enroll",
        description="Embed photos of known individuals and write the catalogue CSV that the service imports."
        f" Exit status {SOME_FAILED}: written, but some photos could not be enrolled.",
    )
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help="models folder to write into")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a folder of photos for each individual, or a metadata.csv"
    )
    parser.add_argument("--part", default="", help="body part; default: what the data says that it shows")
    parser.add_argument("--split", help="only these rows of a metadata.csv")
    parser.add_argument("--individuals", type=positive, metavar="N", help="only the first N by name")
    parser.add_argument("--root", type=Path, metavar="DIR", help="write paths relative to this folder, not as given")
    parser.add_argument("--replace", action="store_true", help="replace a catalogue that is there")
    add_running(parser)
    return parser


def _enroll(given: argparse.Namespace) -> int:
    folder = read_unfinished_folder(given.models)
    photos = _photos(given, folder)
    part = photos[0].body_part
    target = folder.path / folder.part(part).catalogue
    if target.exists() and not given.replace:
        raise TrainingDataError(f"{target}: is there already; --replace writes it anew")
    names = [_path_name(photo.path, given.data, given.root) for photo in photos]
    embedder = PhotoEmbedder(folder, part, "detected", given.device, given.backend, given.threads)
    embedded = embedder.embed(photos)
    if not any(one.failure is None for one in embedded):
        raise TrainingDataError(f"{given.data}: none of {len(photos)} photos could be enrolled\n{_failures(embedded)}")
    write_catalogue(target, embedded, names)
    return _report(target, embedded)


def _photos(given: argparse.Namespace, folder: ModelFolder) -> tuple[LabelledPhoto, ...]:
    """Read the photos that are to be enrolled.

    Raises:
        TrainingDataError: something is wrong with the folders or labels, or there are no photos.
    """
    read = read_data(given.data, given.part, given.split, folder)
    fatal = [problem for problem in read.problems if problem.kind.fatal]
    if fatal or not read.photos:
        raise TrainingDataError(f"{given.data}: cannot be enrolled as it is\n{describe(fatal) or '  no photos'}")
    names = sorted({photo.individual for photo in read.photos})[: given.individuals]
    return tuple(photo for photo in read.photos if photo.individual in set(names))


def write_catalogue(target: Path, embedded: Sequence[EmbeddedPhoto], names: Sequence[str]) -> None:
    """Write a catalogue file in the original's form, whole or not at all.

    Args:
        target: the CSV.
        embedded: one row each; photos that failed are left out.
        names: the photos' paths as they are to stand in the file.
    """
    rows = [
        (one.photo.individual, name, one.values)
        for one, name in zip(embedded, names, strict=True)
        if one.values is not None
    ]
    write_atomically(target, format_csv(rows))


def _path_name(path: Path, data: Path, root: Path | None) -> str:
    """Return a photo's path relative to the root, or as the command line named its folder."""
    place = path.absolute()
    if root is None:
        base = data if data.is_dir() else data.parent
        return (base / place.relative_to(base.absolute())).as_posix()
    try:
        return place.relative_to(root.absolute()).as_posix()
    except ValueError as error:
        raise TrainingDataError(f"{path}: is not in {root}; name a --root that all photos are in") from error


def _report(target: Path, embedded: Sequence[EmbeddedPhoto]) -> int:
    good = [one for one in embedded if one.failure is None]
    individuals = len({one.photo.individual for one in good})
    print(f"{target}: {len(good)} photos of {individuals} individuals")
    if len(good) == len(embedded):
        return 0
    print(f"{len(embedded) - len(good)} photos were not enrolled:\n{_failures(embedded)}", file=sys.stderr)
    lost = sorted({one.photo.individual for one in embedded} - {one.photo.individual for one in good})
    if lost:
        print(f"individuals without any enrolled photo: {', '.join(lost)}", file=sys.stderr)
    return SOME_FAILED


def _failures(embedded: Sequence[EmbeddedPhoto]) -> str:
    failed = [(one.photo.path, one.failure) for one in embedded if one.failure is not None]
    return "\n".join(
        f"  {path}: {failure.code}: {failure.message.removeprefix(f'{path}: ')}" for path, failure in failed
    )


if __name__ == "__main__":
    sys.exit(main())

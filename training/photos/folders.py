"""Reading of a folder of individuals, as the original's `dataset/fluke` is: one sub-folder of photos for each."""

from dataclasses import replace
from pathlib import Path

from pipeline.client.enrolment import read_enrolment
from pipeline.client.errors import FolderLayoutError
from pipeline.errors import BadIdentityError
from pipeline.names import normalise_new_identity
from training.photos.dates import date_taken
from training.photos.metadata import METADATA_FILE, read_metadata
from training.photos.problems import Kind, Problem
from training.photos.records import LabelledPhoto, PhotoSet

_PARENTS_SEARCHED = 3  # root/dataset/fluke: its metadata.csv lies two folders up


def read_folder(folder: Path, body_part: str = "", split: str = "") -> PhotoSet[LabelledPhoto]:
    """Read `folder/<individual>/<photos>`.

    Where a metadata.csv in the folder or one of its next parents names the photos, boxes, encounters, dates and sides
    come from it; else the date comes from the photo's EXIF data and is the encounter.

    Args:
        folder: the individuals' folders.
        body_part: what the photos show; empty takes the metadata's word, else the folder's name ("fluke").
        split: recorded where the metadata names none.

    Returns:
        The photos, by individual and name; what cannot be taken are problems.
    """
    try:
        found = read_enrolment(folder)
    except FolderLayoutError as error:
        return PhotoSet(folder, (), (Problem(Kind.LAYOUT, str(folder), error.message),))
    problems = [Problem(Kind.LAYOUT, name, failure.message) for name, failure in found.failures]
    problems += [Problem(Kind.LEFT_OUT, raw, "camera raw: export it as JPEG to use it") for raw in found.raws]
    described, more = _described(folder, [Path(path) for path in found.identities])
    photos: list[LabelledPhoto] = []
    for path, name in found.identities.items():
        try:
            individual = normalise_new_identity(name)
        except BadIdentityError as error:
            more.append(Problem(Kind.LAYOUT, path, error.message))
            continue
        photo, problem = _labelled(Path(path), individual, described, body_part, split)
        photo = photo if photo.body_part else replace(photo, body_part=folder.name)
        photos.append(photo)
        more += [problem] if problem else []
    return PhotoSet(folder, tuple(photos), (*problems, *more))


def _labelled(
    path: Path, individual: str, described: dict[Path, list[LabelledPhoto]], body_part: str, split: str
) -> tuple[LabelledPhoto, Problem | None]:
    """Return a photo with what the metadata says of it, and what it contradicts."""
    rows = described.get(path, [])
    if not rows:
        day = date_taken(path)
        encounter = None if day is None else day.isoformat()
        return LabelledPhoto(path, individual, body_part, None, encounter, day, None, split), None
    for row in rows:
        if row.individual == individual:
            return replace(row, body_part=body_part or row.body_part, split=row.split or split), None
    names = " and ".join(row.individual for row in rows)
    problem = Problem(Kind.BAD_ROW, str(path), f"lies in the folder of {individual}, but {METADATA_FILE} says {names}")
    return LabelledPhoto(path, individual, body_part, split=split), problem


def _described(folder: Path, paths: list[Path]) -> tuple[dict[Path, list[LabelledPhoto]], list[Problem]]:
    """Return what the nearest metadata.csv that names any of the photos says of them, by path."""
    wanted = set(paths)
    top = folder.absolute()
    for place in [top, *top.parents][: _PARENTS_SEARCHED + 1]:
        file = place / METADATA_FILE
        if not file.is_file():
            continue
        read = read_metadata(file)
        rows: dict[Path, list[LabelledPhoto]] = {}
        for row in read.photos:
            if row.path in wanted:
                rows.setdefault(row.path, []).append(row)
        if rows:
            return rows, [problem for problem in read.problems if problem.kind is not Kind.UNLABELLED]
    return {}, []

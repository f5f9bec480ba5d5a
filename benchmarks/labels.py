"""A few labelled photos and what each is for: a CSV with the columns path, individual_id and role."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.errors import BadIdentityError
from pipeline.names import normalise_new_identity
from training.errors import TrainingDataError
from training.photos.inspection import inspect_photos
from training.photos.problems import Kind, Problem
from training.photos.records import LabelledPhoto, PhotoSet

COLUMNS = ("path", "individual_id", "role")
ROLES = ("catalogue", "query")
"""Both are words that `training.evaluation.protocols.given_roles` knows."""


def read_labels(file: Path, body_part: str) -> tuple[LabelledPhoto, ...]:
    """Read and check a table of labelled photos.

    Args:
        file: UTF-8 CSV; each row a photo (its path relative to the table's folder), the animal in it, and "catalogue"
            or "query".
        body_part: what all photos show.

    Returns:
        The photos, those of the catalogue first; their role is their `split`.

    Raises:
        TrainingDataError: a column or a photo is missing, a role is unknown, a query is a copy of a catalogue photo, or
            a role has no photo; lists everything that is wrong.
    """
    photos, problems = _read(file, body_part)
    splits = {role: PhotoSet(file, tuple(photo for photo in photos if photo.split == role)) for role in ROLES}
    inspection = inspect_photos(splits, share_individuals=True)
    # One catalogue photo of an animal and one query is what such a table is for.
    found = tuple(problem for problem in inspection.problems if problem.kind is not Kind.SINGLE_PHOTO)
    inspection = replace(inspection, problems=(*problems, *found))
    inspection.require_sound()
    return tuple(photo for role in ROLES for photo in inspection.splits[role])


def _read(file: Path, body_part: str) -> tuple[list[LabelledPhoto], list[Problem]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
            rows = list(enumerate(table, start=2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingDataError(f"{file}: cannot be read as UTF-8 CSV: {error}") from error
    if missing:
        raise TrainingDataError(f"{file}: has no column {' and '.join(missing)}; it needs {', '.join(COLUMNS)}")
    photos: list[LabelledPhoto] = []
    problems: list[Problem] = []
    for number, raw in rows:
        row = {name: (raw[name] or "").strip() for name in COLUMNS}
        if reason := _wrong_with(row):
            problems.append(Problem(Kind.BAD_ROW, f"{file}, row {number}", reason))
        else:
            individual = normalise_new_identity(row["individual_id"])
            photos.append(LabelledPhoto(file.parent / row["path"], individual, body_part, split=row["role"]))
    return photos, problems


def _wrong_with(row: Mapping[str, str]) -> str:
    """Return why a row cannot be taken; empty where it can."""
    if not row["path"]:
        return "has no path"
    if row["role"] not in ROLES:
        return f"role {row['role']!r} is none of: {', '.join(ROLES)}"
    try:
        normalise_new_identity(row["individual_id"])
    except BadIdentityError as error:
        return error.message
    return ""

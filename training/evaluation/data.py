"""The photos of one body part that a command's `--data` names, read and checked."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.model_files import ModelFolder
from training.errors import TrainingDataError
from training.evaluation.protocols import has_given_roles
from training.photos.folders import read_folder
from training.photos.inspection import Inspection, inspect_photos
from training.photos.metadata import read_metadata
from training.photos.records import LabelledPhoto, PhotoSet

DATA = "data"
"""The name of the one data set in an inspection."""


def read_data(data: Path, part: str, split: str | None, models: ModelFolder) -> PhotoSet[LabelledPhoto]:
    """Read a folder of individuals or a metadata.csv.

    Args:
        data: which.
        part: body part; empty takes the one that the data shows.
        split: only rows of this split.
        models: must have the body part.

    Returns:
        Photos of one body part.

    Raises:
        TrainingDataError: nothing is there, or the data shows several body parts or mixes splits and the command does
            not say which to take.
    """
    if not data.exists():
        raise TrainingDataError(f"{data}: there is no such folder or file")
    read = read_metadata(data, part, split) if data.is_file() else read_folder(data, part)
    if not read.photos:
        return read
    parts = sorted({photo.body_part for photo in read.photos})
    if len(parts) > 1 or not parts[0]:
        raise TrainingDataError(f"{data}: shows {', '.join(parts) or 'an unnamed body part'}; name one with --part")
    if parts[0] not in models.body_part_names:
        names = ", ".join(models.body_part_names)
        raise TrainingDataError(f"{models.path}: has no body part {parts[0]!r}, only {names}; name one with --part")
    splits = sorted({photo.split for photo in read.photos})
    if len(splits) > 1 and not has_given_roles(read.photos):
        raise TrainingDataError(f"{data}: mixes the splits {', '.join(splits)}; name one with --split")
    return read


def limit_individuals(photos: PhotoSet[LabelledPhoto], limit: int | None, seed: int) -> PhotoSet[LabelledPhoto]:
    """Keep only some individuals, by chance; all where there is no limit."""
    names = sorted({photo.individual for photo in photos.photos})
    if limit is None or limit >= len(names):
        return photos
    kept = set(random.Random(seed).sample(names, limit))
    return replace(photos, photos=tuple(photo for photo in photos.photos if photo.individual in kept))


def check_photos(photos: PhotoSet[LabelledPhoto], parts: Sequence[str], skip_bad: bool) -> Inspection[LabelledPhoto]:
    """Check photos and stop with a list of everything that is wrong.

    Raises:
        TrainingDataError: some cannot be used and are not to be skipped.
    """
    inspection = inspect_photos({DATA: photos}, parts)
    inspection.require_sound(skip_bad)
    return inspection

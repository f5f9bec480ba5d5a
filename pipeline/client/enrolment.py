"""The folder that `enroll` takes: one sub-folder an individual, and nothing that could be meant otherwise."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.client.errors import FolderLayoutError
from pipeline.client.names import RESERVED, fold_name, normal_name
from pipeline.client.photos import PHOTO_SUFFIXES, FoundPhotos, find_photos
from pipeline.client.results import ItemFailure


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Photos with the individuals they show.

    Attributes:
        identities: individual by the photo's path.
        failures: folders that could not be looked at, with why.
        raws: camera raws, left out.
    """

    identities: dict[str, str]
    failures: tuple[tuple[str, ItemFailure], ...]
    raws: tuple[str, ...]


def read_enrolment(folder: Path) -> Enrolment:
    """Read which photos show which individual.

    Args:
        folder: `folder/<individual>/<photos>`.

    Raises:
        FolderLayoutError: it is laid out otherwise; names everything that is.
    """
    if not folder.is_dir():
        raise FolderLayoutError(f"{folder} is not a folder; enroll takes one with a sub-folder for each individual")
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise FolderLayoutError(f"{folder} cannot be listed ({error.strerror})") from error
    individuals = [entry for entry in entries if entry.is_dir()]
    found = {individual: find_photos([individual]) for individual in individuals}
    problems = _problems(folder, entries, found)
    if problems:
        raise FolderLayoutError(
            f"{folder} is not laid out as one sub-folder an individual:\n  " + "\n  ".join(problems)
        )
    return Enrolment(
        {photo: normal_name(one.name) for one, photos in found.items() for photo in photos.photos},
        tuple(failure for photos in found.values() for failure in photos.failures),
        tuple(raw for photos in found.values() for raw in photos.raws),
    )


def _problems(folder: Path, entries: Sequence[Path], found: dict[Path, FoundPhotos]) -> list[str]:
    loose = [entry.name for entry in entries if entry.is_file() and entry.suffix.lower() in PHOTO_SUFFIXES]
    problems = [f"{len(loose)} photos lie directly in it, such as {loose[0]}"] if loose else []
    if not found:
        problems.append("it has no sub-folders")
    for individual, photos in found.items():
        problems += _problems_of(folder, individual, photos)
    same: defaultdict[str, list[str]] = defaultdict(list)
    for individual in found:
        same[fold_name(individual.name)].append(individual.name)
    problems += [
        f"{' and '.join(names)} differ too little to be two individuals: "
        "only in case, white space, width or invisible characters"
        for names in same.values()
        if names[1:]
    ]
    return problems


def _problems_of(folder: Path, individual: Path, found: FoundPhotos) -> list[str]:
    name = individual.name
    if not normal_name(name) or normal_name(name).casefold() == RESERVED:
        return [f'"{name}" cannot be the name of an individual']
    nested = [photo for photo in found.photos if Path(photo).parent != individual.absolute()]
    if nested:
        inner = Path(nested[0]).relative_to(individual.absolute()).parent
        return [f"{name} has sub-folders of its own with photos ({inner}): did you mean to enroll {folder / name}?"]
    return [] if found.photos or found.failures else [f"{name} holds no photos"]

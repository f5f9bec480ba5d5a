"""The checks of a whole data set before anything is trained on it: every problem at once, not the first one."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from tqdm import tqdm

from pipeline.errors import ItemError
from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import decode_photo
from pipeline.records import BoundingBox, PathSource
from training.errors import TrainingDataError
from training.photos.problems import Kind, Problem, count_kinds, describe
from training.photos.records import AnyPhoto, BoxedPhoto, LabelledPhoto, PhotoSet

_EDGE_TOLERANCE_PX = 1.0  # labelling tools round boxes outwards; the crop clamps them anyway


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What reading a photo's file told.

    Attributes:
        size_px: width and height, upright; None where it cannot be read.
        sha256: of its bytes, hex; empty where it cannot be read.
        failure: why it cannot be read; empty where it can.
    """

    size_px: tuple[int, int] | None
    sha256: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Inspection(Generic[AnyPhoto]):
    """What the checks found.

    Attributes:
        splits: the photos that were checked, by split, without those that cannot be used; of a photo that stands in two
            splits, the copies in all but the last are left out.
        problems: everything that is wrong, the readers' problems included.
        digests: sha256 of each readable photo.
        counts: photos before anything was left out, by split.
    """

    splits: Mapping[str, tuple[AnyPhoto, ...]]
    problems: tuple[Problem, ...]
    digests: Mapping[Path, str]
    counts: Mapping[str, int]

    @property
    def is_fatal(self) -> bool:
        """Whether something is wrong that must not be trained on."""
        return any(problem.kind.fatal for problem in self.problems)

    def require_sound(self, skip_bad: bool = False) -> None:
        """Stop here if the data cannot be used.

        Args:
            skip_bad: go on without the photos that cannot be used, as long as every split keeps some.

        Raises:
            TrainingDataError: lists all problems.
        """
        emptied = [name for name, photos in self.splits.items() if not photos]
        if emptied or (self.is_fatal and not skip_bad):
            fatal = sum(count for kind, count in count_kinds(self.problems).items() if kind.fatal)
            raise TrainingDataError(f"the data cannot be used as it is: {fatal} problems\n{self}")

    def __str__(self) -> str:
        """Return counts, then the problems by kind."""
        counts = [f"  {name}: {_counted(self, name)}" for name in self.counts]
        return "\n".join([*counts, *([describe(self.problems)] if self.problems else ["  no problems"])])


def inspect_photos(
    splits: Mapping[str, PhotoSet[AnyPhoto]],
    body_parts: Collection[str] = (),
    share_individuals: bool = False,
    progress: bool = True,
) -> Inspection[AnyPhoto]:
    """Check whole data sets; reads and decodes every photo once, with the service's own code.

    Args:
        splits: data sets that must not share a photo by its content, by a name for messages ("dataset", "holdout").
        body_parts: what photos or boxes may show; empty allows anything.
        share_individuals: whether two splits may show the same individual.
        progress: whether to show a progress bar.

    Returns:
        All problems, and what can be used.
    """
    facts = read_facts({photo.path for data in splits.values() for photo in data.photos}, progress)
    problems = [problem for data in splits.values() for problem in data.problems]
    bad: set[Path] = set()
    for name, data in splits.items():
        if not data.photos:
            problems.append(Problem(Kind.NO_PHOTOS, f"{name} ({data.source})"))
        for photo in data.photos:
            found = [*_file_problems(photo, facts[photo.path]), *_part_problems(photo, body_parts)]
            problems += found
            bad |= {photo.path} if found else set()
        problems += _individual_problems(data.photos, name)
    copies, moved = _copies_across(splits, facts)
    problems += copies
    problems += [] if share_individuals else _shared_individuals(splits)
    problems += _two_names(splits, facts)
    usable = {
        name: tuple(photo for photo in data.photos if photo.path not in bad and (name, photo.path) not in moved)
        for name, data in splits.items()
    }
    digests = {path: fact.sha256 for path, fact in facts.items() if fact.sha256}
    counts = {name: len(data.photos) for name, data in splits.items()}
    return Inspection(usable, tuple(dict.fromkeys(problems)), digests, counts)


def read_facts(paths: Collection[Path], progress: bool = True) -> dict[Path, FileFacts]:
    """Read and decode photos on all cores (decoding runs outside Python's lock).

    Args:
        paths: of the files; each is read once.
        progress: whether to show a progress bar.
    """
    ordered = sorted(paths)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        facts = tqdm(
            pool.map(_read, ordered), "checking photos", len(ordered), disable=None if progress else True, leave=False
        )
        return dict(zip(ordered, facts, strict=True))


def _read(path: Path) -> FileFacts:
    digest = ""
    try:
        content = PhotoFiles().read(PathSource(str(path), local_peer=True))
        digest = hashlib.sha256(content).hexdigest()
        return FileFacts(decode_photo(content, path.name).size_px, digest)
    except ItemError as error:
        return FileFacts(None, digest, error.message)


def _file_problems(photo: LabelledPhoto | BoxedPhoto, facts: FileFacts) -> Iterator[Problem]:
    where = str(photo.path)
    if facts.size_px is None:
        yield Problem(Kind.UNREADABLE, where, facts.failure.removeprefix(f"{where}: "))
        return
    stated = photo.stated_size_px if isinstance(photo, BoxedPhoto) else None
    if stated is not None and stated != facts.size_px:
        is_x, is_y = facts.size_px
        yield Problem(
            Kind.OTHER_SIZE, where, f"stated {stated[0]} x {stated[1]}, is {is_x} x {is_y} (EXIF orientation applied)"
        )
    for box in photo.boxes_px:
        if not _inside(box, facts.size_px):
            edges = ", ".join(f"{edge:g}" for edge in box.xyxy())
            yield Problem(
                Kind.BOX_OUTSIDE, where, f"box ({edges}) in a photo of {facts.size_px[0]} x {facts.size_px[1]}"
            )


def _inside(box: BoundingBox, size_px: tuple[int, int]) -> bool:
    """An empty box lies nowhere."""
    x_min, y_min, x_max, y_max = box.xyxy()
    return (
        -_EDGE_TOLERANCE_PX <= x_min < x_max <= size_px[0] + _EDGE_TOLERANCE_PX
        and -_EDGE_TOLERANCE_PX <= y_min < y_max <= size_px[1] + _EDGE_TOLERANCE_PX
    )


def _part_problems(photo: LabelledPhoto | BoxedPhoto, body_parts: Collection[str]) -> Iterator[Problem]:
    shown = [photo.body_part] if isinstance(photo, LabelledPhoto) else [box.body_part for box in photo.boxes]
    for part in shown if body_parts else []:
        if part not in body_parts:
            yield Problem(Kind.UNKNOWN_CATEGORY, str(photo.path), f"{part!r} is none of: {', '.join(body_parts)}")


def _individual_problems(photos: Sequence[LabelledPhoto | BoxedPhoto], split: str) -> Iterator[Problem]:
    of_individual: defaultdict[str, set[Path]] = defaultdict(set)
    for photo in photos:
        if isinstance(photo, LabelledPhoto):
            of_individual[photo.individual].add(photo.path)
    for individual, paths in of_individual.items():
        if len(paths) == 1:
            yield Problem(Kind.SINGLE_PHOTO, f"{split}: {individual}")
    same: defaultdict[str, list[str]] = defaultdict(list)
    for individual in of_individual:
        same[individual.casefold()].append(individual)
    for names in same.values():
        if len(names) > 1:
            yield Problem(Kind.SIMILAR_NAMES, f"{split}: {' and '.join(sorted(names))}")


def _copies_across(
    splits: Mapping[str, PhotoSet[AnyPhoto]], facts: Mapping[Path, FileFacts]
) -> tuple[list[Problem], set[tuple[str, Path]]]:
    """Return copies in two splits, and which (split, path) to leave out so that only the last split keeps its copy."""
    places: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for name, data in splits.items():
        for photo in data.photos:
            content = facts[photo.path].sha256 or str(photo.path)
            places[content].setdefault(name, photo.path)
    problems: list[Problem] = []
    shared: dict[str, str] = {}
    for content, by_split in places.items():
        if len(by_split) > 1:
            last = list(by_split)[-1]
            shared[content] = last
            shown = ", ".join(f"{name}: {path}" for name, path in by_split.items())
            problems.append(Problem(Kind.COPY_ACROSS_SPLITS, shown))
    moved = {
        (name, photo.path)
        for name, data in splits.items()
        for photo in data.photos
        if shared.get(facts[photo.path].sha256 or str(photo.path), name) != name
    }
    return problems, moved


def _shared_individuals(splits: Mapping[str, PhotoSet[AnyPhoto]]) -> Iterator[Problem]:
    in_splits: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for name, data in splits.items():
        for individual in sorted(_individuals(data.photos)):
            in_splits[individual][name] = None
    for individual, names in in_splits.items():
        if len(names) > 1:
            yield Problem(Kind.SHARED_INDIVIDUAL, individual, " and ".join(names))


def _two_names(splits: Mapping[str, PhotoSet[AnyPhoto]], facts: Mapping[Path, FileFacts]) -> Iterator[Problem]:
    """Two copies of one file under two names are two animals in one photo, or a wrong label."""
    paths: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for data in splits.values():
        for photo in data.photos:
            if isinstance(photo, LabelledPhoto) and photo.box_px is None and facts[photo.path].sha256:
                paths[facts[photo.path].sha256].setdefault(photo.individual, photo.path)
    for by_name in paths.values():
        if len(by_name) > 1:
            yield Problem(Kind.TWO_NAMES, ", ".join(f"{name}: {path}" for name, path in by_name.items()))


def _individuals(photos: Iterable[LabelledPhoto | BoxedPhoto]) -> set[str]:
    """Return everybody who is named; in a detector's photos that may be some only."""
    names: set[str] = set()
    for photo in photos:
        if isinstance(photo, LabelledPhoto):
            names.add(photo.individual)
        else:
            names |= {box.individual for box in photo.boxes if box.individual}
    return names


def _counted(inspection: Inspection[AnyPhoto], name: str) -> str:
    photos = inspection.splits[name]
    individuals = len(_individuals(photos))
    who = f" of {individuals} individuals" if individuals else ""
    left_out = inspection.counts[name] - len(photos)
    return f"{len(photos)} photos{who}" + (f" ({left_out} left out)" if left_out else "")

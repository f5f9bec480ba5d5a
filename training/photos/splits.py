"""Splits that share nothing they must not: no individual between training and validation, no encounter between gallery
and query. The same photos and seed give the same split, in whatever order the photos come.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto

Photos = tuple[LabelledPhoto, ...]

_log = logging.getLogger(__name__)

_NO_ENCOUNTERS = (
    "no individual was photographed in two encounters, so nobody can be recognised again: give dates or encounters in"
    " metadata.csv, photos with EXIF dates, or fewer unknown individuals"
)


@dataclass(frozen=True, slots=True)
class EncounterSplit:
    """Photos for an evaluation as in the field: known individuals seen again, and individuals never seen before.

    No encounter and no photo of `queries` or `unknown` is in `gallery`.

    Attributes:
        gallery: photos to know each known individual by, in the order in which to take references: an individual's
            encounters take turns.
        queries: other photos of the known individuals, each of whom has at least one here and in the gallery.
        unknown: photos of individuals that are not in the gallery.
        left_out: individuals with photos that fit nowhere: seen in one encounter only, and not needed as unknown.
    """

    gallery: Photos
    queries: Photos
    unknown: Photos
    left_out: tuple[str, ...]


def split_individuals(
    photos: Sequence[LabelledPhoto], share: float, seed: int, digests: Mapping[Path, str] | None = None
) -> tuple[Photos, Photos]:
    """Hold whole individuals out, for validation.

    Individuals that share a photo stay together, unless that would hold out more than the share: then they are parted,
    and the photos that show individuals of both parts are in neither.

    Args:
        photos: of any individuals; one for each individual in a picture.
        share: of the individuals to hold out, above 0 and below 1; at least one is, and at least one is not.
        seed: of the choice.
        digests: sha256 by path, so that copies count as one photo.

    Returns:
        The photos to train on and those held out, each in the order of `photos`.

    Raises:
        TrainingDataError: there are not two (groups of) individuals to part.
    """
    shown: defaultdict[Hashable, set[str]] = defaultdict(set)
    for photo in photos:
        shown[_content(photo, digests)].add(photo.individual)
    names = {name for together in shown.values() for name in together}
    wanted = max(1, round(share * len(names)))
    for largest_unit in (wanted, len(names)):
        held = _choose_held(_units(photos, largest_unit, digests), wanted, seed)
        training = tuple(photo for photo in photos if not shown[_content(photo, digests)] & held)
        validation = tuple(photo for photo in photos if shown[_content(photo, digests)] <= held)
        if training and validation:
            _tell_unused(photos, (*training, *validation))
            return training, validation
    raise TrainingDataError(
        f"{len(names)} individuals cannot be parted into training and validation: add photos of others"
    )


def split_encounters(
    photos: Sequence[LabelledPhoto],
    references: int,
    unknown: int,
    seed: int,
    digests: Mapping[Path, str] | None = None,
) -> EncounterSplit:
    """Part photos into gallery and queries by encounter.

    Photos without an encounter count as one encounter of their individual: nothing says that they are two. Encounters
    that share a photo (two animals in it, or a copy) count as one. An encounter goes to one side as a whole, whoever is
    in it: half of an individual's encounters, rounded up, to the gallery, more while it has fewer references than
    wanted; at least one stays for its queries.

    Args:
        photos: of one body part.
        references: photos that each individual should have in the gallery, where it has them.
        unknown: how many individuals to keep out of the gallery; first those of one encounter, who could not be
            queried anyway, then others at random.
        seed: of the choice.
        digests: sha256 by path, so that copies count as one photo.

    Raises:
        TrainingDataError: no individual is left that was seen in two encounters.
    """
    ordered = sorted(
        photos, key=lambda photo: (photo.label, photo.encounter or "", str(photo.path), repr(photo.box_px))
    )
    encounters = _encounters(ordered, digests)
    chance = random.Random(seed)
    strangers = _choose_unknown(ordered, encounters, unknown, chance)
    known = [photo for photo in ordered if photo.individual not in strangers]
    in_gallery = _assign(known, encounters, references, chance)
    gallery, queries = _sort_out(known, encounters, in_gallery, chance)
    if not queries:
        raise TrainingDataError(_NO_ENCOUNTERS)
    asked = [photo for photo in ordered if photo.individual in strangers and encounters[photo] not in in_gallery]
    return EncounterSplit(tuple(gallery), tuple(queries), tuple(asked), left_out(photos, gallery, queries, asked))


def first_references(gallery: Sequence[LabelledPhoto], references: int) -> Photos:
    """Return the first so many photos of each individual (with side) in the gallery, in their order."""
    taken: defaultdict[str, int] = defaultdict(int)
    kept = []
    for photo in gallery:
        taken[photo.label] += 1
        if taken[photo.label] <= references:
            kept.append(photo)
    return tuple(kept)


def left_out(photos: Sequence[LabelledPhoto], *used: Sequence[LabelledPhoto]) -> tuple[str, ...]:
    """Return the individuals of `photos` that are in none of the used ones, sorted."""
    playing = {photo.individual for part in used for photo in part}
    return tuple(sorted({photo.individual for photo in photos} - playing))


def _sort_out(
    photos: Sequence[LabelledPhoto],
    encounters: Mapping[LabelledPhoto, int],
    in_gallery: set[int],
    chance: random.Random,
) -> tuple[list[LabelledPhoto], list[LabelledPhoto]]:
    """Return gallery photos and queries of those who have both."""
    of_label: defaultdict[str, tuple[list[LabelledPhoto], list[LabelledPhoto]]] = defaultdict(lambda: ([], []))
    for photo in photos:
        of_label[photo.label][0 if encounters[photo] in in_gallery else 1].append(photo)
    both = [of_label[label] for label in sorted(of_label) if all(of_label[label])]
    gallery = [photo for first, _ in both for photo in _in_turns(first, encounters, chance)]
    return gallery, [photo for _, second in both for photo in second]


def _content(photo: LabelledPhoto, digests: Mapping[Path, str] | None) -> Hashable:
    return ("photo", (digests or {}).get(photo.path) or str(photo.path))


def _encounters(photos: Sequence[LabelledPhoto], digests: Mapping[Path, str] | None) -> dict[LabelledPhoto, int]:
    """Number the encounters."""
    keys: list[list[Hashable]] = []
    for photo in photos:
        named = ("encounter", photo.encounter) if photo.encounter else ("undated", photo.individual)
        keys.append([named, _content(photo, digests)])
    return dict(zip(photos, _connected(keys), strict=True))


def _units(photos: Sequence[LabelledPhoto], largest: int, digests: Mapping[Path, str] | None) -> list[tuple[str, ...]]:
    """Return the individuals to hold out together: those linked by photos, or each alone where too many are linked."""
    groups = _connected([[("individual", photo.individual), _content(photo, digests)] for photo in photos])
    members: defaultdict[int, set[str]] = defaultdict(set)
    for photo, group in zip(photos, groups, strict=True):
        members[group].add(photo.individual)
    units: list[tuple[str, ...]] = []
    for names in members.values():
        units += [tuple(sorted(names))] if len(names) <= largest else [(name,) for name in names]
    return sorted(units)


def _choose_held(units: Sequence[tuple[str, ...]], wanted: int, seed: int) -> set[str]:
    """Return the individuals to hold out, at least so many; one unit at least is left."""
    shuffled = list(units)
    random.Random(seed).shuffle(shuffled)
    held: set[str] = set()
    for unit in shuffled[:-1]:
        if len(held) >= wanted:
            break
        held.update(unit)
    return held


def _tell_unused(photos: Sequence[LabelledPhoto], used: Sequence[LabelledPhoto]) -> None:
    unused = {photo.path for photo in photos} - {photo.path for photo in used}
    if unused:
        _log.info("%d photos show individuals of both training and validation: used in neither", len(unused))


def _connected(keys: Sequence[Sequence[Hashable]]) -> list[int]:
    """Number groups of items, such that items with any key in common are in one group."""
    parent = list(range(len(keys)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first_with: dict[Hashable, int] = {}
    for item, of_item in enumerate(keys):
        for key in of_item:
            parent[root(item)] = root(first_with.setdefault(key, item))
    return [root(item) for item in range(len(keys))]


def _choose_unknown(
    photos: Sequence[LabelledPhoto], encounters: Mapping[LabelledPhoto, int], count: int, chance: random.Random
) -> set[str]:
    """Choose whom to keep out of the gallery."""
    seen: defaultdict[str, set[int]] = defaultdict(set)
    for photo in photos:
        seen[photo.individual].add(encounters[photo])
    names = sorted(seen)
    chance.shuffle(names)
    names.sort(key=lambda name: len(seen[name]) > 1)  # stable: by chance among equals
    return set(names[:count])


def _assign(
    photos: Sequence[LabelledPhoto], encounters: Mapping[LabelledPhoto, int], references: int, chance: random.Random
) -> set[int]:
    """Choose the encounters whose photos are the gallery; all others are for queries."""
    sizes: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for photo in photos:
        of_label = sizes[photo.label]
        of_label[encounters[photo]] = of_label.get(encounters[photo], 0) + 1
    side: dict[int, bool] = {}
    labels = sorted(sizes)
    chance.shuffle(labels)
    labels.sort(key=lambda label: len(sizes[label]))  # who has little choice chooses first
    for label in labels:
        free = sorted(encounter for encounter in sizes[label] if encounter not in side)
        chance.shuffle(free)
        queried = any(not side[encounter] for encounter in sizes[label] if encounter in side)
        for encounter in free:
            taken = [one for one in sizes[label] if side.get(one, False)]
            enough = sum(sizes[label][one] for one in taken) >= references and 2 * len(taken) >= len(sizes[label])
            last_for_queries = not queried and taken and encounter == free[-1]
            side[encounter] = not enough and not last_for_queries
            queried = queried or not side[encounter]
    return {encounter for encounter, in_gallery in side.items() if in_gallery}


def _in_turns(
    photos: Sequence[LabelledPhoto], encounters: Mapping[LabelledPhoto, int], chance: random.Random
) -> list[LabelledPhoto]:
    """Order one individual's gallery photos so that its encounters take turns, by chance within each."""
    by_encounter: defaultdict[int, list[LabelledPhoto]] = defaultdict(list)
    for photo in photos:
        by_encounter[encounters[photo]].append(photo)
    queues = list(by_encounter.values())
    chance.shuffle(queues)
    for queue in queues:
        chance.shuffle(queue)
    longest = max(len(queue) for queue in queues)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]

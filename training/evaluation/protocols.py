"""Who is in the gallery and who is asked for: the honest way, the data's own, and the original's."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto
from training.photos.splits import Photos, first_references, left_out, split_encounters

SEED_REFERENCES = 5
SEED_LEAST_PHOTOS = 7
"""The original takes 5 random references of each individual with more than 6 photos."""

GALLERY_SPLITS = frozenset({"gallery", "catalogue", "catalog"})
_QUERY_SPLIT, _UNKNOWN_SPLIT = "query", "unknown"


Encounters = Literal["disjoint", "not known", "shared", "ignored"]
"""Whether gallery and queries share encounters: never; the data does not tell; some do; nobody asked."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which photo plays which part.

    Attributes:
        references: in the order in which they are taken; at most the wanted number of each label.
        queries: of individuals that have references.
        unknown: of individuals that have none.
        left_out: individuals that play no part.
        encounters: what the two sides share.
    """

    references: Photos
    queries: Photos
    unknown: Photos
    left_out: tuple[str, ...]
    encounters: Encounters

    @property
    def photos(self) -> Photos:
        """All photos that play a part, without repetitions."""
        return tuple(dict.fromkeys((*self.references, *self.queries, *self.unknown)))


def has_given_roles(photos: Sequence[LabelledPhoto]) -> bool:
    """Tell whether the data itself says, in `split`, which photos are the gallery and which are queries."""
    splits = {photo.split for photo in photos}
    return bool(splits & GALLERY_SPLITS) and _QUERY_SPLIT in splits


def given_roles(photos: Sequence[LabelledPhoto], references: int) -> Roles:
    """Take the roles that the data gives; queries of individuals without a reference count as unknown.

    What encounters the two sides share is the data's business here; it is found out and told.
    """
    gallery = first_references([photo for photo in photos if photo.split in GALLERY_SPLITS], references)
    labels = {photo.label for photo in gallery}
    individuals = {photo.individual for photo in gallery}
    asked = [photo for photo in photos if photo.split in {_QUERY_SPLIT, _UNKNOWN_SPLIT}]
    queries = tuple(photo for photo in asked if photo.label in labels)
    unknown = tuple(photo for photo in asked if photo.individual not in individuals)
    missing = left_out(photos, gallery, queries, unknown)
    if not queries:
        raise TrainingDataError("no individual is both in the gallery and among the queries that the data names")
    return Roles(gallery, queries, unknown, missing, _shared(gallery, (*queries, *unknown)))


def honest_roles(
    photos: Sequence[LabelledPhoto],
    references: int,
    unknown: int,
    seed: int,
    digests: Mapping[Path, str] | None = None,
) -> Roles:
    """Split by encounter; see `training.photos.splits.split_encounters`."""
    split = split_encounters(photos, references, unknown, seed, digests)
    return Roles(first_references(split.gallery, references), split.queries, split.unknown, split.left_out, "disjoint")


def seed_roles(photos: Sequence[LabelledPhoto], unknown: Photos, seed: int, references: int = SEED_REFERENCES) -> Roles:
    """Split as the original did: random references, encounters ignored. Optimistic, for comparison only.

    Args:
        photos: of the individuals that may be known.
        unknown: photos of others, to ask for as well.
        seed: of the choice.
        references: for each individual with more than 6 photos.
    """
    of_label: defaultdict[str, list[LabelledPhoto]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: (photo.label, str(photo.path))):
        of_label[photo.label].append(photo)
    chance = random.Random(seed)
    gallery: list[LabelledPhoto] = []
    queries: list[LabelledPhoto] = []
    for of_one in of_label.values():
        if len(of_one) < max(SEED_LEAST_PHOTOS, references + 1):
            continue
        chance.shuffle(of_one)
        gallery += of_one[:references]
        queries += of_one[references:]
    missing = left_out(photos, gallery, queries)
    if not queries:
        raise TrainingDataError(
            f"no individual has the {max(SEED_LEAST_PHOTOS, references + 1)} photos that the original's protocol needs"
        )
    return Roles(tuple(gallery), tuple(queries), unknown, missing, "ignored")


def _shared(gallery: Photos, asked: Photos) -> Encounters:
    if {photo.encounter for photo in gallery if photo.encounter} & {photo.encounter for photo in asked}:
        return "shared"
    return "disjoint" if all(photo.encounter for photo in (*gallery, *asked)) else "not known"

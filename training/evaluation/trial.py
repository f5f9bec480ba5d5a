"""Embedded photos in their roles as arrays, and the distances between queries and individuals."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.protocols import Roles
from training.photos.records import LabelledPhoto
from training.scoring import distances
from training.scoring.intervals import FloatArray, IntArray, numbered
from training.scoring.ranks import BoolArray

Matching = Literal["centroid", "nearest"]
"""Distance to an individual: to the mean of its embeddings, as in the service, or to its nearest photo."""

MATCHINGS: tuple[Matching, ...] = ("centroid", "nearest")

VectorOf = Callable[[EmbeddedPhoto], FloatArray | None]
"""What a photo is compared by; None where it has failed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Who is compared with whom. k individuals are known; vectors are (n, d) float64.

    Attributes:
        labels: of the known individuals (with side), sorted; the columns of every distance matrix.
        references: (g, d) of the references that did not fail.
        reference_of: (g,) column of each.
        turn: (g,) 0 for the first reference of its individual, and so on; failed ones are counted.
        queries: (q, d); rows of NaN for queries that failed.
        truth: (q,) right column of each.
        unknown: (u, d) queries of individuals that are not known, without those that failed.
        known_of: (q,) number of the queries' individuals; the unit of averages and intervals.
        unknown_of: (u,) likewise.
        known_half: (q,) which half of the individuals they belong to.
        unknown_half: (u,) likewise.
        reference_photos: (g,) what the references are.
        query_photos: (q,)
        unknown_photos: (u,)
    """

    labels: tuple[str, ...]
    references: FloatArray
    reference_of: IntArray
    turn: IntArray
    queries: FloatArray
    truth: IntArray
    unknown: FloatArray
    known_of: IntArray
    unknown_of: IntArray
    known_half: BoolArray
    unknown_half: BoolArray
    reference_photos: tuple[EmbeddedPhoto, ...]
    query_photos: tuple[EmbeddedPhoto, ...]
    unknown_photos: tuple[EmbeddedPhoto, ...]


def make_trial(roles: Roles, embedded: Mapping[LabelledPhoto, EmbeddedPhoto], vector_of: VectorOf, seed: int) -> Trial:
    """Arrange embedded photos by their roles.

    Args:
        roles: who plays which part.
        embedded: every photo of the roles.
        vector_of: what to compare.
        seed: of the division of individuals into halves.
    """
    labels = tuple(sorted({photo.label for photo in roles.references}))
    column = {label: place for place, label in enumerate(labels)}
    vectors = {photo: vector_of(done) for photo, done in embedded.items()}
    dimension = next((len(vector) for vector in vectors.values() if vector is not None), 1)
    turns = _turns(roles.references)
    usable = [place for place, photo in enumerate(roles.references) if vectors[photo] is not None]
    references = [roles.references[place] for place in usable]
    unknown = [photo for photo in roles.unknown if vectors[photo] is not None]
    known_of = numbered([photo.individual for photo in roles.queries])
    unknown_of = numbered([photo.individual for photo in unknown])
    return Trial(
        labels=labels,
        references=_stack([vectors[photo] for photo in references], dimension),
        reference_of=np.array([column[photo.label] for photo in references], dtype=np.intp),
        turn=np.array([turns[place] for place in usable], dtype=np.intp),
        queries=_stack([vectors[photo] for photo in roles.queries], dimension),
        truth=np.array([column[photo.label] for photo in roles.queries], dtype=np.intp),
        unknown=_stack([vectors[photo] for photo in unknown], dimension),
        known_of=known_of,
        unknown_of=unknown_of,
        known_half=_halves(known_of, seed),
        unknown_half=_halves(unknown_of, seed + 1),
        reference_photos=tuple(embedded[photo] for photo in references),
        query_photos=tuple(embedded[photo] for photo in roles.queries),
        unknown_photos=tuple(embedded[photo] for photo in unknown),
    )


def photo_distances(trial: Trial, asked: FloatArray, references: int) -> FloatArray:
    """Return (n, g) Euclidean distances to the references; `inf` to those beyond the wanted number and for NaN rows."""
    measured = distances.photo_distances(asked, trial.references)
    measured[:, trial.turn >= references] = np.inf
    return measured


def individual_distances(trial: Trial, asked: FloatArray, matching: Matching, references: int) -> FloatArray:
    """Return (n, k) distances to the known individuals; `inf` to one of whom no reference could be embedded.

    Args:
        trial: holds the references.
        asked: (n, d) queries.
        matching: how.
        references: how many of each individual to use, at most.
    """
    used = trial.turn < references
    measure = distances.nearest_distances if matching == "nearest" else distances.centroid_distances
    return measure(asked, trial.references[used], trial.reference_of[used], len(trial.labels))


def _stack(vectors: Sequence[FloatArray | None], dimension: int) -> FloatArray:
    missing = np.full(dimension, np.nan)
    rows = [missing if vector is None else vector for vector in vectors]
    return np.array(rows, dtype=np.float64).reshape(len(rows), dimension)


def _turns(references: Sequence[LabelledPhoto]) -> list[int]:
    """Count each individual's references from 0."""
    taken: dict[str, int] = {}
    turns = []
    for photo in references:
        turns.append(taken.get(photo.label, 0))
        taken[photo.label] = turns[-1] + 1
    return turns


def _halves(of: IntArray, seed: int) -> BoolArray:
    """Divide individuals into two halves by chance."""
    numbers = list(range(int(of.max()) + 1)) if len(of) else []
    random.Random(seed).shuffle(numbers)
    second = set(numbers[len(numbers) // 2 :])
    return np.array([number in second for number in of.tolist()], dtype=np.bool_)

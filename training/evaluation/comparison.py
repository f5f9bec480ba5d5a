"""Queries and references as arrays, what photos are compared by, and the distances from queries to individuals."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.arrays import BoolArray, FloatArray, IntArray
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.protocols import Roles
from training.photos.records import LabelledPhoto
from training.scoring import distances
from training.scoring.intervals import numbered
from training.scoring.open_set import BestDistances
from training.scoring.ranks import ranks_of_truth

Matching = Literal["centroid", "nearest"]
"""Distance to an individual: to the mean of its embeddings, as in the service, or to its nearest photo."""

MATCHINGS: tuple[Matching, ...] = ("centroid", "nearest")

VectorOf = Callable[[EmbeddedPhoto], FloatArray | None]
"""What a photo is compared by; None where it has failed."""


def by_embedding(photo: EmbeddedPhoto) -> FloatArray | None:
    """Return the embedding, (d,) float64."""
    return None if photo.values is None else photo.values.astype(np.float64)


def by_thumbnail(photo: EmbeddedPhoto) -> FloatArray | None:
    """Return the crop's 32x32 grey picture with zero mean and unit length, (1024,) float64.

    The squared distance of two of these is 2 - 2 r, with r their correlation: nearest is most correlated.
    """
    if photo.thumbnail is None:
        return None
    grey = photo.thumbnail.astype(np.float64).ravel()
    centred: FloatArray = grey - grey.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0.0 else centred


@dataclass(frozen=True, slots=True)
class Comparison:
    """Embedded queries and the references that they are compared with; k individuals are known, vectors are float64.

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


def make_comparison(
    roles: Roles, embedded: Mapping[LabelledPhoto, EmbeddedPhoto], vector_of: VectorOf, seed: int
) -> Comparison:
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
    return Comparison(
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


def reference_distances(comparison: Comparison, asked: FloatArray, references: int) -> FloatArray:
    """Return (n, g) Euclidean distances to the references; `inf` to those beyond the wanted number and for NaN rows."""
    measured = distances.photo_distances(asked, comparison.references)
    measured[:, comparison.turn >= references] = np.inf
    return measured


def individual_distances(comparison: Comparison, asked: FloatArray, matching: Matching, references: int) -> FloatArray:
    """Return (n, k) distances to the known individuals; `inf` to one of whom no reference could be embedded.

    Args:
        comparison: holds the references.
        asked: (n, d) queries.
        matching: how.
        references: how many of each individual to use, at most.
    """
    used = comparison.turn < references
    measure = distances.nearest_distances if matching == "nearest" else distances.centroid_distances
    return measure(asked, comparison.references[used], comparison.reference_of[used], len(comparison.labels))


def best_distances(comparison: Comparison, matching: Matching, references: int) -> BestDistances:
    """Return how near each query's best candidate is, and whether that is the right one.

    Args:
        comparison: of embedded photos.
        matching: how.
        references: how many of each individual to use, at most.
    """
    known = individual_distances(comparison, comparison.queries, matching, references)
    unknown = individual_distances(comparison, comparison.unknown, matching, references)
    return BestDistances(known.min(axis=1), ranks_of_truth(known, comparison.truth) == 1.0, unknown.min(axis=1))


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

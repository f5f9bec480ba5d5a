"""The worst mistakes, as pictures side by side: the query, the individual it was taken for, and the right one."""

from dataclasses import dataclass

import numpy as np

from training.arrays import FloatArray, IntArray
from training.evaluation.comparison import Comparison, Matching, individual_distances, reference_distances
from training.evaluation.embedded import EmbeddedPhoto


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confident mistake.

    Attributes:
        query: the photo that was asked for.
        taken_for: the nearest reference of the individual in first place.
        distance: to that individual.
        right: the nearest reference of the right individual; None for an unknown individual.
        right_distance: to the right individual; None for an unknown one.
    """

    query: EmbeddedPhoto
    taken_for: EmbeddedPhoto
    distance: float
    right: EmbeddedPhoto | None = None
    right_distance: float | None = None


def wrong_names(comparison: Comparison, matching: Matching, references: int, most: int) -> tuple[Confusion, ...]:
    """Return queries of known individuals with a wrong first candidate, the nearest and so most confident ones first.

    One for each pair of query's and answered individual.

    Args:
        comparison: of embedded photos.
        matching: how.
        references: of each individual, at most.
        most: how many to return.
    """
    distances = individual_distances(comparison, comparison.queries, matching, references)
    photos = reference_distances(comparison, comparison.queries, references)
    first = distances.argmin(axis=1)
    wrong = (first != comparison.truth) & np.isfinite(distances.min(axis=1))
    confusions = []
    for row in _one_a_pair(distances, first, comparison.truth, np.flatnonzero(wrong))[:most]:
        truth = int(comparison.truth[row])
        confusions.append(
            Confusion(
                comparison.query_photos[row],
                _nearest(comparison, photos[row], int(first[row])),
                float(distances[row, first[row]]),
                _nearest(comparison, photos[row], truth) if np.isfinite(distances[row, truth]) else None,
                float(distances[row, truth]),
            )
        )
    return tuple(confusions)


def false_names(comparison: Comparison, matching: Matching, references: int, most: int) -> tuple[Confusion, ...]:
    """Return queries of unknown individuals that are nearest to somebody, one for each pair of individuals.

    Args:
        comparison: of embedded photos.
        matching: how.
        references: of each individual, at most.
        most: how many to return.
    """
    distances = individual_distances(comparison, comparison.unknown, matching, references)
    photos = reference_distances(comparison, comparison.unknown, references)
    first = distances.argmin(axis=1)
    finite = np.flatnonzero(np.isfinite(distances.min(axis=1)))
    return tuple(
        Confusion(
            comparison.unknown_photos[row],
            _nearest(comparison, photos[row], int(first[row])),
            float(distances[row, first[row]]),
        )
        for row in _one_a_pair(distances, first, comparison.unknown_of, finite)[:most]
    )


def _one_a_pair(distances: FloatArray, first: IntArray, asked: IntArray, rows: IntArray) -> list[int]:
    """Order rows by their best distance and keep the first of each pair of asked and answered individual."""
    ordered = rows[np.argsort(distances[rows, first[rows]], kind="stable")].tolist() if len(rows) else []
    kept: dict[tuple[int, int], int] = {}
    for row in ordered:
        kept.setdefault((int(asked[row]), int(first[row])), row)
    return list(kept.values())


def _nearest(comparison: Comparison, distances: FloatArray, column: int) -> EmbeddedPhoto:
    """Return the reference of an individual that is nearest to a query."""
    own = np.where(comparison.reference_of == column, distances, np.inf)
    return comparison.reference_photos[int(own.argmin())]

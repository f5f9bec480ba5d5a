"""Closed-set scores: where the right individual stands among all known ones.

Distances are (q, k): one row a query, one column a known individual. `inf` stands for what could not be compared, such
as a query in which no animal was found; it is never right.
"""

import numpy as np

from training.arrays import BoolArray, FloatArray, IntArray


def ranks_of_truth(distances: FloatArray, truth: IntArray) -> FloatArray:
    """Return the place of the right individual in each query's ranking.

    Equal distances stand in the columns' order, as they do in the service.

    Args:
        distances: (q, k).
        truth: (q,) right column.

    Returns:
        (q,) places from 1, `inf` where the right individual could not be compared.
    """
    rows = np.arange(len(truth))
    right = distances[rows, truth][:, None]  # (q, 1)
    before = np.arange(distances.shape[1])[None, :] < truth[:, None]
    ranks = 1.0 + (distances < right).sum(axis=1) + ((distances == right) & before).sum(axis=1)
    return np.where(np.isfinite(right[:, 0]), ranks, np.inf)


def average_precisions(distances: FloatArray, relevant: BoolArray) -> FloatArray:
    """Return the average precision of each query's ranking: the mean precision at the places of what is relevant.

    With one relevant column this is 1 / rank.

    Args:
        distances: (q, n); equal ones stand in the columns' order.
        relevant: (q, n).

    Returns:
        (q,) in [0, 1]; what is relevant and could not be compared counts with precision 0, and so does having nothing
        relevant.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    hits = np.take_along_axis(relevant & np.isfinite(distances), order, axis=1)  # (q, n)
    precision = np.cumsum(hits, axis=1) / np.arange(1, distances.shape[1] + 1)
    total: FloatArray = (precision * hits).sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)
    return total


def cumulative_matches(ranks: FloatArray, weights: FloatArray, places: int) -> FloatArray:
    """Return the cumulative match characteristic: the share of queries whose right individual is among the first n.

    Args:
        ranks: (q,) from 1.
        weights: (q,) of the queries.
        places: how many values of n, from 1.

    Returns:
        (places,) in [0, 1], ascending.
    """
    found = ranks <= places
    at = np.bincount(ranks[found].astype(np.intp) - 1, weights[found], minlength=places)
    total = weights.sum()
    return np.cumsum(at) / total if total > 0.0 else np.full(places, np.nan)

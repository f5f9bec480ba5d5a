"""Open-set scores: telling queries of known individuals from those of individuals that the gallery does not hold.

The only evidence is the distance of the best candidate. A query is *accepted* where that lies below a threshold, and
reported as a new individual otherwise.
"""

from dataclasses import dataclass

import numpy as np

from training.arrays import BoolArray, FloatArray
from training.scoring.intervals import weighted_mean


@dataclass(frozen=True, slots=True)
class BestDistances:
    """How near the best candidate of each query is; queries are of known and of unknown individuals.

    Attributes:
        known: (q,) distances; `inf` where no animal was found, which can never be accepted.
        right: (q,) whether the best candidate is the right one.
        unknown: (u,) finite distances.
    """

    known: FloatArray
    right: BoolArray
    unknown: FloatArray


@dataclass(frozen=True, slots=True)
class HalvedQueries:
    """Queries whose individuals are divided into two halves: a threshold is chosen on one and tested on the other.

    Attributes:
        best: distances of the best candidates.
        known_half: (q,) which half each known query's individual belongs to.
        unknown_half: (u,) likewise.
    """

    best: BestDistances
    known_half: BoolArray
    unknown_half: BoolArray


@dataclass(frozen=True, slots=True)
class ThresholdRates:
    """What a threshold does to queries that it was not chosen on.

    Attributes:
        threshold: distance below which a query is accepted; the mean of the two halves'.
        false_accept: share of unknown queries that are accepted, as somebody they are not.
        false_reject: share of known queries that are called new.
        accepted_right: share of known queries that are accepted and whose best candidate is right.
    """

    threshold: float
    false_accept: float
    false_reject: float
    accepted_right: float


def area_under_roc(
    known: FloatArray, unknown: FloatArray, known_weights: FloatArray, unknown_weights: FloatArray
) -> float:
    """Return the chance that a known query's best candidate is nearer than an unknown query's; ties count half.

    Args:
        known: (q,) distances.
        unknown: (u,) distances.
        known_weights: (q,).
        unknown_weights: (u,).

    Returns:
        In [0, 1]; NaN where one side is empty.
    """
    total = known_weights.sum() * unknown_weights.sum()
    if not total > 0.0:
        return float("nan")
    order = np.argsort(unknown, kind="stable")
    cumulated = np.concatenate(([0.0], np.cumsum(unknown_weights[order])))
    nearer = cumulated[np.searchsorted(unknown[order], known, side="left")]
    not_farther = cumulated[np.searchsorted(unknown[order], known, side="right")]
    farther_or_half = cumulated[-1] - 0.5 * (nearer + not_farther)
    return float(np.dot(known_weights, farther_or_half) / total)


def threshold_for(unknown: FloatArray, weights: FloatArray, rejected: float) -> float:
    """Return the largest threshold that rejects at least this share of unknown queries.

    Args:
        unknown: (u,) distances; those at or above the threshold are rejected.
        weights: (u,).
        rejected: share in (0, 1].

    Returns:
        One of the distances; NaN where nothing weighs anything.
    """
    used = weights > 0.0
    if not used.any():
        return float("nan")
    order = np.argsort(unknown[used], kind="stable")
    distances, cumulated = unknown[used][order], np.cumsum(weights[used][order])
    before = np.concatenate(([0.0], cumulated[:-1])) / cumulated[-1]  # share accepted if the threshold is this distance
    allowed = before <= 1.0 - rejected + 1e-12
    return float(distances[allowed][-1])


def cross_validated_rates(
    queries: HalvedQueries, known_weights: FloatArray, unknown_weights: FloatArray, rejected: float
) -> ThresholdRates:
    """Choose a threshold on each half of the individuals and test it on the other; the two tests are averaged.

    Args:
        queries: of both kinds.
        known_weights: (q,).
        unknown_weights: (u,).
        rejected: share of unknown queries that the threshold rejects where it is chosen.
    """
    tests = []
    for half in (False, True):
        chosen_on = unknown_weights * (queries.unknown_half == half)
        threshold = threshold_for(queries.best.unknown, chosen_on, rejected)
        tests.append(
            _rates(
                queries.best,
                threshold,
                known_weights * (queries.known_half != half),
                unknown_weights * (queries.unknown_half != half),
            )
        )
    return ThresholdRates(*(float(np.mean(column)) for column in zip(*tests, strict=True)))


def _rates(
    best: BestDistances, threshold: float, known_weights: FloatArray, unknown_weights: FloatArray
) -> tuple[float, float, float, float]:
    if np.isnan(threshold):
        return (threshold,) * 4
    accepted = best.known < threshold
    return (
        threshold,
        weighted_mean(best.unknown < threshold, unknown_weights),
        weighted_mean(~accepted, known_weights),
        weighted_mean(accepted & best.right, known_weights),
    )

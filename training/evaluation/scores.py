"""All scores of one comparison with one way of matching, each with its interval."""

from dataclasses import dataclass

import numpy as np

from pipeline.records import UNKNOWN_DISTANCE
from training.arrays import FloatArray
from training.evaluation.comparison import (
    Comparison,
    Matching,
    best_distances,
    individual_distances,
    reference_distances,
)
from training.scoring.intervals import RESAMPLES, Estimate, Resampling, weighted_mean
from training.scoring.open_set import HalvedQueries, ThresholdRates, area_under_roc, cross_validated_rates
from training.scoring.ranks import average_precisions, cumulative_matches, ranks_of_truth

REJECTED = 0.9
"""Share of unknown queries that the reported threshold rejects, on the half that it is chosen on."""

CMC_PLACES = 20
_CURVE_TARGETS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
_TOP = 5


@dataclass(frozen=True, slots=True)
class OpenSetScores:
    """How well unknown individuals are told from known ones.

    Attributes:
        auroc: area under the ROC curve of the best candidate's distance.
        threshold: that rejects 90 % of unknown queries, chosen on one half of the individuals; mean of both halves.
        false_accept: of unknown queries of the other half.
        false_reject: of known queries of the other half.
        accepted_right: known queries of the other half that are accepted and right.
        unknown_entry_false_accept: unknown queries nearer to somebody than the service's "Unknown" entry, which stands
            at distance 1 in every ranking.
        unknown_entry_accepted_right: known queries whose first entry is the right individual, not "Unknown".
        curve: the same for other shares than 90 %: (share to reject, what came of it).
    """

    auroc: Estimate
    threshold: float
    false_accept: Estimate
    false_reject: Estimate
    accepted_right: Estimate
    unknown_entry_false_accept: Estimate
    unknown_entry_accepted_right: Estimate
    curve: tuple[tuple[float, ThresholdRates], ...]


@dataclass(frozen=True, slots=True)
class MatchingScores:
    """What one way of matching reaches with so many references.

    Attributes:
        matching: how.
        references: of each individual, at most.
        top1: right individual first.
        top5: right individual among the first five.
        mean_average_precision: of the individual's photos among all references ("nearest"), or of the individual
            ("centroid"), where it is the mean of 1 / rank.
        cmc: cumulative match characteristic from 1 to at most 20 places.
        open_set: None where there are not two unknown individuals and two known ones.
    """

    matching: Matching
    references: int
    top1: Estimate
    top5: Estimate
    mean_average_precision: Estimate
    cmc: tuple[Estimate, ...]
    open_set: OpenSetScores | None


def score(
    comparison: Comparison, matching: Matching, references: int, seed: int, resamples: int = RESAMPLES
) -> MatchingScores:
    """Compute all scores.

    Args:
        comparison: of embedded photos.
        matching: how to compare.
        references: how many of each individual to use, at most.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    distances = individual_distances(comparison, comparison.queries, matching, references)  # (q, k)
    ranks = ranks_of_truth(distances, comparison.truth)
    precisions = _average_precisions(comparison, distances, matching, references)
    places = min(CMC_PLACES, len(comparison.labels))

    def closed(known: FloatArray, unknown: FloatArray) -> FloatArray:
        top = [weighted_mean(ranks <= _TOP, known), weighted_mean(precisions, known)]
        return np.concatenate((top, cumulative_matches(ranks, known, places)))

    sampling = Resampling(comparison.known_of, comparison.unknown_of, seed, resamples)
    top5, mean_precision, *cmc = sampling.estimates(closed)
    open_set = _open_set_scores(comparison, matching, references, sampling)
    return MatchingScores(matching, references, cmc[0], top5, mean_precision, tuple(cmc), open_set)


def _average_precisions(
    comparison: Comparison, distances: FloatArray, matching: Matching, references: int
) -> FloatArray:
    if matching == "centroid":
        return average_precisions(distances, np.arange(len(comparison.labels))[None, :] == comparison.truth[:, None])
    relevant = (comparison.reference_of[None, :] == comparison.truth[:, None]) & (comparison.turn < references)[None, :]
    return average_precisions(reference_distances(comparison, comparison.queries, references), relevant)


def _open_set_scores(
    comparison: Comparison, matching: Matching, references: int, sampling: Resampling
) -> OpenSetScores | None:
    if min(len(set(comparison.known_of)), len(set(comparison.unknown_of))) < 2:
        return None
    best = best_distances(comparison, matching, references)
    queries = HalvedQueries(best, comparison.known_half, comparison.unknown_half)

    def opened(known: FloatArray, unknown: FloatArray) -> FloatArray:
        rates = cross_validated_rates(queries, known, unknown, REJECTED)
        area = area_under_roc(best.known, best.unknown, known, unknown)
        first = weighted_mean((best.known < UNKNOWN_DISTANCE) & best.right, known)
        wrong = weighted_mean(best.unknown < UNKNOWN_DISTANCE, unknown)
        return np.array([area, rates.false_accept, rates.false_reject, rates.accepted_right, wrong, first])

    area, accept, reject, right, entry_accept, entry_right = sampling.estimates(opened)
    known, unknown = sampling.macro_weights()
    curve = tuple((target, cross_validated_rates(queries, known, unknown, target)) for target in _CURVE_TARGETS)
    threshold = cross_validated_rates(queries, known, unknown, REJECTED).threshold
    return OpenSetScores(area, threshold, accept, reject, right, entry_accept, entry_right, curve)

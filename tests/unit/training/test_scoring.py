"""The arithmetic of recognition against values worked out by hand; intervals against simulated animals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from training.scoring.distances import centroid_distances, nearest_distances, photo_distances
from training.scoring.intervals import Estimate, Resampling, numbered, percentile_interval, weighted_mean
from training.scoring.open_set import BestDistances, HalvedQueries, area_under_roc, cross_validated_rates, threshold_for
from training.scoring.ranks import average_precisions, cumulative_matches, ranks_of_truth

INF = np.inf


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.intp)


# --- distances ---


def test_distances_to_means_and_to_nearest_photos() -> None:
    references, of = np.array([[0.0, 0.0], [6.0, 8.0], [0.0, 5.0]]), integers(0, 0, 2)
    asked = np.array([[0.0, 0.0], [6.0, 0.0]])
    assert photo_distances(asked, references) == pytest.approx(np.array([[0, 10, 5], [6, 8, 61**0.5]]))
    # means: (3, 4), nobody, (0, 5)
    assert centroid_distances(asked, references, of, 3) == pytest.approx(np.array([[5, INF, 5], [5, INF, 61**0.5]]))
    assert nearest_distances(asked, references, of, 3) == pytest.approx(np.array([[0, INF, 5], [6, INF, 61**0.5]]))


def test_a_failed_photo_is_infinitely_far_from_everybody() -> None:
    failed, references = np.full((1, 2), np.nan), np.zeros((1, 2))
    assert centroid_distances(failed, references, integers(0), 1).tolist() == [[INF]]
    assert nearest_distances(failed, references, integers(0), 1).tolist() == [[INF]]


# --- closed set ---


def test_rank_counts_those_that_stand_before_the_right_one() -> None:
    distances = np.array([[0.1, 0.5, 0.9], [0.5, 0.1, 0.9], [0.4, 0.4, 0.4], [INF, INF, INF], [0.2, INF, 0.3]])
    truth = integers(0, 0, 1, 2, 1)
    assert ranks_of_truth(distances, truth).tolist() == [1, 2, 2, INF, INF]


def test_average_precision_is_the_mean_precision_at_the_relevant_places() -> None:
    distances = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]])
    relevant = np.array([[True, False, True, False, True]])
    # precision 1/1 at place 1, 2/3 at place 3, 3/5 at place 5
    assert average_precisions(distances, relevant)[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_average_precision_of_one_relevant_column_is_one_over_its_rank() -> None:
    distances = np.array([[0.3, 0.1, 0.2]])
    assert average_precisions(distances, np.array([[True, False, False]]))[0] == pytest.approx(1 / 3)


def test_what_could_not_be_compared_counts_with_precision_zero() -> None:
    distances = np.array([[0.1, INF, 0.3], [INF, INF, INF], [0.1, 0.2, 0.3]])
    relevant = np.array([[True, True, False], [True, True, False], [False, False, False]])
    assert average_precisions(distances, relevant).tolist() == [0.5, 0.0, 0.0]


def test_cmc_is_the_share_found_up_to_each_place() -> None:
    ranks = np.array([1.0, 1.0, 2.0, 4.0, INF])
    assert cumulative_matches(ranks, np.ones(5), 4) == pytest.approx([0.4, 0.6, 0.6, 0.8])


def test_cmc_can_weigh_photos() -> None:
    ranks = np.array([1.0, 2.0, INF])
    assert cumulative_matches(ranks, np.array([2.0, 1.0, 1.0]), 2) == pytest.approx([0.5, 0.75])


# --- open set ---


def test_auroc_counts_pairs_and_ties_half() -> None:
    known, unknown = np.array([0.1, 0.4, 0.6, INF]), np.array([0.5, 0.4, 0.9])
    # wins of the known: 0.1 beats 3; 0.4 beats 2 and ties 1; 0.6 beats 1; inf beats none: 6.5 of 12
    assert area_under_roc(known, unknown, np.ones(4), np.ones(3)) == pytest.approx(6.5 / 12)


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_weighted_auroc_is_that_of_repeated_photos(
    known: list[tuple[int, int]], unknown: list[tuple[int, int]]
) -> None:
    ones = [float(distance) for distance, times in known for _ in range(times)]
    others = [float(distance) for distance, times in unknown for _ in range(times)]
    columns = [np.array(column, dtype=float) for column in (*zip(*known, strict=True), *zip(*unknown, strict=True))]
    area = area_under_roc(columns[0], columns[2], columns[1], columns[3])
    if not ones or not others:
        assert np.isnan(area)
    else:
        wins = [1.0 if one < other else 0.5 * (one == other) for one in ones for other in others]
        assert area == pytest.approx(sum(wins) / len(wins))


def test_auroc_and_average_precision_are_scikit_learns() -> None:
    generator = np.random.default_rng(5)
    known, unknown = generator.integers(0, 20, 50) / 20.0, generator.integers(5, 25, 30) / 20.0
    weights = generator.random(50), generator.random(30)
    truth = np.repeat([1, 0], [50, 30])
    expected = roc_auc_score(truth, -np.concatenate((known, unknown)), sample_weight=np.concatenate(weights))
    assert area_under_roc(known, unknown, *weights) == pytest.approx(expected)
    distances, relevant = generator.random((1, 40)), generator.random((1, 40)) < 0.2
    assert average_precisions(distances, relevant)[0] == pytest.approx(
        average_precision_score(relevant[0], -distances[0])
    )


def test_threshold_rejects_the_wanted_share_and_no_more_than_it_must() -> None:
    unknown = np.array([0.7, 0.2, 0.5, 0.9, 0.3, 0.8, 0.6, 0.4, 1.0, 0.1])
    assert threshold_for(unknown, np.ones(10), 0.9) == 0.2  # 0.1 alone is below it
    assert threshold_for(unknown, np.ones(10), 0.75) == 0.3
    assert threshold_for(unknown, np.ones(10), 1.0) == 0.1


def test_threshold_weighs_individuals() -> None:
    unknown = np.array([0.1, 0.2, 0.3])
    assert threshold_for(unknown, np.array([0.05, 0.05, 0.9]), 0.9) == 0.3
    assert threshold_for(unknown, np.array([0.0, 0.5, 0.5]), 0.9) == 0.2
    assert np.isnan(threshold_for(unknown, np.zeros(3), 0.9))


def test_threshold_is_chosen_on_one_half_and_tested_on_the_other() -> None:
    queries = HalvedQueries(
        BestDistances(
            known=np.array([0.1, 0.35, 0.25, 0.5]),
            right=np.array([True, True, True, True]),
            unknown=np.array([0.3, 0.6, 0.4, 0.2]),
        ),
        known_half=np.array([False, False, True, True]),
        unknown_half=np.array([False, False, True, True]),
    )
    rates = cross_validated_rates(queries, np.ones(4), np.ones(4), rejected=1.0)
    # first half: threshold 0.3; of the second half 0.2 is accepted (1/2), known 0.25 accepted, 0.5 not
    # second half: threshold 0.2; of the first half nobody is accepted (0/2), known 0.1 accepted, 0.35 not
    assert rates.threshold == pytest.approx(0.25)
    assert rates.false_accept == pytest.approx(0.25)
    assert rates.false_reject == pytest.approx(0.5)
    assert rates.accepted_right == pytest.approx(0.5)


def test_accepted_but_wrong_is_not_right() -> None:
    queries = HalvedQueries(
        BestDistances(
            known=np.array([0.1, 0.1, 0.1, INF]),
            right=np.array([True, False, True, False]),
            unknown=np.array([0.5, 0.5]),
        ),
        known_half=np.array([False, False, True, True]),
        unknown_half=np.array([False, True]),
    )
    rates = cross_validated_rates(queries, np.ones(4), np.ones(2), rejected=0.9)
    assert (rates.false_accept, rates.false_reject, rates.accepted_right) == (0.0, 0.25, 0.5)


# --- averages and intervals ---


def test_macro_average_counts_individuals_and_the_other_counts_photos() -> None:
    right = np.array([1.0, 1.0, 1.0, 0.0])
    sampling = Resampling(numbered(["a", "a", "a", "b"]), integers(), resamples=20)
    estimate = sampling.estimate(lambda known, unknown: weighted_mean(right, known))
    assert (estimate.value, estimate.per_photo) == (0.5, 0.75)


def test_individuals_are_drawn_not_photos() -> None:
    """With two individuals a quarter of the draws holds only one of them, whatever the number of photos."""
    right = np.repeat([1.0, 0.0], 500)
    sampling = Resampling(np.repeat(integers(0, 1), 500), integers(), resamples=400)
    estimate = sampling.estimate(lambda known, unknown: weighted_mean(right, known))
    assert (estimate.low, estimate.high) == pytest.approx((0.0, 1.0))


def test_known_and_unknown_individuals_are_drawn_apart() -> None:
    sampling = Resampling(numbered(list("abc")), numbered(list("de")), resamples=50)
    totals = sampling.estimates(lambda known, unknown: np.array([known.sum(), unknown.sum()]))
    assert totals == [Estimate(3.0, 3.0, 3.0, 3.0), Estimate(2.0, 2.0, 2.0, 2.0)]


def test_a_draw_weighs_photos_by_how_often_their_individual_is_drawn() -> None:
    sampling = Resampling(numbered(["a", "a", "b", "c"]), numbered(["x", "x"]))
    generator = np.random.default_rng(3)
    totals = set()
    for _ in range(50):
        known, unknown = sampling.draw(generator)
        assert known[0] == known[1]
        assert known[0] + known[2] + known[3] == 3.0  # draws of three individuals
        assert unknown.tolist() == [1.0, 1.0]
        totals.add(known.sum())
    assert totals == {3.0, 4.0, 5.0, 6.0}  # photos: of "a" there are two


def test_percentile_interval_leaves_two_and_a_half_percent_on_either_side() -> None:
    drawn = np.stack([np.arange(201.0), np.full(201, np.nan)], axis=1)
    drawn[:160, 0], drawn[160:, 0] = np.nan, np.arange(41.0)
    low, high = percentile_interval(drawn)  # 41 numbers 0 to 40: 2.5 % of the way is 1
    assert (low[0], high[0]) == pytest.approx((1.0, 39.0))
    assert np.isnan([low[1], high[1]]).all()
    assert tuple(map(float, percentile_interval(np.arange(81.0)))) == pytest.approx((2.0, 78.0))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Simulated: 40 animals of beta-distributed difficulty (mean 0.75), 4 photos each; 200 studies."""
    generator = np.random.default_rng(7)
    of = np.repeat(np.arange(40), 4)
    covered = 0
    for repetition in range(200):
        chance = generator.beta(3.0, 1.0, size=40)
        right = (generator.random(160) < chance[of]).astype(float)
        estimate = Resampling(of, integers(), repetition, 200).estimate(lambda k, u, r=right: weighted_mean(r, k))
        covered += estimate.low <= 0.75 <= estimate.high
    assert 0.90 <= covered / 200 <= 0.98


def test_interval_over_photos_would_be_too_narrow_for_the_same_animals() -> None:
    """The test above would notice: with each photo its own animal the intervals hold the truth far less often."""
    generator = np.random.default_rng(7)
    covered = 0
    for repetition in range(100):
        right = np.repeat((generator.random(20) < 0.75).astype(float), 20)
        estimate = Resampling(np.arange(400), integers(), repetition, 100).estimate(
            lambda k, u, r=right: weighted_mean(r, k)
        )
        covered += estimate.low <= 0.75 <= estimate.high
    assert covered / 100 < 0.8

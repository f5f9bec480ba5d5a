"""Scores against values worked out by hand; intervals against simulated animals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.catalogue.rows import CatalogueRow, Changes
from pipeline.gallery import Gallery
from pipeline.matching import rank_queries
from pipeline.records import UNKNOWN, Failure, PhotoKey, Query
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.intervals import Estimate, Resampling, numbered, weighted_mean
from training.evaluation.open_set import OpenSet, area_under_roc, judge, threshold_for
from training.evaluation.protocols import Roles
from training.evaluation.ranks import average_precisions, cumulative_matches, ranks_of_truth
from training.evaluation.scores import score
from training.evaluation.trial import Trial, individual_distances, make_trial
from training.photos.records import LabelledPhoto

INF = np.inf


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.intp)


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
    queries = OpenSet(
        known=np.array([0.1, 0.35, 0.25, 0.5]),
        right=np.array([True, True, True, True]),
        unknown=np.array([0.3, 0.6, 0.4, 0.2]),
        known_half=np.array([False, False, True, True]),
        unknown_half=np.array([False, False, True, True]),
    )
    judged = judge(queries, np.ones(4), np.ones(4), rejected=1.0)
    # first half: threshold 0.3; of the second half 0.2 is accepted (1/2), known 0.25 accepted, 0.5 not
    # second half: threshold 0.2; of the first half nobody is accepted (0/2), known 0.1 accepted, 0.35 not
    assert judged.threshold == pytest.approx(0.25)
    assert judged.false_accept == pytest.approx(0.25)
    assert judged.false_reject == pytest.approx(0.5)
    assert judged.accepted_right == pytest.approx(0.5)


def test_accepted_but_wrong_is_not_right() -> None:
    queries = OpenSet(
        known=np.array([0.1, 0.1, 0.1, INF]),
        right=np.array([True, False, True, False]),
        unknown=np.array([0.5, 0.5]),
        known_half=np.array([False, False, True, True]),
        unknown_half=np.array([False, True]),
    )
    judged = judge(queries, np.ones(4), np.ones(2), rejected=0.9)
    assert (judged.false_accept, judged.false_reject, judged.accepted_right) == (0.0, 0.25, 0.5)


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


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Simulated: 40 animals of beta-distributed difficulty (mean 0.75), 4 photos each; 200 studies."""
    generator = np.random.default_rng(7)
    of = np.repeat(np.arange(40), 4)
    covered = 0
    for study in range(200):
        chance = generator.beta(3.0, 1.0, size=40)
        right = (generator.random(160) < chance[of]).astype(float)
        estimate = Resampling(of, integers(), study, 200).estimate(lambda k, u, r=right: weighted_mean(r, k))
        covered += estimate.low <= 0.75 <= estimate.high
    assert 0.90 <= covered / 200 <= 0.98


def test_interval_over_photos_would_be_too_narrow_for_the_same_animals() -> None:
    """The test above would notice: with each photo its own animal the intervals hold the truth far less often."""
    generator = np.random.default_rng(7)
    covered = 0
    for study in range(100):
        right = np.repeat((generator.random(20) < 0.75).astype(float), 20)
        estimate = Resampling(np.arange(400), integers(), study, 100).estimate(
            lambda k, u, r=right: weighted_mean(r, k)
        )
        covered += estimate.low <= 0.75 <= estimate.high
    assert covered / 100 < 0.8


# --- whole trials ---


def photo(individual: str, number: int) -> LabelledPhoto:
    return LabelledPhoto(Path(f"{individual}{number}.jpg"), individual, "fluke")


def trial_of(
    references: dict[str, list[float]], queries: dict[str, list[float | None]], unknown: dict[str, list[float | None]]
) -> Trial:
    """A trial with embeddings on a line; None is a photo that failed."""
    embedded: dict[LabelledPhoto, EmbeddedPhoto] = {}

    def add(spots: dict[str, list[float]] | dict[str, list[float | None]], start: int) -> tuple[LabelledPhoto, ...]:
        photos = []
        for individual, values in spots.items():
            for number, value in enumerate(values):
                one = photo(individual, start + number)
                failure = Failure("no_animal", "nothing") if value is None else None
                vector = None if value is None else np.array([value, 0.0], dtype=np.float32)
                embedded[one] = EmbeddedPhoto(one, vector, failure=failure)
                photos.append(one)
        return tuple(photos)

    roles = Roles(add(references, 0), add(queries, 100), add(unknown, 200), (), "disjoint")
    return make_trial(roles, embedded, lambda done: None if done.values is None else done.values.astype(float), seed=0)


@pytest.fixture
def toy() -> Trial:
    return trial_of(
        {"a": [0.0, 1.0], "b": [2.0, 6.0], "c": [3.0, 3.0]},
        {"a": [0.25, None], "b": [2.25, 6.0]},
        {"x": [9.0, None], "y": [1.5]},
    )


def test_centroid_is_the_mean_of_the_references(toy: Trial) -> None:
    distances = individual_distances(toy, toy.queries, "centroid", 2)  # means 0.5, 4, 3
    assert distances.tolist() == [[0.25, 3.75, 2.75], [INF, INF, INF], [1.75, 1.75, 0.75], [5.5, 2.0, 3.0]]


def test_nearest_is_the_nearest_reference(toy: Trial) -> None:
    distances = individual_distances(toy, toy.queries, "nearest", 2)
    assert distances.tolist() == [[0.25, 1.75, 2.75], [INF, INF, INF], [1.25, 0.25, 0.75], [5.0, 0.0, 3.0]]


def test_fewer_references_can_be_used(toy: Trial) -> None:
    distances = individual_distances(toy, toy.queries, "centroid", 1)  # 0, 2, 3
    assert distances[0].tolist() == [0.25, 1.75, 2.75]


def test_scores_of_the_toy_set(toy: Trial) -> None:
    centroid, nearest = (score(toy, matching, 2, seed=0, resamples=50) for matching in ("centroid", "nearest"))
    # centroid ranks: 1, never | 3 (ties with a, which stands before), 1
    assert (centroid.top1.value, centroid.top5.value) == (0.5, 0.75)
    assert centroid.mean_average_precision.value == pytest.approx((1 + 0 + 1 / 3 + 1) / 4)
    assert [estimate.value for estimate in centroid.cmc] == [0.5, 0.5, 0.75]
    # nearest ranks: 1, never, 1, 1; photos by distance from 2.25: b 0.25, c, c 0.75, a 1.25, ...; from 6: b, c, c, b
    assert nearest.top1.value == 0.75
    first = (1 + 2 / 2) / 2  # from 0.25: a at 0.25, a at 0.75
    third = (1 + 2 / 6) / 2  # b's 6.0 is the farthest of six
    fourth = (1 + 2 / 4) / 2
    assert nearest.mean_average_precision.value == pytest.approx((first + 0 + third + fourth) / 4)


def test_open_set_scores_of_the_toy_set(toy: Trial) -> None:
    open_set = score(toy, "nearest", 2, seed=0, resamples=50).open_set
    assert open_set is not None
    # known best: 0.25, inf, 0.25, 0; unknown best: x 3.0 (9 to 6), its failed photo is no evidence; y 0.5
    assert open_set.auroc.value == pytest.approx(6 / 8)
    assert open_set.unknown_entry_false_accept.value == 0.5
    assert open_set.unknown_entry_accepted_right.value == 0.75
    assert [target for target, _ in open_set.curve] == sorted(target for target, _ in open_set.curve)


def test_no_open_set_scores_without_unknown_individuals() -> None:
    trial = trial_of({"a": [0.0], "b": [1.0]}, {"a": [0.1], "b": [0.9]}, {})
    assert score(trial, "centroid", 1, seed=0, resamples=10).open_set is None


def test_individual_without_any_embedded_reference_is_never_right() -> None:
    roles = Roles((photo("a", 0), photo("b", 0)), (photo("a", 1), photo("b", 1)), (), (), "disjoint")
    embedded = {one: EmbeddedPhoto(one, np.ones(2, np.float32)) for one in roles.photos if one.path.name != "a0.jpg"}
    embedded[photo("a", 0)] = EmbeddedPhoto(photo("a", 0), failure=Failure("no_animal", "nothing"))
    trial = make_trial(roles, embedded, lambda done: None if done.values is None else done.values.astype(float), 0)
    for matching in ("centroid", "nearest"):
        assert score(trial, matching, 1, seed=0, resamples=10).top1.value == 0.5


def test_centroid_distances_are_the_services_rankings() -> None:
    generator = np.random.default_rng(3)
    spots = {name: generator.random(3).tolist() for name in "abcdefg"}
    trial = trial_of(spots, {"a": [0.3], "b": [0.7]}, {})
    rows = [
        CatalogueRow(number, PhotoKey(str(number)), "fluke", trial.labels[column], vector, "m")
        for number, (column, vector) in enumerate(zip(trial.reference_of, trial.references, strict=True))
    ]
    gallery = Gallery("fluke", "m", 2)
    gallery.update(Changes(1, tuple(rows), ()))
    queries = [Query(PhotoKey("q"), "q", "fluke", row.astype(np.float32), None, None) for row in trial.queries]
    distances = individual_distances(trial, trial.queries, "centroid", 3)
    for ranking, row in zip(rank_queries(gallery, queries, None), distances, strict=True):
        served = {one.individual: one.distance for one in ranking.candidates if one.individual != UNKNOWN}
        assert served == pytest.approx(dict(zip(trial.labels, row.tolist(), strict=True)), abs=1e-12)

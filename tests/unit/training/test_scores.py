"""Scores of whole comparisons against values worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.ranking import rank_queries
from pipeline.catalogue.rows import CatalogueRow
from pipeline.records import UNKNOWN, Failure, PhotoKey, Query
from training.evaluation.comparison import Comparison, individual_distances, make_comparison
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.protocols import Roles
from training.evaluation.scores import score
from training.photos.records import LabelledPhoto

INF = np.inf


def photo(individual: str, number: int) -> LabelledPhoto:
    return LabelledPhoto(Path(f"{individual}{number}.jpg"), individual, "fluke")


def comparison_of(
    references: dict[str, list[float]], queries: dict[str, list[float | None]], unknown: dict[str, list[float | None]]
) -> Comparison:
    """A comparison with embeddings on a line; None is a photo that failed."""
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
    return make_comparison(
        roles, embedded, lambda done: None if done.values is None else done.values.astype(float), seed=0
    )


@pytest.fixture
def toy() -> Comparison:
    return comparison_of(
        {"a": [0.0, 1.0], "b": [2.0, 6.0], "c": [3.0, 3.0]},
        {"a": [0.25, None], "b": [2.25, 6.0]},
        {"x": [9.0, None], "y": [1.5]},
    )


def test_centroid_is_the_mean_of_the_references(toy: Comparison) -> None:
    distances = individual_distances(toy, toy.queries, "centroid", 2)  # means 0.5, 4, 3
    assert distances.tolist() == [[0.25, 3.75, 2.75], [INF, INF, INF], [1.75, 1.75, 0.75], [5.5, 2.0, 3.0]]


def test_nearest_is_the_nearest_reference(toy: Comparison) -> None:
    distances = individual_distances(toy, toy.queries, "nearest", 2)
    assert distances.tolist() == [[0.25, 1.75, 2.75], [INF, INF, INF], [1.25, 0.25, 0.75], [5.0, 0.0, 3.0]]


def test_fewer_references_can_be_used(toy: Comparison) -> None:
    distances = individual_distances(toy, toy.queries, "centroid", 1)  # 0, 2, 3
    assert distances[0].tolist() == [0.25, 1.75, 2.75]


def test_scores_of_the_toy_set(toy: Comparison) -> None:
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


def test_open_set_scores_of_the_toy_set(toy: Comparison) -> None:
    open_set = score(toy, "nearest", 2, seed=0, resamples=50).open_set
    assert open_set is not None
    # known best: 0.25, inf, 0.25, 0; unknown best: x 3.0 (9 to 6), its failed photo is no evidence; y 0.5
    assert open_set.auroc.value == pytest.approx(6 / 8)
    assert open_set.unknown_entry_false_accept.value == 0.5
    assert open_set.unknown_entry_accepted_right.value == 0.75
    assert [target for target, _ in open_set.curve] == sorted(target for target, _ in open_set.curve)


def test_no_open_set_scores_without_unknown_individuals() -> None:
    comparison = comparison_of({"a": [0.0], "b": [1.0]}, {"a": [0.1], "b": [0.9]}, {})
    assert score(comparison, "centroid", 1, seed=0, resamples=10).open_set is None


def test_individual_without_any_embedded_reference_is_never_right() -> None:
    roles = Roles((photo("a", 0), photo("b", 0)), (photo("a", 1), photo("b", 1)), (), (), "disjoint")
    embedded = {one: EmbeddedPhoto(one, np.ones(2, np.float32)) for one in roles.photos if one.path.name != "a0.jpg"}
    embedded[photo("a", 0)] = EmbeddedPhoto(photo("a", 0), failure=Failure("no_animal", "nothing"))
    comparison = make_comparison(
        roles, embedded, lambda done: None if done.values is None else done.values.astype(float), 0
    )
    for matching in ("centroid", "nearest"):
        assert score(comparison, matching, 1, seed=0, resamples=10).top1.value == 0.5


def test_centroid_distances_are_the_services_rankings() -> None:
    generator = np.random.default_rng(3)
    spots = {name: generator.random(3).tolist() for name in "abcdefg"}
    comparison = comparison_of(spots, {"a": [0.3], "b": [0.7]}, {})
    rows = [
        CatalogueRow(number, PhotoKey(str(number)), "fluke", comparison.labels[column], vector, "m", number, column + 1)
        for number, (column, vector) in enumerate(zip(comparison.reference_of, comparison.references, strict=True))
    ]
    gallery = Gallery("fluke", "m", 2)
    gallery.update((), rows)
    queries = [Query(PhotoKey("q"), "q", "fluke", row.astype(np.float32), None, None) for row in comparison.queries]
    distances = individual_distances(comparison, comparison.queries, "centroid", 3)
    for ranking, row in zip(rank_queries(gallery, queries, None), distances, strict=True):
        served = {one.individual: one.distance for one in ranking.candidates if one.individual != UNKNOWN}
        assert served == pytest.approx(dict(zip(comparison.labels, row.tolist(), strict=True)), abs=1e-12)

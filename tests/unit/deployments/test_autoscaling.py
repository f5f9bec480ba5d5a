from types import SimpleNamespace

import pytest

from deployments.autoscaling import SIGNAL, ByPhotos


def context(per_replica, sockets=0, low=1, high=4):
    return SimpleNamespace(
        aggregated_metrics={SIGNAL: per_replica},
        total_num_requests=sockets,
        capacity_adjusted_min_replicas=low,
        capacity_adjusted_max_replicas=high,
    )


@pytest.mark.parametrize(
    ("per_replica", "wanted"),
    [({}, 1), ({"a": 0.0}, 1), ({"a": 8.0}, 1), ({"a": 9.0}, 2), ({"a": 8.0, "b": 9.0}, 3), ({"a": 800.0}, 4)],
)
def test_one_replica_for_every_eight_photos_within_bounds(per_replica, wanted):
    assert ByPhotos(8)(context(per_replica)) == (wanted, {})


def test_idle_sockets_are_no_load():
    assert ByPhotos(8)(context({"a": 0.0}, sockets=900)) == (1, {})


def test_replica_that_has_not_reported_counts_as_idle():
    assert ByPhotos(8)(context({"a": None, "b": 3.0})) == (1, {})


def test_no_metrics_at_all_keeps_the_minimum():
    empty = context({}, low=2)
    empty.aggregated_metrics = None
    assert ByPhotos(8)(empty) == (2, {})

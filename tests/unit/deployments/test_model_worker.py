"""The thread of a model replica, and which items go through Serve's batching."""

import asyncio

import pytest

from deployments.model_worker import ModelWorker
from pipeline.settings import Batching


class Meter:
    """Counts the calls it is told of."""

    def __init__(self):
        self.calls = 0

    def observe(self, seconds):
        assert seconds >= 0
        self.calls += 1


class Batched:
    """Stands for a method decorated with `serve.batch`."""

    def __init__(self):
        self.bounds = {}

    def set_max_batch_size(self, size):
        self.bounds["size"] = size

    def set_batch_wait_timeout_s(self, wait_s):
        self.bounds["wait_s"] = wait_s

    async def __call__(self, item):
        return ("batched", item)


@pytest.fixture
def metric():
    return Meter()


@pytest.fixture
def worker(metric):
    return ModelWorker(lambda items: [10 * item for item in items], metric)


def test_a_batch_is_answered_in_its_order_and_timed_once(worker, metric):
    assert asyncio.run(worker.batch([3, 1, 2])) == [30, 10, 20]
    assert metric.calls == 1


def test_where_a_batch_holds_one_item_serves_batching_is_left_out(worker, metric):
    batched = Batched()
    answer = worker.through(batched, Batching(max_batch_size=8, cpu_max_batch_size=1, wait_s=0.01), "cpu")
    assert asyncio.run(answer(4)) == 40
    assert batched.bounds == {}
    assert metric.calls == 1


def test_larger_batches_go_through_serve_with_the_bounds_of_the_settings(worker):
    batched = Batched()
    answer = worker.through(batched, Batching(max_batch_size=8, cpu_max_batch_size=1, wait_s=0.01), "cuda:0")
    assert asyncio.run(answer(4)) == ("batched", 4)
    assert batched.bounds == {"size": 8, "wait_s": 0.01}


def test_an_error_of_the_network_reaches_the_caller(metric):
    def fail(_items):
        raise ValueError("no weights")

    with pytest.raises(ValueError, match="no weights"):
        asyncio.run(ModelWorker(fail, metric).one(1))

"""The loop on Ray Train's workers with a toy network: several workers, errors that arrive, what is refused."""

import dataclasses

import pytest
import ray

from tests.unit.training.toy_run import BATCH, ToySpec, toy_plan
from training.errors import CollapsedError, TrainingError
from training.runs.launch import train
from training.runs.loop import run
from training.runs.plan import Resources
from training.runs.worker import SingleWorker

pytestmark = [pytest.mark.serve, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def running_ray():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_two_workers_learn_what_one_learns_from_both_ones_batches_at_once(tmp_path):
    plan = dataclasses.replace(toy_plan(tmp_path / "two"), resources=Resources(workers=2, precision="float32"))
    two = train(plan, ToySpec(tmp_path / "two" / "toy.pth"))
    wide = dataclasses.replace(toy_plan(tmp_path / "one"), batch_photos=2 * BATCH)
    one = run(wide, ToySpec(tmp_path / "one" / "toy.pth", joined=2), SingleWorker())
    assert two.photos == one.photos == 320
    assert two.history[-1]["step"] == 320 // (2 * BATCH)
    assert two.final.values["slope"] == pytest.approx(one.final.values["slope"], rel=1e-5)
    assert (tmp_path / "two" / "toy.pth").exists()


def test_a_dead_runs_reason_reaches_the_command_without_repetition(tmp_path):
    plan = dataclasses.replace(toy_plan(tmp_path), resources=Resources(workers=2, precision="float32"))
    with pytest.raises(CollapsedError, match="all the same"):
        train(plan, ToySpec(tmp_path / "toy.pth", collapses_at=2))


def test_gpus_that_are_not_there_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if ray.cluster_resources().get("GPU", 0) >= 2:
        pytest.skip("this machine has two GPUs")
    plan = dataclasses.replace(toy_plan(tmp_path), resources=Resources(workers=2, gpu=True))
    with pytest.raises(TrainingError, match="needs 2 GPUs"):
        train(plan, ToySpec(tmp_path / "toy.pth"))

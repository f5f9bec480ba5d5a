"""The loop of training with a toy network: the order of samples, checkpoints, resuming, early stopping, the end."""

import dataclasses
import json

import pytest
import torch

from tests.unit.training.toy_run import BATCH, ToySpec, toy_plan
from training.errors import BusyRunError, ChangedRunError, CollapsedError, DivergedError, TrainingError
from training.runs import state as state_module
from training.runs.loop import run
from training.runs.optimisation import learning_rate
from training.runs.plan import Budget, Optimisation
from training.runs.prefetch import prefetched
from training.runs.state import RunState, check_resumable, only_run
from training.runs.worker import SingleWorker


def losses(result):
    return [record["loss"] for record in result.history if "loss" in record]


def trained(folder, **options):
    spec = ToySpec(folder / "toy.pth", **options)
    return run(toy_plan(folder), spec, SingleWorker()), spec.built[0]


def test_a_run_sees_each_batch_once_and_learns(tmp_path):
    result, task = trained(tmp_path)
    timed = 2 + 5 + 5
    assert task.asked[timed:] == list(range(320 // BATCH))
    assert result.photos == 320
    assert result.ended == "finished"
    assert result.final.score > -0.3  # from -3


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    undisturbed, _ = trained(tmp_path / "whole", noisy=True)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", noisy=True, dies_at=25)
    resumed, task = trained(tmp_path / "killed", noisy=True)
    assert task.asked == list(range(25, 40))
    assert resumed.final == undisturbed.final
    assert losses(resumed)[-1] == pytest.approx(losses(undisturbed)[-1], rel=1e-6)


def test_a_finished_run_is_only_exported_again(tmp_path):
    first, _ = trained(tmp_path)
    (tmp_path / "toy.pth").unlink()
    again, task = trained(tmp_path)
    assert task.asked == []
    assert again.final == first.final
    assert (tmp_path / "toy.pth").exists()


def test_the_best_rounds_weights_are_exported_not_the_last_ones(tmp_path):
    result, _ = trained(tmp_path, scores=(0.1, 0.9, 0.2, 0.3))
    slopes = [record["slope"] for record in result.history if "slope" in record]
    assert result.best_round == 2
    assert float(torch.load(tmp_path / "toy.pth")["weight"]) == pytest.approx(slopes[1])


def test_a_run_without_progress_stops_after_the_patience(tmp_path):
    spec = ToySpec(tmp_path / "toy.pth", scores=(0.5, 0.4, 0.4, 0.9))
    result = run(toy_plan(tmp_path, patience=2), spec, SingleWorker())
    assert result.ended == "stopped early"
    assert [record["round"] for record in result.history if "round" in record] == [1, 2, 3]


def test_a_collapsed_run_stops_with_its_reason(tmp_path):
    with pytest.raises(CollapsedError, match="all the same"):
        trained(tmp_path, collapses_at=2)


def test_a_loss_that_is_no_number_stops_the_run_and_is_never_saved(tmp_path):
    with pytest.raises(DivergedError, match="learning-rate"):
        trained(tmp_path, add_to_loss=float("nan"))
    assert not toy_plan(tmp_path).checkpoint_file.exists()


def test_another_run_in_the_same_folder_is_refused_with_what_to_do(tmp_path):
    trained(tmp_path)
    changed = dataclasses.replace(toy_plan(tmp_path), identity={"data": "other"})
    with pytest.raises(ChangedRunError, match=r"data: toy then, other now.*--restart"):
        check_resumable(changed)
    assert check_resumable(toy_plan(tmp_path))
    assert not check_resumable(toy_plan(tmp_path / "empty"))


def test_a_damaged_checkpoint_is_refused(tmp_path):
    plan = toy_plan(tmp_path)
    plan.run_folder.mkdir(parents=True)
    plan.checkpoint_file.write_bytes(b"half a checkpoint")
    with pytest.raises(TrainingError, match="--restart"):
        RunState.read(plan.checkpoint_file)


def test_history_is_json_lines_with_losses_and_scores(tmp_path):
    result, _ = trained(tmp_path)
    records = [json.loads(line) for line in toy_plan(tmp_path).history_file.read_text().splitlines()]
    assert records == result.history
    assert [record["photos"] for record in records if "score" in record] == [80, 160, 240, 320]


def test_minutes_become_photos_by_the_measured_speed(tmp_path):
    plan = dataclasses.replace(toy_plan(tmp_path), budget=Budget(minutes=1 / 6000, rounds=2, patience=0))
    result = run(plan, ToySpec(tmp_path / "toy.pth"), SingleWorker())
    steps = RunState.read(plan.checkpoint_file).steps
    assert result.photos == steps * BATCH
    assert 1 <= steps < 1000  # a hundredth of a second


def test_only_one_process_trains_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(state_module, "_LOCK_PATIENCE_S", 0.0)
    with only_run(tmp_path), pytest.raises(BusyRunError, match="another process"), only_run(tmp_path):
        pass


@pytest.mark.parametrize("loaders", [0, 1, 3])
def test_batches_made_ahead_come_in_order(loaders):
    assert list(prefetched(lambda number: number * number, range(20), loaders)) == [n * n for n in range(20)]


def test_the_learning_rate_rises_then_falls_as_a_cosine():
    plan = Optimisation(learning_rate=1.0, warm_up=0.1)
    rates = [learning_rate(plan, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert rates[55] == pytest.approx(0.5)  # half of the ninety steps after the warm-up
    assert rates[99] < 0.001


def test_a_constant_learning_rate_stays():
    plan = Optimisation(learning_rate=0.5, warm_up=0.0, schedule="constant")
    assert {learning_rate(plan, step, 10) for step in range(10)} == {0.5}

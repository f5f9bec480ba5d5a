"""The rows of the recipes' tables, from results that are already there."""

import json

import pytest

from benchmarks.recipes import COLUMNS, USUAL, Bench, Variant

OF_LOSS = Variant("another loss", ("--loss", "batch_hard"))


def estimate(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


@pytest.fixture
def finished(tmp_path):
    """Write the result of one run; `value` None stands for a run that collapsed."""

    def write(seed, value):
        out = tmp_path / "fluke" / f"{USUAL.name}_loss_batch_hard-500-seed{seed}"
        out.mkdir(parents=True)
        if value is None:
            (out / "collapsed").touch()
            return
        scores = {name: estimate(value) for name in ("top1", "top5")}
        scores["open_set"] = {name: estimate(value) for name in ("auroc", "accepted_right")}
        methods = {"embedder": {"centroid": {"3": scores}}}
        document = {"protocols": {"encounters": {"methods": methods}}}
        (out / "evaluation.json").write_text(json.dumps(document), encoding="utf-8")

    return write


def row(tmp_path, seeds):
    return Bench(tmp_path, "fluke", 500, seeds)._row(OF_LOSS)


def test_a_row_has_the_mean_of_the_runs_and_their_outer_bounds(tmp_path, finished):
    finished(1, 0.4)
    finished(2, 0.6)
    assert row(tmp_path, 2) == ("another loss", *["0.500 [0.300, 0.700]"] * COLUMNS)


def test_a_collapsed_run_is_named_and_left_out_of_the_mean(tmp_path, finished):
    finished(1, None)
    finished(2, 0.6)
    name, top1, *_others = row(tmp_path, 2)
    assert name == "another loss (1 of 2 runs collapsed, of the others)"
    assert top1 == "0.600 [0.500, 0.700]"


def test_a_row_of_collapsed_runs_says_so(tmp_path, finished):
    finished(1, None)
    assert row(tmp_path, 1) == ("another loss", *["all runs collapsed"] * COLUMNS)

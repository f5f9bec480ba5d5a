"""What each choice of the training recipe is worth: the same photos, network and number of photos seen, three seeds.

    python -m benchmarks.recipes --work DIR                        # all tables, some hours on one core
    python -m benchmarks.recipes --work DIR --tables recipe --part fluke --photos 60000

Renders the data sets, trains each variant with `python -m training.train_embedder`, and evaluates it with
`python -m training.evaluate` on individuals that no run has seen, with ground-truth boxes, so that only embedders are
compared. Everything is kept in DIR: repeat the command after an interruption and it goes on where it was.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.tables import heading, markdown
from training.command_line import COLLAPSED

HOLDOUT_INDIVIDUALS, UNKNOWN_INDIVIDUALS, HOLDOUT_PHOTOS = 140, 40, 10
REFERENCES = 3
MATCHING = "centroid"
"""The service's way."""

COLUMNS = 4
"""Scores in a row."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Synthetic training photos: so many individuals with so many photos each, in three encounters."""

    individuals: int
    photos_each: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.individuals}x{self.photos_each}"


USUAL = DataSet(300, 10)


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of a table: what differs from the default recipe."""

    name: str
    options: tuple[str, ...] = ()
    data: DataSet = USUAL


DEFAULT = Variant("default")
PLAIN = Variant("without augmentation", ("--no-augmentation",))
TABLES: dict[str, tuple[Variant, ...]] = {
    "recipe": (Variant("the original's (seed)", ("--recipe", "seed")), DEFAULT),
    "ablation": (
        DEFAULT,
        PLAIN,
        Variant("without mirrored classes", ("--no-mirror",)),
        Variant("supervised contrastive loss", ("--loss", "supcon")),
        Variant("batch-hard triplets", ("--loss", "batch_hard")),
        Variant("random triplets in P-K batches", ("--loss", "triplet")),
    ),
    "augmentation": (DEFAULT, PLAIN),  # by itself, for longer runs: what it costs at first, it gives back later
    "data": (
        Variant("150 individuals x 20 photos", data=DataSet(150, 20)),
        Variant("300 individuals x 10 photos"),
        Variant("600 individuals x 5 photos", data=DataSet(600, 5)),
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for photos, runs and results")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=tuple(TABLES))
    parser.add_argument("--part", choices=("fluke", "flank"), default="fluke")
    parser.add_argument("--photos", type=int, default=100_000, help="seen by each run (default: 100,000)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant (default: 3)")
    options = parser.parse_args(arguments)
    print(heading("recipes"))
    bench = Bench(options.work, options.part, options.photos, options.seeds)
    for table in options.tables:
        print(bench.table(table), flush=True)


class Bench:
    """Data sets, runs and results in one folder."""

    def __init__(self, work: Path, part: str, photos: int, seeds: int) -> None:
        """Take what holds for all runs."""
        self._work = work
        self._part = part
        self._photos = photos
        self._seeds = range(1, seeds + 1)

    def table(self, name: str) -> str:
        """Make what is missing of a table and return it."""
        rows = [self._row(variant) for variant in TABLES[name]]
        text = (
            f"{self._part.capitalize()}s; narrow ResNet, 128 px, random initial weights, {self._photos} photos seen; "
            f"{HOLDOUT_INDIVIDUALS - UNKNOWN_INDIVIDUALS} known individuals never seen in training with {REFERENCES} "
            f"reference photos each, {UNKNOWN_INDIVIDUALS} unknown ones, encounters disjoint, ground-truth boxes. "
            f"{_what_is_shown(len(self._seeds))} over individuals."
        )
        head = (name, "top-1", "top-5", "open-set AUROC", "known accepted and right, 90 % of unknown rejected")
        return f"## {name.capitalize()}\n\n{text}\n\n{markdown(head, rows)}"

    def _row(self, variant: Variant) -> tuple[str, ...]:
        runs = [self._scores(variant, seed) for seed in self._seeds]
        scores = [run for run in runs if run is not None]
        if not scores:
            return (variant.name, *["all runs collapsed"] * COLUMNS)
        opened = [one["open_set"] for one in scores]
        collapsed = len(runs) - len(scores)
        return (
            variant.name + (f" ({collapsed} of {len(runs)} runs collapsed, of the others)" if collapsed else ""),
            _over_runs([one["top1"] for one in scores]),
            _over_runs([one["top5"] for one in scores]),
            _over_runs([one["auroc"] for one in opened]),
            _over_runs([one["accepted_right"] for one in opened]),
        )

    def _scores(self, variant: Variant, seed: int) -> dict[str, Any] | None:
        """Return what a run is worth, or None where its embeddings collapsed; both are kept."""
        name = "_".join([variant.data.name, *(option.strip("-") for option in variant.options)]) or "default"
        out = self._work / self._part / f"{name}-{self._photos}-seed{seed}"
        result, collapsed = out / "evaluation.json", out / "collapsed"
        if collapsed.exists():
            return None
        if not result.exists():
            if not self._train(variant, seed, out):
                collapsed.touch()
                return None
            self._evaluate(out, result)
        document = json.loads(result.read_text(encoding="utf-8"))
        scores: dict[str, Any] = document["protocols"]["encounters"]["methods"]["embedder"][MATCHING][str(REFERENCES)]
        return scores

    def _train(self, variant: Variant, seed: int, out: Path) -> bool:
        """Return whether the run ended with embeddings that are worth something."""
        data = self._data_set(variant.data, 0) / "dataset" / self._part
        budget = ("--photos", str(self._photos), "--patience", "0", "--seed", str(seed))
        where = ("--data", str(data), "--out", str(out))
        return _run("training.train_embedder", *where, *budget, *variant.options, allowed=(0, COLLAPSED)) == 0

    def _evaluate(self, out: Path, result: Path) -> None:
        holdout = self._data_set(DataSet(1, HOLDOUT_PHOTOS), HOLDOUT_INDIVIDUALS) / "holdout" / self._part
        who = ("--models", str(out), "--data", str(holdout), "--boxes", "truth", "--unknown", str(UNKNOWN_INDIVIDUALS))
        report = ("--report", str(out / "evaluation.html"), "--json", str(result))
        _run("training.evaluate", *who, "--references", str(REFERENCES), *report)

    def _data_set(self, data: DataSet, holdout: int) -> Path:
        """Return the folder of a data set, rendered if it is not there."""
        folder = self._work / "data" / f"{self._part}-{data.name}-{holdout}"
        if not (folder / "metadata.csv").exists():
            counts = ("--individuals", str(data.individuals), "--holdout", str(holdout))
            photos = ("--photos", str(data.photos_each), "--encounters", "3", "--parts", self._part)
            _run("training.synthetic", "dataset", str(folder), *counts, *photos)
        return folder


def _what_is_shown(runs: int) -> str:
    if runs == 1:
        return "One run; in brackets 95 % intervals"
    return f"Mean of {runs} runs; in brackets the lowest lower and the highest upper end of the runs' 95 % intervals"


def _over_runs(estimates: list[dict[str, float]]) -> str:
    low, high = min(one["low"] for one in estimates), max(one["high"] for one in estimates)
    return f"{mean(one['value'] for one in estimates):.3f} [{low:.3f}, {high:.3f}]"


def _run(module: str, *arguments: str, allowed: Sequence[int] = (0,)) -> int:
    """Run a module of the project and return its exit status; its output goes to stderr, the tables to stdout."""
    ended = subprocess.run([sys.executable, "-m", module, *arguments], check=False, stdout=sys.stderr)
    if ended.returncode not in allowed:
        ended.check_returncode()
    return ended.returncode


if __name__ == "__main__":
    main()

"""Command-line options that all trainers share: how long and where."""

import argparse
from pathlib import Path
from typing import get_args

from training.command_line import count, positive
from training.runs.plan import Budget, Precision, Resources

DEFAULT_MINUTES = 25.0


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add how long and where."""
    group = parser.add_argument_group("run")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--photos", type=positive, help="how many photos to see, repetitions counted")
    length.add_argument(
        "--minutes", type=float, help=f"how long to train at the speed measured first; {DEFAULT_MINUTES:g} by default"
    )
    group.add_argument("--rounds", type=positive, default=20, help="evaluations over the run")
    group.add_argument("--patience", type=count, default=6, help="rounds without a better score that end it; 0: never")
    group.add_argument("--seed", type=count, default=1)
    group.add_argument("--restart", action="store_true", help="throw away a former run's checkpoint in --out")
    group.add_argument("--workers", type=positive, default=1, help="processes of Ray Train")
    group.add_argument("--gpu", action="store_true", help="one GPU for each worker")
    group.add_argument("--threads", type=positive, default=1, help="CPU threads of each worker")
    group.add_argument("--loaders", type=positive, default=1, help="threads of each worker that prepare batches")
    group.add_argument(
        "--precision", choices=get_args(Precision), default="auto", help="auto: the faster one, as timed"
    )
    group.add_argument("--licence", default="MIT", help="of the weights, for the model card")


def budget_of(options: argparse.Namespace) -> Budget:
    """Return how long the run lasts."""
    minutes = None if options.photos is not None else options.minutes or DEFAULT_MINUTES
    return Budget(options.photos, minutes, options.rounds, options.patience)


def resources_of(options: argparse.Namespace) -> Resources:
    """Return what the run uses."""
    return Resources(options.workers, options.gpu, options.threads, options.precision, options.loaders)


def existing_folder(text: str) -> Path:
    """Parse the name of a folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return path

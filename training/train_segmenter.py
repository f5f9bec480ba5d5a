"""`python -m training.train_segmenter --data coco.json --images DIR --out models/mine`: train the detector."""

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.command_line import exit_status, positive
from training.runs.options import add_run, budget_of, resources_of
from training.segmenter.augmentation import UNCHANGED, PhotoAugmentation
from training.segmenter.network import ARCHITECTURES, DEFAULT_ARCHITECTURE
from training.segmenter.options import add_categories
from training.segmenter.training import (
    DEFAULT_BATCH_PHOTOS,
    DEFAULT_OPTIMISATION,
    CocoSource,
    DetectorTraining,
    train_detector,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit status: 0, or 1 with the reason on stderr.
    """
    options = _parser().parse_args(arguments)
    asked = _asked(options, shlex.join(sys.argv[1:] if arguments is None else arguments))
    return exit_status(lambda: _train(asked, options.restart))


def _train(asked: DetectorTraining, restart: bool) -> None:
    if restart:
        shutil.rmtree(asked.run_folder, ignore_errors=True)
    result = train_detector(asked)
    print(f"{result.ended} after {result.photos} photos; weights, card and curve are in {asked.out}")
    for name, value in result.final.values.items():
        interval = result.final.intervals.get(name)
        print(f"  {name}: {value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train_segmenter", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="COCO file: boxes to train and validate on")
    parser.add_argument("--images", type=Path, help="folder of its photos; the file's own by default")
    parser.add_argument("--out", type=Path, required=True, help="models folder; repeat the command to resume")
    parser.add_argument("--holdout", type=Path, help="COCO file of other individuals, for the final scores")
    parser.add_argument("--holdout-images", type=Path, help="folder of its photos; the file's own by default")
    add_categories(parser)
    parser.add_argument("--validation-share", type=_share, default=0.1, help="of the individuals, for early stopping")
    parser.add_argument("--skip-bad", action="store_true", help="go on without photos that cannot be used")
    network = parser.add_argument_group("network")
    network.add_argument("--architecture", default=DEFAULT_ARCHITECTURE, choices=ARCHITECTURES)
    network.add_argument("--input-size", type=positive, default=224, metavar="PX", help="side of the squashed photos")
    network.add_argument(
        "--init",
        metavar="FILE|imagenet",
        help="initial weights: a former detector's, or a classifier's for its backbone; random ones without",
    )
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--batch", type=positive, default=DEFAULT_BATCH_PHOTOS, help="photos in a worker's batch")
    recipe.add_argument("--learning-rate", type=float, default=DEFAULT_OPTIMISATION.learning_rate)
    recipe.add_argument("--no-augmentation", action="store_true", help="photos as the service squashes them")
    add_run(parser)
    return parser


def _asked(options: argparse.Namespace, command: str) -> DetectorTraining:
    return DetectorTraining(
        data=CocoSource(options.data, options.images),
        out=options.out,
        command=f"python -m training.train_segmenter {command}",
        holdout=CocoSource(options.holdout, options.holdout_images) if options.holdout else None,
        body_parts=dict(options.category) if options.category else None,
        architecture=options.architecture,
        input_size_px=options.input_size,
        init=options.init,
        validation_share=options.validation_share,
        batch_photos=options.batch,
        seed=options.seed,
        skip_bad=options.skip_bad,
        licence=options.licence,
        augmentation=UNCHANGED if options.no_augmentation else PhotoAugmentation(),
        optimisation=replace(DEFAULT_OPTIMISATION, learning_rate=options.learning_rate),
        budget=budget_of(options),
        resources=resources_of(options),
    )


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())

"""Command-line options that training and pre-training share, and what they make of a recipe and a plan."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pipeline.architectures import NARROW_EMBEDDER
from pipeline.model_files import BodyPartSpec
from training.embedder.recipe import RECIPES, LossName, Recipe
from training.runs.plan import Budget, Optimisation, Precision, Resources

NARROW_INPUT_PX = 128
_WIDE_INPUT_PX = 224
DEFAULT_MINUTES = 25.0


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the options of the network."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--architecture", default=NARROW_EMBEDDER, help=f"{NARROW_EMBEDDER}, or a classifier of torchvision (resnet101)"
    )
    group.add_argument(
        "--input-size", type=positive, metavar="PX", help="side of the crops; 128 for the narrow, else 224"
    )
    group.add_argument("--dimension", type=positive, default=128, help="length of the embedding")
    group.add_argument("--init", metavar="FILE|imagenet", help="initial weights; random ones without")


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the recipe and its changes, one at a time for ablations."""
    group = parser.add_argument_group("recipe")
    group.add_argument("--recipe", choices=list(RECIPES), default="default", help="seed: the original system's")
    group.add_argument("--loss", choices=get_args(LossName), help="instead of the recipe's")
    group.add_argument("--classes", type=positive, metavar="P", help="classes in a batch")
    group.add_argument("--photos-each", type=positive, metavar="K", help="photos of each class in a batch")
    group.add_argument("--no-augmentation", action="store_true", help="photos as the service crops them")
    group.add_argument("--no-mirror", action="store_true", help="no mirrored photos as further classes")
    group.add_argument("--learning-rate", type=float)
    group.add_argument("--weight-decay", type=float)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add how long and where."""
    group = parser.add_argument_group("run")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--photos", type=positive, help="how many photos to see, repetitions counted")
    length.add_argument(
        "--minutes", type=float, help=f"how long to train at the speed measured first; {DEFAULT_MINUTES:g} by default"
    )
    group.add_argument("--rounds", type=positive, default=20, help="evaluations over the run")
    group.add_argument("--patience", type=int, default=6, help="rounds without a better score that end it; 0: never")
    group.add_argument("--seed", type=int, default=1)
    group.add_argument("--restart", action="store_true", help="throw away a former run's checkpoint in --out")
    group.add_argument("--workers", type=positive, default=1, help="processes of Ray Train")
    group.add_argument("--gpu", action="store_true", help="one GPU for each worker")
    group.add_argument("--threads", type=positive, default=1, help="CPU threads of each worker")
    group.add_argument("--loaders", type=positive, default=1, help="threads of each worker that prepare batches")
    group.add_argument(
        "--precision", choices=get_args(Precision), default="auto", help="auto: the faster one, as timed"
    )
    group.add_argument("--licence", default="MIT", help="of the weights, for the model card")


def part_of(options: argparse.Namespace, name: str) -> BodyPartSpec:
    """Return the body part's block of models.yaml."""
    usual = NARROW_INPUT_PX if options.architecture == NARROW_EMBEDDER else _WIDE_INPUT_PX
    return BodyPartSpec.model_validate(
        {
            "name": name,
            "architecture": options.architecture,
            "dimension": options.dimension,
            "input_size_px": options.input_size or usual,
        }
    )


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return the recipe with the changes asked for."""
    recipe = RECIPES[options.recipe]
    if options.loss is not None:
        recipe = replace(recipe, loss=options.loss, sampler="classes")
    if options.no_augmentation:
        recipe = replace(recipe, augmentation=False)
    if options.no_mirror:
        recipe = replace(recipe, mirror="never")
    classes, each = options.classes or recipe.classes, options.photos_each or recipe.photos_each
    return replace(
        recipe, classes=classes, photos_each=each, optimisation=_optimisation_of(options, recipe.optimisation)
    )


def budget_of(options: argparse.Namespace) -> Budget:
    """Return how long the run lasts."""
    minutes = None if options.photos is not None else options.minutes or DEFAULT_MINUTES
    return Budget(options.photos, minutes, options.rounds, options.patience)


def resources_of(options: argparse.Namespace) -> Resources:
    """Return what the run uses."""
    return Resources(options.workers, options.gpu, options.threads, options.precision, options.loaders)


def positive(text: str) -> int:
    """Parse a number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def existing_folder(text: str) -> Path:
    """Parse the name of a folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return path


def _optimisation_of(options: argparse.Namespace, usual: Optimisation) -> Optimisation:
    rate = usual.learning_rate if options.learning_rate is None else options.learning_rate
    decay = usual.weight_decay if options.weight_decay is None else options.weight_decay
    return replace(usual, learning_rate=rate, weight_decay=decay)

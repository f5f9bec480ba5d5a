"""Command-line options that training and pre-training share, and what they make of a recipe and a plan."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from pipeline.model_files import BodyPartSpec, short_hash
from pipeline.networks.architectures import NARROW_EMBEDDER
from training.command_line import positive
from training.embedder.recipe import RECIPES, LossName, Recipe
from training.runs.options import budget_of, resources_of
from training.runs.plan import Optimisation, RunPlan

NARROW_INPUT_PX = 128
_WIDE_INPUT_PX = 224


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


def plan_of(
    options: argparse.Namespace, part: BodyPartSpec, initial: Path | None, weights: Path, data: Mapping[str, Any]
) -> RunPlan:
    """Return the plan of a run.

    Args:
        options: parsed.
        part: body part and network.
        initial: weights to begin with; None for random ones.
        weights: the file to be written; the run is named after it.
        data: what identifies the training data, as plain JSON values.
    """
    recipe = recipe_of(options)
    identity = {
        **data,
        "network": f"{part.architecture}, {part.input_size_px} px, {part.dimension} dimensions",
        "initial weights": None if initial is None else short_hash(initial),
        "recipe": {name: value for name, value in asdict(recipe).items() if name != "optimisation"},
    }
    return RunPlan(
        name=weights.stem,
        folder=weights.parent.resolve(),
        batch_photos=recipe.batch_photos,
        seed=options.seed,
        identity=identity,
        optimisation=recipe.optimisation,
        budget=budget_of(options),
        resources=resources_of(options),
    )


def _optimisation_of(options: argparse.Namespace, usual: Optimisation) -> Optimisation:
    rate = usual.learning_rate if options.learning_rate is None else options.learning_rate
    decay = usual.weight_decay if options.weight_decay is None else options.weight_decay
    return replace(usual, learning_rate=rate, weight_decay=decay)

"""`python -m training.train_embedder --data dataset/fluke --out models/mine`: train the embedder of one body part."""

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.model_files import BodyPartSpec
from training.command_line import exit_status
from training.embedder.data import PhotoSource, SplitCrops, SplitPhotos, detector_hash, make_crops, read_photos
from training.embedder.initial_weights import check_initial_weights
from training.embedder.options import add_network, add_recipe, part_of, plan_of, recipe_of
from training.embedder.task import EmbedderSpec
from training.embedder.training import CardText, describe_crops, train_embedder
from training.models_yaml import write_part
from training.runs.initial_weights import initial_weights_file
from training.runs.options import add_run, existing_folder
from training.runs.plan import RunPlan
from training.runs.state import check_resumable

_INTENDED_USE = (
    "Embeds crops of {part}s so that photos of one individual lie close together: for identifying individuals by photo,"
    " with a person who checks the proposals. Not for counting animals without such a check, nor for other body parts"
    " or species than it was trained on."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit status: 0, or 1 with the reason on stderr.
    """
    options = _parser().parse_args(arguments)
    command = shlex.join(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _train(options, command))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train_embedder", description=__doc__)
    parser.add_argument(
        "--data", type=existing_folder, required=True, help="folder with one folder for each individual"
    )
    parser.add_argument("--holdout", type=existing_folder, help="the same of other individuals, for the final scores")
    parser.add_argument("--out", type=Path, required=True, help="models folder; repeat the command to resume")
    parser.add_argument("--part", help="body part; the name of the --data folder by default")
    parser.add_argument(
        "--segmenter", type=existing_folder, metavar="MODELS", help="models folder whose detector finds the animals"
    )
    parser.add_argument("--validation-share", type=float, default=0.15, help="of the individuals, for early stopping")
    parser.add_argument("--skip-bad", action="store_true", help="go on without photos that cannot be used")
    add_network(parser)
    add_recipe(parser)
    add_run(parser)
    return parser


def _train(options: argparse.Namespace, command: str) -> None:
    part = part_of(options, options.part or options.data.resolve().name)
    initial = initial_weights_file(options.init, part.architecture)
    begun = check_initial_weights(part, initial)
    source = PhotoSource(options.data, options.holdout, options.segmenter, options.validation_share, options.skip_bad)
    photos = read_photos(source, part.name, options.seed)
    plan = _plan(options, part, photos, initial)
    if options.restart:
        shutil.rmtree(plan.run_folder, ignore_errors=True)
    check_resumable(plan)
    crops = make_crops(photos, source, part, recipe_of(options).augmentation, plan.run_folder)
    spec = EmbedderSpec(
        part,
        recipe_of(options),
        options.seed,
        crops.training,
        crops.validation,
        crops.holdout,
        None if initial is None else initial.resolve(),
        (options.out / part.file).resolve(),
    )
    train_embedder(plan, spec, _card_text(options, part, crops, begun, command))
    write_part(options.out, part)


def _plan(options: argparse.Namespace, part: BodyPartSpec, photos: SplitPhotos, initial: Path | None) -> RunPlan:
    data = {"data": photos.digest(), "detector": detector_hash(options.segmenter)}
    return plan_of(options, part, initial, options.out / part.file, data)


def _card_text(
    options: argparse.Namespace, part: BodyPartSpec, crops: SplitCrops, begun: str, command: str
) -> CardText:
    boxes = (
        "the data's, else whole photos"
        if options.segmenter is None
        else f"found by the detector of {options.segmenter}"
    )
    data = {"training": describe_crops(crops.training), "validation": describe_crops(crops.validation)}
    data |= {"holdout": describe_crops(crops.holdout)} if crops.holdout is not None else {}
    return CardText(
        title=f"Embedder of {part.name}s",
        data={**data, "boxes": boxes},
        initial=begun,
        command=f"python -m training.train_embedder {command}",
        licence=options.licence,
        intended_use=_INTENDED_USE.format(part=part.name),
    )


if __name__ == "__main__":
    sys.exit(main())

"""`python -m training.pretrain --part fluke --out models/pretrained/fluke.pth`: learn from many synthetic individuals.

The weights are a starting point for `python -m training.train_embedder --init FILE`, not a model for the service.
"""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.model_files import BodyPartSpec
from training.command_line import exit_status, positive
from training.embedder.crops import CropStore, Cut
from training.embedder.data import chosen_crops, wide_cut
from training.embedder.initial_weights import check_initial_weights
from training.embedder.options import add_network, add_recipe, part_of, plan_of, recipe_of
from training.embedder.rendering import renderer, synthetic_photos
from training.embedder.task import CropSet, EmbedderSpec
from training.embedder.training import CardText, describe_crops, train_embedder
from training.runs.initial_weights import initial_weights_file
from training.runs.options import add_run
from training.runs.plan import RunPlan
from training.runs.state import check_resumable
from training.synthetic.individuals import BODY_PARTS

_WORLD = 1
_VALIDATION_INDIVIDUALS = 60
_VALIDATION_PHOTOS = 6
_INTENDED_USE = (
    "Initial weights for training an embedder on photos of real animals. Learnt from synthetic {part}s only: not for"
    " identifying anybody as it is."
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
    return exit_status(lambda: _pretrain(options, command))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=BODY_PARTS, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights, .pth; repeat to resume")
    parser.add_argument("--individuals", type=positive, default=4000)
    parser.add_argument("--photos-each-individual", type=positive, default=4, metavar="N")
    parser.add_argument("--render-width", type=positive, default=480, metavar="PX", help="of the rendered photos")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes that render")
    add_network(parser)
    add_recipe(parser)
    add_run(parser)
    return parser


def _pretrain(options: argparse.Namespace, command: str) -> None:
    part = part_of(options, options.part)
    initial = initial_weights_file(options.init, part.architecture)
    begun = check_initial_weights(part, initial)
    plan = _plan(options, part, initial)
    if options.restart:
        shutil.rmtree(plan.run_folder, ignore_errors=True)
    check_resumable(plan)
    recipe = recipe_of(options)
    exact = Cut(part.input_size_px, part.margin)
    trained = range(options.individuals)
    held_out = range(options.individuals, options.individuals + _VALIDATION_INDIVIDUALS)
    training = _render(
        options,
        plan,
        "training",
        trained,
        options.photos_each_individual,
        wide_cut(part) if recipe.augmentation else exact,
    )
    validation = _render(options, plan, "validation", held_out, _VALIDATION_PHOTOS, exact)
    spec = EmbedderSpec(
        part,
        recipe,
        options.seed,
        training,
        validation,
        None,
        None if initial is None else initial.resolve(),
        options.out.resolve(),
    )
    train_embedder(plan, spec, _card_text(options, spec, begun, command))


def _render(options: argparse.Namespace, plan: RunPlan, name: str, numbers: range, each: int, cut: Cut) -> CropSet:
    """Render a set, or take what a former attempt has rendered."""
    shots = synthetic_photos(_WORLD, options.part, numbers, each)
    key = {"individuals": str(numbers), "photos each": each, "cut": repr(cut), "width": options.render_width}
    store = CropStore.prepare(plan.run_folder / name, key, len(shots), cut.size_px)
    have = store.fill(renderer(shots, cut, options.render_width, options.jobs), f"rendering, {name}")
    return chosen_crops(plan.run_folder / name, [shot.labelled() for shot in shots], have.nonzero()[0].tolist())


def _plan(options: argparse.Namespace, part: BodyPartSpec, initial: Path | None) -> RunPlan:
    data = {
        "individuals": options.individuals,
        "photos of each": options.photos_each_individual,
        "render width": options.render_width,
    }
    return plan_of(options, part, initial, options.out, data)


def _card_text(options: argparse.Namespace, spec: EmbedderSpec, begun: str, command: str) -> CardText:
    return CardText(
        title=f"Pre-trained on synthetic {options.part}s",
        data={
            "training": f"synthetic: {describe_crops(spec.training)}",
            "validation": f"synthetic: {describe_crops(spec.validation)}",
        },
        initial=begun,
        command=f"python -m training.pretrain {command}",
        licence=options.licence,
        intended_use=_INTENDED_USE.format(part=options.part),
    )


if __name__ == "__main__":
    sys.exit(main())

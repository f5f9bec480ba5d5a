"""What is written about a trained detector: curve and model card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pipeline.model_files import short_hash
from training.photos.records import BoxedPhoto
from training.runs.card import CardFacts, write_card
from training.runs.curve import draw_curve
from training.runs.loop import RunResult
from training.runs.plan import RunPlan
from training.segmenter.scores import EXPLANATIONS
from training.segmenter.task import FALSE_AT_CHOICE, THRESHOLD, DetectorSpec, named_by_split
from training.segmenter.threshold import ThresholdChoice

_INTENDED_USE = (
    "Finds {parts} in photos from boats and shores and draws a box around each, for photo-identification by the"
    " embedders of the same models folder. Not for counting animals in a survey, nor for other body parts or species"
    " than it was trained on."
)


def write_curve_and_card(
    plan: RunPlan,
    spec: DetectorSpec,
    result: RunResult,
    splits: Mapping[str, Sequence[BoxedPhoto]],
    command: str,
    licence: str,
) -> None:
    """Draw the curve and write the model card beside the weights.

    Args:
        plan: of the run.
        spec: what was trained.
        result: what came of it.
        splits: the photos, by split.
        command: that made it.
        licence: of the weights.
    """
    facts = _facts(plan, spec, result, splits, command, licence)
    curve = plan.folder / f"{plan.name}_curve.png"
    draw_curve(curve, result.history, facts.title, "validation mAP")
    write_card(facts, result, curve)


def describe_photos(photos: Sequence[BoxedPhoto]) -> str:
    """Return how many photos, animals and individuals a split has, in words."""
    animals = sum(len(photo.boxes) for photo in photos)
    empty = sum(not photo.boxes for photo in photos)
    names = len(_individuals(photos))
    who = f" of {names} individuals" if names else " (individuals not named)"
    return f"{len(photos)} photos, {empty} of them without an animal; {animals} animals{who}"


def _facts(
    plan: RunPlan,
    spec: DetectorSpec,
    result: RunResult,
    splits: Mapping[str, Sequence[BoxedPhoto]],
    command: str,
    licence: str,
) -> CardFacts:
    parts = " and ".join(f"{label}s" for label in spec.segmenter.labels)
    return CardFacts(
        title=f"Detector of {parts}",
        weights=plan.folder / spec.segmenter.file,
        architecture=spec.segmenter.architecture,
        input_size_px=spec.segmenter.input_size_px,
        data={name: describe_photos(photos) for name, photos in splits.items()},
        recipe=_recipe(plan, spec),
        command=command,
        score_names={
            named_by_split(split, name): f"{split}: {name} ({words})"
            for split in splits
            for name, words in EXPLANATIONS.items()
        },
        licence=licence,
        intended_use=_INTENDED_USE.format(parts=parts),
        individuals=sorted(_individuals(splits["training"])),
        notes=[f"{_choice(result, splits['validation'])}."],
        resampled="photos",
    )


def _individuals(photos: Sequence[BoxedPhoto]) -> set[str]:
    return {box.individual for photo in photos for box in photo.boxes if box.individual}


def _recipe(plan: RunPlan, spec: DetectorSpec) -> dict[str, object]:
    optimisation = asdict(plan.optimisation)
    optimiser = optimisation.pop("name")
    initial = "random" if spec.initial is None else f"{spec.initial.name} ({short_hash(spec.initial)})"
    return {
        "loss": "torchvision's four losses of Faster R-CNN, added",
        "batch photos": plan.batch_photos * plan.resources.workers,
        "optimiser": optimiser,
        **optimisation,
        "seed": plan.seed,
        "initial weights": initial,
        **{f"augmentation: {name}": value for name, value in asdict(spec.augmentation).items()},
    }


def _choice(result: RunResult, validation: Sequence[BoxedPhoto]) -> ThresholdChoice:
    """Return the choice of the score threshold, as the worker reported it."""
    values = result.final.values
    missed = values.get(named_by_split("validation", "animals missed"), 0.0)
    empty = sum(not photo.boxes for photo in validation)
    return ThresholdChoice(values[THRESHOLD], missed, values[FALSE_AT_CHOICE], empty)

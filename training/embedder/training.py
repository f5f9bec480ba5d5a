"""One embedder from prepared crops to the files of a models folder; training and pre-training share it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.embedder.task import CropSet, EmbedderSpec
from training.runs.card import CardFacts, write_card
from training.runs.curve import draw_curve
from training.runs.launch import train
from training.runs.loop import RunResult
from training.runs.plan import RunPlan

logger = logging.getLogger(__name__)

SCORE_NAMES = {
    "top1": "validation: top-1, 3 references, nearest centroid",
    "auroc": "validation: AUROC of known against unknown individuals",
    "holdout_top1": "holdout: top-1, 3 references, nearest centroid",
    "holdout_auroc": "holdout: AUROC of known against unknown individuals",
    "mean_distance": "mean distance of two embeddings (validation)",
    "effective_rank": "directions in use (validation)",
}


@dataclass(frozen=True, slots=True)
class CardText:
    """What the card says beyond the numbers.

    Attributes:
        title: of the card.
        data: what it was trained, validated and tested on, by name.
        initial: initial weights, in text.
        command: that made it.
        licence: of the weights.
        intended_use: what for, and what not.
    """

    title: str
    data: Mapping[str, Any]
    initial: str
    command: str
    licence: str
    intended_use: str


def train_embedder(plan: RunPlan, spec: EmbedderSpec, text: CardText) -> RunResult:
    """Train, then write curve and card beside the weights.

    Args:
        plan: for how long and how.
        spec: what.
        text: what the card says beyond the numbers.

    Raises:
        TrainingError: the run cannot go on.
    """
    result = train(plan, spec)
    curve = plan.folder / f"{plan.name}_curve.png"
    draw_curve(curve, result.history, text.title, "validation score")
    card, _ = write_card(_facts(plan, spec, text), result, curve)
    logger.info("%s after %d photos; weights %s, card %s", result.ended, result.photos, spec.file, card)
    for name, value in result.final.values.items():
        logger.info("  %s: %.3f", SCORE_NAMES.get(name, name), value)
    return result


def describe_crops(crops: CropSet) -> str:
    """Return how many photos, individuals and encounters a set has, in text."""
    individuals = {photo.individual for photo in crops.photos}
    encounters = {(photo.encounter, photo.individual) for photo in crops.photos if photo.encounter}
    known = f", {len(encounters)} encounters" if encounters else ", encounters unknown"
    return f"{len(crops.photos)} photos of {len(individuals)} individuals{known}"


def _facts(plan: RunPlan, spec: EmbedderSpec, text: CardText) -> CardFacts:
    recipe = asdict(spec.recipe)
    optimisation = recipe.pop("optimisation")
    optimisation["optimiser"] = optimisation.pop("name")
    return CardFacts(
        title=text.title,
        weights=spec.file,
        architecture=spec.part.architecture,
        input_size_px=spec.part.input_size_px,
        data=text.data,
        recipe={**recipe, **optimisation, "seed": plan.seed, "initial weights": text.initial},
        command=text.command,
        score_names=SCORE_NAMES,
        licence=text.licence,
        intended_use=text.intended_use,
        individuals=sorted({photo.individual for photo in spec.training.photos}),
    )

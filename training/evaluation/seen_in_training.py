"""Which of the individuals a network has seen in training, by the card beside its weights."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SeenInTraining:
    """What is known of the training's individuals.

    Attributes:
        known: whether anything is.
        trained_on: how many individuals the training had.
        among_these: those of the evaluated individuals that it had; an evaluation of them is no evaluation.
        text: all that in a sentence.
    """

    known: bool
    trained_on: int
    among_these: tuple[str, ...]
    text: str


def seen_in_training(weights: Path, individuals: Collection[str], what: str = "embedder") -> SeenInTraining:
    """Look up which individuals weights were trained on.

    Args:
        weights: the file; its card has the same name and ends in .json.
        individuals: that are evaluated.
        what: the weights are, in the text.
    """
    card = weights.with_suffix(".json")
    try:
        record = json.loads(card.read_text(encoding="utf-8"))
        trained = {str(name) for name in record["training individuals"]}
        stated = record["sha256"]
    except OSError:
        return _unknown(what, f"there is no model card ({card.name}) beside the weights")
    except (ValueError, LookupError, TypeError):
        return _unknown(what, f"the model card ({card.name}) does not list them")
    if stated != hashlib.sha256(weights.read_bytes()).hexdigest():
        return _unknown(what, f"the model card ({card.name}) is of other weights")
    if not trained:
        return _unknown(what, f"the model card ({card.name}) does not list them")
    both = tuple(sorted(trained & set(individuals)))
    verdict = (
        f"WARNING: {len(both)} of the {len(set(individuals))} evaluated individuals are among them, so the scores are"
        " too good"
        if both
        else f"none of the {len(set(individuals))} evaluated ones has the name of one of them"
    )
    return SeenInTraining(True, len(trained), both, f"The {what} was trained on {len(trained)} individuals; {verdict}.")


def _unknown(what: str, why: str) -> SeenInTraining:
    return SeenInTraining(False, 0, (), f"It is not known which individuals the {what} was trained on: {why}.")

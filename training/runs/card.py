"""Model cards: what a network was made from and how good it is, for people (Markdown) and for programs (JSON)."""

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from training.runs.loop import RunResult
from training.runs.task import Evaluation

_PACKAGES = (
    "torch",
    "torchvision",
    "ray",
    "numpy",
    "opencv-python-headless",
    "pytorch-metric-learning",
    "faster-coco-eval",
)


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the trainer knows and the run does not.

    Attributes:
        title: of the card.
        weights: the file; card and curve lie beside it.
        architecture: a name of `pipeline.networks.architectures`.
        input_size_px: side of the network's input.
        data: what it was trained, validated and tested on, by name.
        recipe: every choice of the training, by name.
        command: that made it.
        score_names: what each score is, in words, by its name in `Evaluation.values`.
        licence: of the weights.
        intended_use: what for, and what not.
        individuals: names of the training individuals; above a few, only their number is for people.
        notes: paragraphs below the scores.
        resampled: what the intervals were bootstrapped over.
    """

    title: str
    weights: Path
    architecture: str
    input_size_px: int
    data: Mapping[str, Any]
    recipe: Mapping[str, Any]
    command: str
    score_names: Mapping[str, str]
    licence: str
    intended_use: str
    individuals: Sequence[str] = field(default=())
    notes: Sequence[str] = ()
    resampled: str = "individuals"


def write_card(facts: CardFacts, result: RunResult, curve: Path | None = None) -> tuple[Path, Path]:
    """Write the card beside the weights, as Markdown and as JSON.

    Args:
        facts: of the trainer.
        result: of the run.
        curve: the picture of loss and score, in the same folder.

    Returns:
        Both files, of the weights' name.
    """
    record = _record(facts, result)
    data, text = facts.weights.with_suffix(".json"), facts.weights.with_suffix(".md")
    data.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(_markdown(facts, result, record, curve), encoding="utf-8")
    return text, data


def _record(facts: CardFacts, result: RunResult) -> dict[str, Any]:
    final = result.final
    return {
        "title": facts.title,
        "weights": facts.weights.name,
        "sha256": hashlib.sha256(facts.weights.read_bytes()).hexdigest(),
        "architecture": facts.architecture,
        "parameters": result.parameters,
        "input size px": facts.input_size_px,
        "licence": facts.licence,
        "intended use": facts.intended_use,
        "command": facts.command,
        "data": dict(facts.data),
        "recipe": dict(facts.recipe),
        "run": {
            "ended": result.ended,
            "photos seen": result.photos,
            "minutes": round(result.seconds / 60.0, 1),
            "best round": result.best_round,
            "precision": "bfloat16" if result.bfloat16 else "float32",
            "machine": f"{platform.system()} {platform.machine()}",
        },
        "scores": {name: _number(value) for name, value in final.values.items()},
        "intervals 95 %": {name: list(interval) for name, interval in final.intervals.items()},
        "software": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "notes": list(facts.notes),
        "training individuals": sorted(facts.individuals),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _markdown(facts: CardFacts, result: RunResult, record: Mapping[str, Any], curve: Path | None) -> str:
    lines = [
        f"# {facts.title}",
        "",
        facts.intended_use,
        "",
        f"Licence of the weights: {facts.licence}.",
        "",
        *_table(
            "Model", {key: record[key] for key in ("weights", "sha256", "architecture", "parameters", "input size px")}
        ),
        *_table("Data", facts.data),
        *_scores(facts, result.final),
        *([f"![loss and score]({curve.name})", ""] if curve is not None else []),
        *_table("Recipe", facts.recipe),
        *_table("Run", record["run"]),
        *_table("Software", record["software"]),
        "## Command",
        "",
        "```",
        facts.command,
        "```",
        "",
    ]
    return "\n".join(lines)


def _table(title: str, rows: Mapping[str, Any]) -> list[str]:
    body = [f"| {key} | {_shown(value)} |" for key, value in rows.items()]
    return [f"## {title}", "", "| | |", "|---|---|", *body, ""]


def _scores(facts: CardFacts, final: Evaluation) -> list[str]:
    head = [
        "## Scores",
        "",
        f"95 % intervals: bootstrap over {facts.resampled}.",
        "",
        "| score | value | interval |",
        "|---|---|---|",
    ]
    body = []
    for name, value in final.values.items():
        low_high = final.intervals.get(name)
        interval = f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
        shown = "not to be had" if math.isnan(value) else f"{value:.3f}"
        body.append(f"| {facts.score_names.get(name, name)} | {shown} | {interval} |")
    notes = [line for note in facts.notes for line in (note, "")]
    return [*head, *body, "", *notes]


def _shown(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) and len(value) == 64 else str(value)

"""What an evaluation was of, and its numbers for programs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.evaluation.results import ProtocolResult
from training.evaluation.scores import MatchingScores
from training.evaluation.seen_in_training import SeenInTraining


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated and how.

    Attributes:
        data: the folder or table, as the command named it.
        models: the models folder, as the command named it.
        body_part: which.
        boxes: "detected", "truth" or "photo".
        hashes: short hashes of the weights, by what they are for.
        seen: what is known of the networks' training, by what they are for.
        references: of each individual, at most.
        seed: of splits, halves and bootstrap.
        problems: the data's problems, as text; empty without.
        command: that makes the report again.
    """

    data: str
    models: str
    body_part: str
    boxes: str
    hashes: Mapping[str, str]
    seen: Mapping[str, SeenInTraining]
    references: int
    seed: int
    problems: str
    command: str


def as_json(subject: Subject, results: Mapping[str, ProtocolResult]) -> dict[str, Any]:
    """Return all numbers: `protocols.<name>.methods.<method>.<matching>.<references>`; NaN becomes null."""
    document = asdict(subject) | {"protocols": {name: _protocol(result) for name, result in results.items()}}
    cleaned: dict[str, Any] = _finite(document)
    return cleaned


def counts(result: ProtocolResult) -> dict[str, int]:
    """Return how many individuals and photos played which part."""
    roles = result.roles
    return {
        "known individuals": len({photo.individual for photo in roles.queries}),
        "reference photos": len(roles.references),
        "queries": len(roles.queries),
        "unknown individuals": len({photo.individual for photo in roles.unknown}),
        "unknown queries": len(roles.unknown),
        "individuals left out": len(roles.left_out),
    }


def _protocol(result: ProtocolResult) -> dict[str, Any]:
    return {
        "counts": counts(result),
        "encounters": result.roles.encounters,
        "left_out": list(result.roles.left_out),
        "failures": {part: dict(codes) for part, codes in result.failures.items()},
        "methods": {method: _by_matching(scores) for method, scores in result.scores.items()},
    }


def _by_matching(scores: tuple[MatchingScores, ...]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for one in scores:
        table.setdefault(one.matching, {})[str(one.references)] = asdict(one)
    return table


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value

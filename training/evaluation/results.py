"""What comes of each protocol: its roles, failures, scores of every method, the worst mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from training.evaluation.comparison import (
    MATCHINGS,
    Comparison,
    Matching,
    VectorOf,
    best_distances,
    by_embedding,
    by_thumbnail,
    make_comparison,
)
from training.evaluation.confusions import Confusion, false_names, wrong_names
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.extraction import count_failures
from training.evaluation.protocols import Roles
from training.evaluation.scores import MatchingScores, score
from training.photos.records import LabelledPhoto
from training.scoring.open_set import BestDistances

EMBEDDER, THUMBNAIL = "embedder", "thumbnail"
SERVED: Matching = "centroid"
"""The service's way of matching, whose numbers and mistakes stand first in the report."""

_METHODS: Mapping[str, VectorOf] = {EMBEDDER: by_embedding, THUMBNAIL: by_thumbnail}
_WRONG_SHOWN, _FALSE_SHOWN = 12, 6


class Embeds(Protocol):
    """Turns photos into embedded photos; `training.evaluation.extraction` has the real one."""

    def embed(self, photos: Sequence[LabelledPhoto]) -> list[EmbeddedPhoto]:
        """Return one record a photo, in order."""
        ...


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """What came of one protocol.

    Attributes:
        roles: who played which part.
        failures: photos without an embedding by reason, by part ("references", "queries", "unknown").
        scores: by method ("embedder", "thumbnail"): of every way of matching with 1 to N references.
        best: distances of the embedder's best candidates, matched as in the service.
        wrong_names: the most confident wrong names of known individuals.
        false_names: the nearest names given to unknown individuals.
    """

    roles: Roles
    failures: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, tuple[MatchingScores, ...]]
    best: BestDistances
    wrong_names: tuple[Confusion, ...]
    false_names: tuple[Confusion, ...]

    def main(self, method: str = EMBEDDER, matching: Matching = SERVED) -> MatchingScores:
        """Return the scores with the most references."""
        return max((one for one in self.scores[method] if one.matching == matching), key=lambda one: one.references)


def evaluate_protocols(
    protocols: Mapping[str, Roles], embedder: Embeds, references: int, seed: int, baseline: bool, resamples: int
) -> dict[str, ProtocolResult]:
    """Embed every photo once and score all protocols.

    Args:
        protocols: roles by the protocol's name.
        embedder: of the models under test.
        references: of each individual, at most; all numbers from 1 are scored.
        seed: of halves and bootstrap.
        baseline: whether to score thumbnails, too.
        resamples: of the bootstrap.
    """
    photos = list(dict.fromkeys(photo for roles in protocols.values() for photo in roles.photos))
    embedded = dict(zip(photos, embedder.embed(photos), strict=True))
    methods = [EMBEDDER, THUMBNAIL] if baseline else [EMBEDDER]
    results = {}
    for name, roles in protocols.items():
        comparisons = {method: make_comparison(roles, embedded, _METHODS[method], seed) for method in methods}
        scores = {
            method: _score_all(comparison, references, seed, resamples) for method, comparison in comparisons.items()
        }
        results[name] = _result(roles, embedded, comparisons[EMBEDDER], scores, references)
    return results


def _score_all(comparison: Comparison, references: int, seed: int, resamples: int) -> tuple[MatchingScores, ...]:
    most = min(references, int(comparison.turn.max(initial=0)) + 1)
    return tuple(score(comparison, matching, n, seed, resamples) for matching in MATCHINGS for n in range(1, most + 1))


def _result(
    roles: Roles,
    embedded: Mapping[LabelledPhoto, EmbeddedPhoto],
    comparison: Comparison,
    scores: Mapping[str, tuple[MatchingScores, ...]],
    references: int,
) -> ProtocolResult:
    parts = {"references": roles.references, "queries": roles.queries, "unknown": roles.unknown}
    return ProtocolResult(
        roles=roles,
        failures={part: count_failures(embedded[photo] for photo in photos) for part, photos in parts.items()},
        scores=scores,
        best=best_distances(comparison, SERVED, references),
        wrong_names=wrong_names(comparison, SERVED, references, _WRONG_SHOWN),
        false_names=false_names(comparison, SERVED, references, _FALSE_SHOWN),
    )

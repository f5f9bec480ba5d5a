"""One evaluation from photos to scores: roles, embeddings, trials of every method, the worst mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.evaluation.baseline import by_embedding, by_thumbnail
from training.evaluation.confusions import Confusion, false_names, wrong_names
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.extraction import count_failures
from training.evaluation.protocols import Roles
from training.evaluation.scores import Scores, score
from training.evaluation.trial import MATCHINGS, Matching, Trial, VectorOf, individual_distances, make_trial
from training.photos.records import LabelledPhoto
from training.scoring.intervals import FloatArray
from training.scoring.ranks import BoolArray

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
class BestDistances:
    """Distances of the best candidates, for a picture of how known and unknown differ.

    Attributes:
        known: (q,) of known individuals' queries; `inf` where no animal was found.
        right: (q,) whether that candidate is the right one.
        unknown: (u,) of unknown individuals' queries.
    """

    known: FloatArray
    right: BoolArray
    unknown: FloatArray


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """What came of one protocol.

    Attributes:
        roles: who played which part.
        failures: photos without an embedding by reason, by part ("references", "queries", "unknown").
        scores: by method ("embedder", "thumbnail"): of every way of matching with 1 to N references.
        best: of the embedder, matched as in the service.
        wrong_names: the most confident wrong names of known individuals.
        false_names: the nearest names given to unknown individuals.
    """

    roles: Roles
    failures: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, tuple[Scores, ...]]
    best: BestDistances
    wrong_names: tuple[Confusion, ...]
    false_names: tuple[Confusion, ...]

    def main(self, method: str = EMBEDDER, matching: Matching = SERVED) -> Scores:
        """Return the scores with the most references."""
        return max((one for one in self.scores[method] if one.matching == matching), key=lambda one: one.references)


def run_study(
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
        trials = {method: make_trial(roles, embedded, _METHODS[method], seed) for method in methods}
        scores = {method: _score_all(trial, references, seed, resamples) for method, trial in trials.items()}
        results[name] = _result(roles, embedded, trials[EMBEDDER], scores, references)
    return results


def _score_all(trial: Trial, references: int, seed: int, resamples: int) -> tuple[Scores, ...]:
    most = min(references, int(trial.turn.max(initial=0)) + 1)
    return tuple(score(trial, matching, n, seed, resamples) for matching in MATCHINGS for n in range(1, most + 1))


def _result(
    roles: Roles,
    embedded: Mapping[LabelledPhoto, EmbeddedPhoto],
    trial: Trial,
    scores: Mapping[str, tuple[Scores, ...]],
    references: int,
) -> ProtocolResult:
    parts = {"references": roles.references, "queries": roles.queries, "unknown": roles.unknown}
    return ProtocolResult(
        roles=roles,
        failures={part: count_failures(embedded[photo] for photo in photos) for part, photos in parts.items()},
        scores=scores,
        best=_best(trial, references),
        wrong_names=wrong_names(trial, SERVED, references, _WRONG_SHOWN),
        false_names=false_names(trial, SERVED, references, _FALSE_SHOWN),
    )


def _best(trial: Trial, references: int) -> BestDistances:
    known = individual_distances(trial, trial.queries, SERVED, references)
    unknown = individual_distances(trial, trial.unknown, SERVED, references)
    best = known.min(axis=1)
    return BestDistances(best, np.isfinite(best) & (known.argmin(axis=1) == trial.truth), unknown.min(axis=1))

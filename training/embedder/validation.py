"""How good embeddings are at what the service does: know an animal again, and notice one that it has never seen."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import roc_auc_score

from pipeline.records import Float32Array
from training.embedder.classes import IntArray
from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto
from training.photos.splits import EncounterSplit, split_encounters
from training.runs.task import Interval

logger = logging.getLogger(__name__)

REFERENCES = 3
_UNKNOWN_SHARE = 1 / 3
_LEAST_INDIVIDUALS = 3
_SPLITS = 5
_RESAMPLES = 500

Answers = tuple[IntArray, Float32Array, Float32Array]
"""Whether each query's answer is right; smallest distances of queries; smallest distances of unknown animals."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a set of embeddings reaches.

    Attributes:
        top1: share of queries whose nearest centroid is their own individual's.
        auroc: probability that a known animal's query is nearer to the gallery than an unknown's; NaN without unknowns.
    """

    top1: float
    auroc: float

    @property
    def score(self) -> float:
        """Mean of both: the service needs both; top-1 alone where there are no unknowns."""
        return self.top1 if np.isnan(self.auroc) else (self.top1 + self.auroc) / 2.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """One split, as places in the set of photos; classes are numbered within the trial."""

    gallery: IntArray
    gallery_labels: IntArray
    queries: IntArray
    query_labels: IntArray
    unknown: IntArray
    unknown_labels: IntArray


class Validation:
    """Judges embeddings of photos on encounter-disjoint splits, averaged over several choices of the unknown.

    Args:
        photos: of individuals that are not trained on.
        seed: of the splits.

    Raises:
        TrainingDataError: nobody was photographed twice.
    """

    def __init__(self, photos: Sequence[LabelledPhoto], seed: int) -> None:
        photos, self.encounters_known = _with_encounters(photos)
        count = len({photo.individual for photo in photos})
        unknown = round(count * _UNKNOWN_SHARE) if count >= _LEAST_INDIVIDUALS else 0
        place = {photo: index for index, photo in enumerate(photos)}
        splits = [split_encounters(photos, REFERENCES, unknown, seed + number) for number in range(_SPLITS)]
        self._trials = [_trial(split, place) for split in splits]

    def judge(self, embeddings: Float32Array) -> Scores:
        """Score embeddings.

        Args:
            embeddings: (n, d) float32, L2-normalised, of the photos in their order.
        """
        scores = [_score(*_answers(trial, embeddings)) for trial in self._trials]
        return Scores(float(np.mean([one.top1 for one in scores])), float(np.mean([one.auroc for one in scores])))

    def intervals(self, embeddings: Float32Array) -> dict[str, Interval]:
        """Return 95 % bootstrap intervals over individuals of top-1 and AUROC, all splits together."""
        rng = np.random.default_rng(0)
        answers = [_answers(trial, embeddings) for trial in self._trials]
        draws = [self._resampled(answers, rng) for _ in range(_RESAMPLES // _SPLITS)]
        return {
            "top1": _interval([one.top1 for draw in draws for one in draw]),
            "auroc": _interval([one.auroc for draw in draws for one in draw]),
        }

    def _resampled(self, answers: Sequence[Answers], rng: np.random.Generator) -> list[Scores]:
        scores = []
        for trial, (right, known, unknown) in zip(self._trials, answers, strict=True):
            picked = _draw_individuals(trial.query_labels, rng)
            strangers = _draw_individuals(trial.unknown_labels, rng)
            scores.append(_score(right[picked], known[picked], unknown[strangers]))
        return scores


def _with_encounters(photos: Sequence[LabelledPhoto]) -> tuple[list[LabelledPhoto], bool]:
    """Return photos whose encounters allow a split; without any, each photo counts as an encounter."""
    try:
        split_encounters(photos, REFERENCES, 0, 0)
    except TrainingDataError:
        logger.warning(
            "validation: no two encounters of any individual are known; photos count as encounters, which is"
        )
        logger.warning(
            "optimistic: photos of one encounter resemble each other. Give dates or encounters in metadata.csv"
        )
        return [replace(photo, encounter=f"{photo.path} {photo.individual}") for photo in photos], False
    return list(photos), True


def _trial(split: EncounterSplit, place: dict[LabelledPhoto, int]) -> _Trial:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(photo.label for photo in split.gallery))}
    taken = [0] * len(numbers)
    gallery: list[LabelledPhoto] = []
    for photo in split.gallery:
        if taken[numbers[photo.label]] < REFERENCES:
            taken[numbers[photo.label]] += 1
            gallery.append(photo)
    strangers = {name: number for number, name in enumerate(dict.fromkeys(photo.label for photo in split.unknown))}
    return _Trial(
        np.array([place[photo] for photo in gallery], dtype=np.int64),
        np.array([numbers[photo.label] for photo in gallery], dtype=np.int64),
        np.array([place[photo] for photo in split.queries], dtype=np.int64),
        np.array([numbers[photo.label] for photo in split.queries], dtype=np.int64),
        np.array([place[photo] for photo in split.unknown], dtype=np.int64),
        np.array([strangers[photo.label] for photo in split.unknown], dtype=np.int64),
    )


def _answers(trial: _Trial, embeddings: Float32Array) -> Answers:
    """Answer all queries of a trial."""
    count = int(trial.gallery_labels.max()) + 1
    centroids = np.stack([embeddings[trial.gallery[trial.gallery_labels == label]].mean(0) for label in range(count)])
    known = _distances(embeddings[trial.queries], centroids)
    unknown = _distances(embeddings[trial.unknown], centroids)
    right = (known.argmin(1) == trial.query_labels).astype(np.int64)
    return right, known.min(1), unknown.min(1)


def _distances(rows: Float32Array, centroids: Float32Array) -> Float32Array:
    """Return (n, k) Euclidean distances of (n, d) to (k, d)."""
    squares = (rows**2).sum(1)[:, None] + (centroids**2).sum(1)[None] - 2.0 * rows @ centroids.T
    return np.asarray(np.sqrt(squares.clip(0.0)), dtype=np.float32)


def _score(right: IntArray, known: Float32Array, unknown: Float32Array) -> Scores:
    if len(unknown) == 0:
        return Scores(float(right.mean()), float("nan"))
    strange = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    return Scores(float(right.mean()), float(roc_auc_score(strange, np.concatenate([known, unknown]))))


def _draw_individuals(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Return places of all photos of individuals drawn with replacement."""
    names = np.unique(labels)
    drawn = rng.choice(names, len(names)) if len(names) else names
    return np.concatenate([np.flatnonzero(labels == name) for name in drawn] or [np.zeros(0, dtype=np.int64)])


def _interval(values: list[float]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)

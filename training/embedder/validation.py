"""How good embeddings are at what the service does: know an animal again, and notice one that it has never seen."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.records import Float32Array
from training.arrays import FloatArray, IntArray
from training.errors import TrainingDataError
from training.photos.records import LabelledPhoto
from training.photos.splits import EncounterSplit, first_references, split_encounters
from training.scoring.distances import centroid_distances
from training.scoring.intervals import Interval, Resampling, numbered, percentile_interval, weighted_mean
from training.scoring.open_set import BestDistances, area_under_roc
from training.scoring.ranks import ranks_of_truth

logger = logging.getLogger(__name__)

REFERENCES = 3
_UNKNOWN_SHARE = 1 / 3
_LEAST_INDIVIDUALS = 3
_SPLITS = 5
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class ValidationScores:
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
class _SplitPlaces:
    """One split, as places in the set of photos; individuals (with side) are numbered as in the gallery."""

    gallery: IntArray
    gallery_of: IntArray
    queries: IntArray
    truth: IntArray
    unknown: IntArray
    resampling: Resampling

    def best_distances(self, embeddings: FloatArray) -> BestDistances:
        known, unknown = (self._distances(embeddings, asked) for asked in (self.queries, self.unknown))
        right = ranks_of_truth(known, self.truth) == 1.0
        return BestDistances(known.min(axis=1), right, unknown.min(axis=1))

    def _distances(self, embeddings: FloatArray, asked: IntArray) -> FloatArray:
        count = int(self.gallery_of.max()) + 1
        return centroid_distances(embeddings[asked], embeddings[self.gallery], self.gallery_of, count)


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
        self._splits = [_places_of(split, place) for split in splits]

    def scores(self, embeddings: Float32Array) -> ValidationScores:
        """Score embeddings; every photo counts the same.

        Args:
            embeddings: (n, d) float32, L2-normalised, of the photos in their order.
        """
        scores = [
            _scores(best, np.ones(len(best.known)), np.ones(len(best.unknown)))
            for best in self._best_distances(embeddings)
        ]
        return ValidationScores(
            float(np.mean([one.top1 for one in scores])), float(np.mean([one.auroc for one in scores]))
        )

    def intervals(self, embeddings: Float32Array) -> dict[str, Interval]:
        """Return 95 % bootstrap intervals over individuals (with side) of top-1 and AUROC, all splits together."""
        generator = np.random.default_rng(0)
        pairs = list(zip(self._best_distances(embeddings), self._splits, strict=True))
        drawn = [
            _scores(best, *split.resampling.draw(generator))
            for _ in range(_RESAMPLES // _SPLITS)
            for best, split in pairs
        ]
        low, high = percentile_interval(np.array([[one.top1, one.auroc] for one in drawn]))
        return {"top1": (float(low[0]), float(high[0])), "auroc": (float(low[1]), float(high[1]))}

    def _best_distances(self, embeddings: Float32Array) -> list[BestDistances]:
        rows = embeddings.astype(np.float64)
        return [split.best_distances(rows) for split in self._splits]


def _scores(best: BestDistances, known_weights: FloatArray, unknown_weights: FloatArray) -> ValidationScores:
    top1 = weighted_mean(best.right, known_weights)
    return ValidationScores(top1, area_under_roc(best.known, best.unknown, known_weights, unknown_weights))


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


def _places_of(split: EncounterSplit, place: dict[LabelledPhoto, int]) -> _SplitPlaces:
    gallery = first_references(split.gallery, REFERENCES)
    column = {label: number for number, label in enumerate(sorted({photo.label for photo in gallery}))}
    truth = np.array([column[photo.label] for photo in split.queries], dtype=np.intp)
    return _SplitPlaces(
        gallery=_places(gallery, place),
        gallery_of=np.array([column[photo.label] for photo in gallery], dtype=np.intp),
        queries=_places(split.queries, place),
        truth=truth,
        unknown=_places(split.unknown, place),
        resampling=Resampling(truth, numbered([photo.label for photo in split.unknown])),
    )


def _places(photos: Sequence[LabelledPhoto], place: dict[LabelledPhoto, int]) -> IntArray:
    return np.array([place[photo] for photo in photos], dtype=np.intp)

"""Which samples a batch holds: a pure function of its number, so that a resumed run sees the same."""

import threading
from functools import lru_cache

import numpy as np
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils import common_functions

from training.arrays import Int64Array
from training.embedder.classes import Classes
from training.embedder.recipe import Recipe
from training.errors import TrainingDataError

_CYCLE_BATCHES = 64
"""Batches drawn at once by the library's sampler, which is an iterator."""
_MOST_SINGLES = 8
_LIBRARY = threading.Lock()


class BatchSampler:
    """Draws batches of samples by number.

    Classes with one photo cannot be recognised again: they only appear once in a batch, as negatives.

    Args:
        classes: samples and their classes.
        recipe: kind and size of batches.
        seed: of the order.

    Raises:
        TrainingDataError: fewer than two classes have two photos.
    """

    def __init__(self, classes: Classes, recipe: Recipe, seed: int) -> None:
        self._labels, self._recipe, self._seed = classes.labels, recipe, seed
        several = classes.sizes()[classes.labels] >= 2
        self._several, self._singles = np.flatnonzero(several), np.flatnonzero(~several)
        count = len(set(classes.labels[self._several].tolist()))
        if count < 2:
            raise TrainingDataError(
                f"{count} individuals have two photos or more; training needs at least 2, and dozens to be of use"
            )
        singles = min(_MOST_SINGLES, len(self._singles)) // recipe.photos_each * recipe.photos_each
        wanted = recipe.classes - singles // recipe.photos_each
        self._classes = min(wanted, count)
        self._fill = recipe.batch_photos - self._classes * recipe.photos_each
        self._cycle = lru_cache(maxsize=4)(self._draw_cycle)

    def batch(self, number: int) -> Int64Array:
        """Return the samples of a batch.

        Args:
            number: of the batch, from 0.

        Returns:
            (batch_photos,) int64; of triplets all anchors, then all positives, then all negatives.
        """
        if self._recipe.sampler == "triplets":
            return self._triplets(np.random.default_rng([self._seed, 1, number]))
        size = self._classes * self._recipe.photos_each
        place = number % _CYCLE_BATCHES * size
        with _LIBRARY:
            drawn = self._cycle(number // _CYCLE_BATCHES)[place : place + size]
        return np.concatenate([drawn, self._filling(drawn, np.random.default_rng([self._seed, 2, number]))])

    def _draw_cycle(self, cycle: int) -> Int64Array:
        """Let the library draw many batches; its generator is a global one."""
        each, size = self._recipe.photos_each, self._classes * self._recipe.photos_each
        common_functions.NUMPY_RANDOM = np.random.RandomState([self._seed, cycle])
        sampler = MPerClassSampler(self._labels[self._several], each, size, size * _CYCLE_BATCHES)
        return self._several[np.fromiter(sampler, dtype=np.int64)]

    def _filling(self, drawn: Int64Array, rng: np.random.Generator) -> Int64Array:
        """Fill the batch with classes of one photo, then with any photos of its own classes."""
        negatives = rng.permutation(self._singles)[: self._fill]
        own = self._several[np.isin(self._labels[self._several], self._labels[drawn])]
        more = rng.choice(own, self._fill - len(negatives))
        return np.concatenate([negatives, more])

    def _triplets(self, rng: np.random.Generator) -> Int64Array:
        """Draw anchors by chance, a positive and a negative for each."""
        count = self._recipe.batch_photos // 3
        anchors = rng.choice(self._several, count)
        positives = [rng.choice(self._others(anchor, same=True)) for anchor in anchors]
        negatives = [rng.choice(self._others(anchor, same=False)) for anchor in anchors]
        return np.concatenate([anchors, np.array(positives), np.array(negatives)])

    def _others(self, anchor: int, same: bool) -> Int64Array:
        others = (self._labels == self._labels[anchor]) == same
        others[anchor] = False
        return np.flatnonzero(others)

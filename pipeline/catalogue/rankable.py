"""What a ranking asks of a gallery: individuals by column, their means, and the embeddings that these are of."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.catalogue.embeddings import Embeddings
from pipeline.catalogue.nearest import VectorIndex, euclidean_distances
from pipeline.catalogue.vectors import Numbers, Vector
from pipeline.records import PhotoKey, Query

_BESIDE_MEANS_BYTES = 400  # of an individual: its name, and where its rows are

NOWHERE = -1
"""The column of a place that counts for nobody."""


class RankableGallery(ABC):
    """Individuals of one body part, each with its embeddings and their mean.

    Args:
        embeddings: of all individuals, and perhaps of others.
        device: where the means are held.
    """

    def __init__(self, embeddings: Embeddings, device: torch.device | str) -> None:
        self._embeddings = embeddings
        self._device = torch.device(device)
        self._means = VectorIndex(embeddings.dimension, self._device)

    @property
    @abstractmethod
    def individuals(self) -> int:
        """How many individuals there are."""

    @property
    @abstractmethod
    def photos(self) -> tuple[int, int]:
        """How many photos of the body part are ranked, and how many with those that only other models embedded.

        Filters do not count.
        """

    @property
    def own_bytes(self) -> int:
        """About how much memory it takes without its embeddings, which filtered galleries share."""
        return self.individuals * (12 * self._embeddings.dimension + _BESIDE_MEANS_BYTES) + 8 * self._embeddings.places

    @property
    def means(self) -> VectorIndex:
        """The mean of each individual's rows, not normalised again, by the individual's column."""
        return self._means

    @property
    @abstractmethod
    def order(self) -> Numbers:
        """The columns of all individuals by their first current rows: the order of ties in a ranking."""

    @abstractmethod
    def sorted(self, columns: Numbers) -> Numbers:
        """Return some columns in the order of ties."""

    @abstractmethod
    def name(self, column: int) -> str:
        """Return how an individual is called."""

    @abstractmethod
    def number(self, column: int) -> int:
        """Return the number that the catalogue gave an individual."""

    @abstractmethod
    def column(self, number: int) -> int:
        """Return the column of an individual that is there."""

    @abstractmethod
    def _all_numbers(self) -> Numbers:
        """Return the numbers of individuals, by column; 0 where there is none."""

    @abstractmethod
    def _places(self, column: int) -> Sequence[int]:
        """Return the places of an individual's embeddings, by their rows."""

    @abstractmethod
    def _column_at(self, place: int) -> int:
        """Return whose embedding is at a place; `NOWHERE` where that counts for nobody."""

    def annotations(self, column: int) -> int:
        """Return how many annotations show an individual."""
        return len(self._places(column))

    def spread(self, column: int) -> float | None:
        """Return the root of an individual's mean squared distance from its mean (n - 1 in place of n); None of one."""
        places = self._places(column)
        if len(places) == 1:
            return None
        rows = self._embeddings.at(places)
        return math.sqrt(float(((rows - rows.mean(axis=0)) ** 2).sum()) / (len(rows) - 1))

    def columns_from(self, number: int, count: int) -> Numbers:
        """Return the columns of the first individuals whose numbers are at least this one, by their numbers."""
        all_numbers = self._all_numbers()
        columns = np.flatnonzero(all_numbers >= max(number, 1))
        numbers = all_numbers[columns]
        if len(columns) > count:
            first = np.argpartition(numbers, count - 1)[:count]
            columns, numbers = columns[first], numbers[first]
        return columns[np.argsort(numbers)]

    def without_photo(self, photo: PhotoKey) -> tuple[int, torch.Tensor | None] | None:
        """Tell what leaving out one photo's own row would change.

        Returns:
            The individual's column, and the (d,) float64 mean of its other rows, None where it has no other; None where
            the photo is not in the gallery.
        """
        own = self._place_of(photo)
        if own is None:
            return None
        column = self._column_at(own)
        others = [place for place in self._places(column) if place != own]
        return column, torch.from_numpy(self._mean(others)).to(self._device) if others else None

    def annotations_near(self, number: int, query: Query) -> list[tuple[float, int]]:
        """Return distance and number of all annotations of an individual, the nearest to a query first.

        Where the query carries an identity, its own photo is not among them.
        """
        own = self._place_of(query.key) if query.identity is not None else None
        places = [place for place in self._places(self.column(number)) if place != own]
        value = torch.from_numpy(query.values.astype(np.float64)).unsqueeze(0)
        distances = euclidean_distances(value, torch.from_numpy(self._embeddings.at(places)))[0]
        ascending, order = torch.sort(distances, stable=True)
        numbers = (self._embeddings.annotation_of(places[place]) for place in order.tolist())
        return list(zip(ascending.tolist(), numbers, strict=True))

    def _place_of(self, photo: PhotoKey) -> int | None:
        places = self._embeddings.places_of(photo)
        return next((place for place in places if self._column_at(place) != NOWHERE), None)

    def _mean(self, places: Sequence[int]) -> Vector:
        mean: Vector = self._embeddings.at(places).mean(axis=0)
        return mean

"""The individuals of one body part of one catalogue in memory, each with its embeddings and their mean."""

from array import array
from bisect import insort
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from pipeline.catalogue.embeddings import Embeddings
from pipeline.catalogue.nearest import VectorIndex, euclidean_distances
from pipeline.catalogue.rows import CatalogueRow
from pipeline.catalogue.vectors import Numbers, Vector
from pipeline.records import PhotoKey, Query

_NOBODY = 0  # individuals are numbered from 1
_NOWHERE = -1
_AT_ONCE = 10_000  # means that are put into the index together
_BESIDE_MEANS_BYTES = 400  # of an individual: its name, and where its rows are


class Gallery:
    """Current rows of one body part made by one model, kept up to date in place from a catalogue's changes.

    What a change costs does not depend on how much there is. The same rows give the same means to the last bit, in
    whatever order they came in.

    Args:
        body_part: whose rows to take in.
        model: short hash of the loaded weights; rows of other weights are left out.
        dimension: d, length of an embedding.
        device: where the means are held.
    """

    def __init__(self, body_part: str, model: str, dimension: int, device: torch.device | str = "cpu") -> None:
        self._made_by = (body_part, model)
        self._device = torch.device(device)
        self._embeddings = Embeddings(dimension)
        self._column_of_individual: dict[int, int] = {}
        self._numbers = array("q")
        self._names: list[str] = []
        self._places: list[array[int]] = []
        self._column_of_place = array("i")
        self._free: list[int] = []
        self._changed: set[int] = set()
        self._unranked: set[int] = set()
        self._means = VectorIndex(dimension, self._device)
        self._order: Numbers | None = None

    @property
    def individuals(self) -> int:
        """How many individuals there are."""
        return len(self._column_of_individual)

    @property
    def own_bytes(self) -> int:
        """About how much memory it takes without its embeddings, which those of `only` share."""
        of_individuals = self.individuals * (12 * self._embeddings.dimension + _BESIDE_MEANS_BYTES)
        return of_individuals + 8 * len(self._column_of_place)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes with its embeddings."""
        return self.own_bytes + self._embeddings.size_bytes

    @property
    def photos(self) -> tuple[int, int]:
        """How many photos of the body part are ranked, and how many with those that only other models embedded."""
        return len(self._embeddings), len(self._embeddings) + len(self._unranked)

    @property
    def means(self) -> VectorIndex:
        """The mean of each individual's rows, not normalised again, by the individual's column."""
        self._average()
        return self._means

    @property
    def order(self) -> Numbers:
        """The columns of all individuals by their first current rows: the order of ties in a ranking."""
        if self._order is None:
            self._order = self.sorted(self._column_of_individual.values())
        return self._order

    def sorted(self, columns: Iterable[int]) -> Numbers:
        """Return some columns in the order of ties."""
        return np.array(sorted(columns, key=self._first_row), dtype=np.int64)

    def name(self, column: int) -> str:
        """Return how an individual is called."""
        return self._names[column]

    def number(self, column: int) -> int:
        """Return the number that the catalogue gave an individual."""
        return self._numbers[column]

    def update(self, gone: Sequence[int], come: Sequence[CatalogueRow]) -> None:
        """Take in what happened: ids of rows that stand no longer, and rows that came, in any order.

        Rows of other body parts or models are passed over, and so is what is taken in already.
        """
        self._unranked.difference_update(gone)
        for row_id in gone:
            place = self._embeddings.drop(row_id)
            if place is not None:
                self._leave(place)
        for row in come:
            place = self._embeddings.put(row) if (row.body_part, row.model) == self._made_by else None
            if place is not None:
                self._join(place, row.number, row.individual)
            if row.row_id in self._embeddings:
                self._unranked.discard(row.row_id)
            elif row.body_part == self._made_by[0]:
                self._unranked.add(row.row_id)

    def without_photo(self, photo: PhotoKey) -> tuple[int, torch.Tensor | None] | None:
        """Tell what leaving out one photo's own row would change.

        Returns:
            The individual's column, and the (d,) float64 mean of its other rows, None where it has no other; None where
            the photo is not in the gallery.
        """
        own = self._embeddings.place_of(photo)
        column = _NOWHERE if own is None else self._column_of(own)
        if column == _NOWHERE:
            return None
        others = [place for place in self._places[column] if place != own]
        return column, torch.from_numpy(self._mean(others)).to(self._device) if others else None

    def annotations_near(self, number: int, query: Query) -> list[tuple[float, int]]:
        """Return distance and number of all annotations of an individual, the nearest to a query first.

        Where the query carries an identity, its own photo is not among them.
        """
        own = self._embeddings.place_of(query.key) if query.identity is not None else None
        places = [place for place in self._places[self._column_of_individual[number]] if place != own]
        value = torch.from_numpy(query.values.astype(np.float64)).unsqueeze(0)
        distances = euclidean_distances(value, torch.from_numpy(self._embeddings.at(places)))[0]
        ascending, order = torch.sort(distances, stable=True)
        numbers = (self._embeddings.annotation_of(places[place]) for place in order.tolist())
        return list(zip(ascending.tolist(), numbers, strict=True))

    def only(self, annotations: Numbers) -> "Gallery":
        """Return a gallery of some annotations alone, by their numbers; it holds until this one is updated."""
        chosen = Gallery(*self._made_by, self._embeddings.dimension, self._device)
        chosen._embeddings = self._embeddings
        for place in self._embeddings.places_of(annotations):
            column = self._column_of(place)
            chosen._join(place, self._numbers[column], self._names[column])
        return chosen

    def _column_of(self, place: int) -> int:
        return self._column_of_place[place] if place < len(self._column_of_place) else _NOWHERE

    def _first_row(self, column: int) -> int:
        return self._embeddings.row_of(self._places[column][0])

    def _join(self, place: int, number: int, name: str) -> None:
        column = self._column_of_individual.get(number)
        if column is None:
            column = self._new_column(number, name)
        self._column_of_place.extend([_NOWHERE] * (place + 1 - len(self._column_of_place)))
        self._column_of_place[place] = column
        insort(self._places[column], place, key=self._embeddings.row_of)
        self._touch(column)

    def _leave(self, place: int) -> None:
        column, self._column_of_place[place] = self._column_of_place[place], _NOWHERE
        self._places[column].remove(place)
        self._touch(column)
        if not self._places[column]:
            del self._column_of_individual[self._numbers[column]]
            self._numbers[column], self._names[column] = _NOBODY, ""
            self._free.append(column)

    def _touch(self, column: int) -> None:
        self._changed.add(column)
        self._order = None

    def _new_column(self, number: int, name: str) -> int:
        if not self._free:
            self._free.append(len(self._names))
            self._numbers.append(_NOBODY)
            self._names.append("")
            self._places.append(array("i"))
        column = self._free.pop()
        self._numbers[column], self._names[column] = number, name
        self._column_of_individual[number] = column
        return column

    def _average(self) -> None:
        """Bring the means of all that changed up to date, at once, since rows of one individual come in portions."""
        if not self._changed:
            return
        changed = np.array(sorted(self._changed), dtype=np.int64)
        there = np.array([bool(self._places[column]) for column in changed.tolist()])
        if not there.all():
            self._means.drop(changed[~there])
        for some in np.array_split(changed[there], 1 + there.sum() // _AT_ONCE):
            if len(some):
                self._means.put(some, np.stack([self._mean(self._places[column]) for column in some.tolist()]))
        self._changed.clear()

    def _mean(self, places: Sequence[int]) -> Vector:
        mean: Vector = self._embeddings.at(places).mean(axis=0)
        return mean

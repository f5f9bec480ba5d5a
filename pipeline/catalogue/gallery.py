"""The individuals of one body part of one catalogue in memory, each with its embeddings and their mean."""

from array import array
from bisect import insort
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.catalogue.chosen import Moment
from pipeline.catalogue.embeddings import Embeddings
from pipeline.catalogue.nearest import VectorIndex
from pipeline.catalogue.rankable import NOWHERE, RankableGallery
from pipeline.catalogue.rows import CatalogueRow
from pipeline.catalogue.vectors import Numbers

_NOBODY = 0  # individuals are numbered from 1
_AT_ONCE = 10_000  # means that are put into the index together


class Gallery(RankableGallery):
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
        super().__init__(Embeddings(dimension), device)
        self._made_by = (body_part, model)
        self._column_of_individual: dict[int, int] = {}
        self._numbers = array("q")
        self._first_rows = array("q")
        self._names: list[str] = []
        self._places_by_column: list[array[int]] = []
        self._column_of_place = array("i")
        self._free: list[int] = []
        self._changed: set[int] = set()
        self._unranked: set[int] = set()
        self._order: Numbers | None = None

    @property
    def individuals(self) -> int:
        """How many individuals there are."""
        return len(self._column_of_individual)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes with its embeddings."""
        return self.own_bytes + self._embeddings.size_bytes

    @property
    def photos(self) -> tuple[int, int]:
        """See `RankableGallery`."""
        return len(self._embeddings), len(self._embeddings) + len(self._unranked)

    @property
    def means(self) -> VectorIndex:
        """See `RankableGallery`."""
        self._average()
        return self._means

    @property
    def order(self) -> Numbers:
        """See `RankableGallery`."""
        if self._order is None:
            self._order = self.sorted(np.flatnonzero(self._all_numbers() != _NOBODY))
        return self._order

    def sorted(self, columns: Numbers) -> Numbers:
        """See `RankableGallery`."""
        return columns[np.argsort(np.asarray(self._first_rows)[columns])]

    def name(self, column: int) -> str:
        """See `RankableGallery`."""
        return self._names[column]

    def number(self, column: int) -> int:
        """See `RankableGallery`."""
        return self._numbers[column]

    def column(self, number: int) -> int:
        """See `RankableGallery`."""
        return self._column_of_individual[number]

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

    def moment(self) -> Moment:
        """Return what there is now, for a gallery of some annotations alone."""
        columns = np.array(self._column_of_place, dtype=np.int32)
        numbers = np.array(self._numbers, dtype=np.int64)
        rows = self._embeddings.numbered()
        moment = Moment(self._embeddings, *rows, columns, tuple(self._names), numbers, self.photos, self._device)
        self._embeddings.keep_for(moment)
        return moment

    def _all_numbers(self) -> Numbers:
        return np.asarray(self._numbers)

    def _places(self, column: int) -> Sequence[int]:
        return self._places_by_column[column]

    def _column_at(self, place: int) -> int:
        return self._column_of_place[place]

    def _join(self, place: int, number: int, name: str) -> None:
        column = self._column_of_individual.get(number)
        if column is None:
            column = self._new_column(number, name)
        if place == len(self._column_of_place):
            self._column_of_place.append(NOWHERE)
        self._column_of_place[place] = column
        insort(self._places_by_column[column], place, key=self._embeddings.row_of)
        self._touch(column)

    def _leave(self, place: int) -> None:
        column, self._column_of_place[place] = self._column_of_place[place], NOWHERE
        self._places_by_column[column].remove(place)
        self._touch(column)
        if not self._places_by_column[column]:
            del self._column_of_individual[self._numbers[column]]
            self._numbers[column], self._names[column] = _NOBODY, ""
            self._free.append(column)

    def _touch(self, column: int) -> None:
        places = self._places_by_column[column]
        if places:
            self._first_rows[column] = self._embeddings.row_of(places[0])
        self._changed.add(column)
        self._order = None

    def _new_column(self, number: int, name: str) -> int:
        if not self._free:
            self._free.append(len(self._names))
            self._numbers.append(_NOBODY)
            self._first_rows.append(0)
            self._names.append("")
            self._places_by_column.append(array("i"))
        column = self._free.pop()
        self._numbers[column], self._names[column] = number, name
        self._column_of_individual[number] = column
        return column

    def _average(self) -> None:
        """Bring the means of all that changed up to date, at once, since rows of one individual come in portions."""
        if not self._changed:
            return
        changed = np.array(sorted(self._changed), dtype=np.int64)
        there = np.array([bool(self._places_by_column[column]) for column in changed.tolist()])
        if not there.all():
            self._means.drop(changed[~there])
        for some in np.array_split(changed[there], 1 + there.sum() // _AT_ONCE):
            if len(some):
                groups = [self._places_by_column[column] for column in some.tolist()]
                ends = np.cumsum([len(group) for group in groups])
                self._means.put(some, self._embeddings.means(np.concatenate(groups), ends))
        self._changed.clear()

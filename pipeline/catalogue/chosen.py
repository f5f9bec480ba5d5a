"""A gallery of some annotations alone, as a catalogue was at one moment, whatever is said meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.catalogue.embeddings import Embeddings
from pipeline.catalogue.rankable import NOWHERE, RankableGallery
from pipeline.catalogue.vectors import Numbers

_AT_ONCE = 1_000  # individuals whose means are computed together, so that other threads run in between


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Moment:
    """What a gallery was at one moment; quick to make, and it holds while the gallery goes on changing.

    Attributes:
        embeddings: of the gallery; what is in them now stays there.
        rows: ids of rows, by place.
        annotations: numbers of annotations, by place.
        columns: of the individuals, by place; `NOWHERE` where nobody is.
        names: of individuals, by column.
        numbers: of individuals, by column.
        photos: see `RankableGallery`.
        device: where means are held.
    """

    embeddings: Embeddings
    rows: Numbers
    annotations: Numbers
    columns: npt.NDArray[np.int32]
    names: Sequence[str]
    numbers: Numbers
    photos: tuple[int, int]
    device: torch.device


class ChosenGallery(RankableGallery):
    """The annotations of a moment that were chosen; safe to use from several threads, and beside changes.

    Args:
        moment: of a gallery.
        annotations: numbers of those that count; those that the gallery does not have are passed over.
    """

    def __init__(self, moment: Moment, annotations: Numbers) -> None:
        super().__init__(moment.embeddings, moment.device)
        moment.embeddings.keep_for(self)
        self._names, self._photos = moment.names, moment.photos
        places = np.flatnonzero(np.isin(moment.annotations, annotations) & (moment.columns != NOWHERE))
        by_individual = np.lexsort((moment.rows[places], moment.columns[places]))
        places = places[by_individual]
        whose = moment.columns[places]
        starts = np.flatnonzero(np.diff(whose, prepend=NOWHERE))
        ends = np.append(starts, len(places))[1:]
        # Individuals have columns anew, in the order of ties: a gallery of few is searched as fast as a small one.
        order = np.argsort(moment.rows[places[starts]])
        self._starts, self._ends, self._of_places = starts[order], ends[order], places
        self._parents = whose[self._starts]
        self._numbers = moment.numbers[self._parents]
        self._by_number = np.argsort(self._numbers)
        self._columns = np.full(len(moment.columns), NOWHERE, dtype=np.int32)
        self._columns[places] = np.repeat(np.argsort(order), ends - starts)
        self._average()

    @property
    def individuals(self) -> int:
        """How many individuals there are."""
        return len(self._numbers)

    @property
    def photos(self) -> tuple[int, int]:
        """See `RankableGallery`."""
        return self._photos

    @property
    def order(self) -> Numbers:
        """See `RankableGallery`."""
        return np.arange(len(self._numbers))

    def sorted(self, columns: Numbers) -> Numbers:
        """See `RankableGallery`."""
        return np.sort(columns)

    def name(self, column: int) -> str:
        """See `RankableGallery`."""
        return self._names[int(self._parents[column])]

    def number(self, column: int) -> int:
        """See `RankableGallery`."""
        return int(self._numbers[column])

    def column(self, number: int) -> int:
        """See `RankableGallery`."""
        return int(self._by_number[np.searchsorted(self._numbers, number, sorter=self._by_number)])

    def _all_numbers(self) -> Numbers:
        return self._numbers

    def _places(self, column: int) -> Sequence[int]:
        places: list[int] = self._of_places[self._starts[column] : self._ends[column]].tolist()
        return places

    def _column_at(self, place: int) -> int:
        return int(self._columns[place]) if place < len(self._columns) else NOWHERE

    def _average(self) -> None:
        for begin in range(0, len(self._numbers), _AT_ONCE):
            some = np.arange(begin, min(begin + _AT_ONCE, len(self._numbers)))
            counts = self._ends[some] - self._starts[some]
            ends = np.cumsum(counts)
            # Of each group's members, where they begin in `_of_places` and where in what is handed over.
            members = np.repeat(self._starts[some] - (ends - counts), counts) + np.arange(ends[-1])
            self._means.put(some, self._embeddings.means(self._of_places[members], ends))

"""A body part's embeddings in memory, in place: some 220 bytes more an embedding than its numbers take."""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from weakref import WeakSet

import numpy as np

from pipeline.catalogue.rows import CatalogueRow
from pipeline.catalogue.vectors import Numbers, Vector
from pipeline.records import PhotoKey

_BLOCK = 16_384  # embeddings that lie together: none is ever moved
_ROWS_AT_ONCE = 4_096  # averaged together: 4 MB of 128 numbers each
_BESIDE_BYTES = 220


class Embeddings:
    """The embeddings of rows, each at a place of its own until its row is gone.

    A place serves again only when nobody is left who began to read (`keep_for`) while its row was there.

    Args:
        dimension: d, numbers an embedding.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: list[Vector] = []
        self._free: list[int] = []
        self._given_up: list[int] = []
        self._readers: WeakSet[object] = WeakSet()
        self._place_of_row: dict[int, int] = {}
        self._place_of_photo: dict[int, int] = {}
        self._photos: list[int] = []
        self._rows = array("q")
        self._annotations = array("q")

    @property
    def places(self) -> int:
        """How many places there are."""
        return len(self._rows)

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return len(self._place_of_row) * (8 * self.dimension + _BESIDE_BYTES)

    def put(self, row: CatalogueRow) -> int | None:
        """Take a row in and return its place; None where it is in already."""
        if row.row_id in self._place_of_row:
            return None
        place = self._free_place()
        photo = _digest(row.key)
        self._blocks[place // _BLOCK][place % _BLOCK] = row.values
        self._rows[place], self._annotations[place], self._photos[place] = row.row_id, row.annotation, photo
        self._place_of_row[row.row_id] = self._place_of_photo[photo] = place
        return place

    def drop(self, row_id: int) -> int | None:
        """Give a row's place up and return it; None where the row is not in."""
        place = self._place_of_row.pop(row_id, None)
        if place is not None:
            self._given_up.append(place)  # before its photo is forgotten: a reader looks for it there, too
            del self._place_of_photo[self._photos[place]]
        return place

    def __len__(self) -> int:
        """How many rows are in."""
        return len(self._place_of_row)

    def __contains__(self, row_id: object) -> bool:
        """Whether the row of this id is in."""
        return row_id in self._place_of_row

    def keep_for(self, reader: object) -> None:
        """Leave everything that is at a place now there while somebody is about who reads it."""
        self._readers.add(reader)

    def row_of(self, place: int) -> int:
        """Return the id of the row at a place."""
        return self._rows[place]

    def annotation_of(self, place: int) -> int:
        """Return the number of the annotation at a place."""
        return self._annotations[place]

    def places_of(self, photo: PhotoKey) -> Iterable[int]:
        """Yield the place of a photo's animal, and those that it had and that are kept for readers."""
        digest = _digest(photo)
        place = self._place_of_photo.get(digest)
        if place is not None:
            yield place
        yield from [place for place in self._given_up if self._photos[place] == digest]

    def numbered(self) -> tuple[Numbers, Numbers]:
        """Return copies of the rows' ids and of their annotations' numbers, by place; of places without a row, any."""
        return np.array(self._rows, dtype=np.int64), np.array(self._annotations, dtype=np.int64)

    def at(self, places: Sequence[int] | Numbers) -> Vector:
        """Return the embeddings of some places, (n, d) float64."""
        found = np.empty((len(places), self.dimension))
        numbers, within = np.divmod(np.asarray(places, dtype=np.int64), _BLOCK)
        for number in np.unique(numbers).tolist():
            here = numbers == number
            found[here] = self._blocks[number][within[here]]
        return found

    def means(self, places: Numbers, ends: Numbers) -> Vector:
        """Return the mean of each of g groups, (g, d) float64, to the last bit as `at(group).mean(axis=0)`.

        Args:
            places: (n,), one group after the other.
            ends: (g,), where in `places` each group ends; none is empty.
        """
        counts = np.diff(ends, prepend=0)
        found = np.empty((len(ends), self.dimension))
        for count in np.unique(counts).tolist():
            groups = np.flatnonzero(counts == count)
            for some in np.array_split(groups, 1 + len(groups) * count // _ROWS_AT_ONCE):
                members = places[ends[some][:, None] - np.arange(count, 0, -1)]
                found[some] = self.at(members.ravel()).reshape(*members.shape, self.dimension).mean(axis=1)
        return found

    def _free_place(self) -> int:
        if self._given_up and not self._readers:
            self._free += self._given_up
            self._given_up.clear()
        return self._free.pop() if self._free else self._new_place()

    def _new_place(self) -> int:
        place = len(self._rows)
        if place == len(self._blocks) * _BLOCK:
            self._blocks.append(np.empty((_BLOCK, self.dimension)))
        self._rows.append(0)
        self._annotations.append(0)
        self._photos.append(0)
        return place


def _digest(photo: PhotoKey) -> int:
    """Stand for a photo's animal in a third of its memory; no two share one (128 bits)."""
    text = f"{photo.animal} {photo.photo}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())

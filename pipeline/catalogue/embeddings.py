"""A body part's embeddings in memory, in place: some 220 bytes more an embedding than its numbers take."""

import hashlib
from array import array
from collections.abc import Sequence

import numpy as np

from pipeline.catalogue.rows import CatalogueRow
from pipeline.catalogue.vectors import Numbers, Vector
from pipeline.records import PhotoKey

_BLOCK = 16_384  # embeddings that lie together: none is ever moved
_NO_ANNOTATION = 0  # they are numbered from 1
_BESIDE_BYTES = 220


class Embeddings:
    """The embeddings of rows, each at a place of its own until its row is gone.

    Args:
        dimension: d, numbers an embedding.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: list[Vector] = []
        self._free: list[int] = []
        self._place_of_row: dict[int, int] = {}
        self._place_of_photo: dict[int, int] = {}
        self._photos: list[int] = []
        self._rows = array("q")
        self._annotations = array("q")

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return len(self._place_of_row) * (8 * self.dimension + _BESIDE_BYTES)

    def put(self, row: CatalogueRow) -> int | None:
        """Take a row in and return its place; None where it is in already."""
        if row.row_id in self._place_of_row:
            return None
        place = self._free.pop() if self._free else self._new_place()
        photo = _digest(row.key)
        self._blocks[place // _BLOCK][place % _BLOCK] = row.values
        self._rows[place], self._annotations[place], self._photos[place] = row.row_id, row.annotation, photo
        self._place_of_row[row.row_id] = self._place_of_photo[photo] = place
        return place

    def drop(self, row_id: int) -> int | None:
        """Give a row's place up and return it; None where the row is not in."""
        place = self._place_of_row.pop(row_id, None)
        if place is not None:
            del self._place_of_photo[self._photos[place]]
            self._annotations[place] = _NO_ANNOTATION
            self._free.append(place)
        return place

    def __len__(self) -> int:
        """How many rows are in."""
        return len(self._place_of_row)

    def __contains__(self, row_id: object) -> bool:
        """Whether the row of this id is in."""
        return row_id in self._place_of_row

    def row_of(self, place: int) -> int:
        """Return the id of the row at a place."""
        return self._rows[place]

    def annotation_of(self, place: int) -> int:
        """Return the number of the annotation at a place."""
        return self._annotations[place]

    def place_of(self, photo: PhotoKey) -> int | None:
        """Return the place of a photo's animal; None where there is none."""
        return self._place_of_photo.get(_digest(photo))

    def places_of(self, annotations: Numbers) -> list[int]:
        """Return the places of annotations, by their numbers, ascending; those that are not in have none."""
        return np.flatnonzero(np.isin(np.array(self._annotations), annotations)).tolist()

    def at(self, places: Sequence[int]) -> Vector:
        """Return the embeddings of some places, (n, d) float64."""
        found = np.empty((len(places), self.dimension))
        for number, place in enumerate(places):
            found[number] = self._blocks[place // _BLOCK][place % _BLOCK]
        return found

    def _new_place(self) -> int:
        place = len(self._rows)
        if place == len(self._blocks) * _BLOCK:
            self._blocks.append(np.empty((_BLOCK, self.dimension)))
        self._rows.append(0)
        self._annotations.append(_NO_ANNOTATION)
        self._photos.append(0)
        return place


def _digest(photo: PhotoKey) -> int:
    """Stand for a photo's animal in a third of its memory; no two share one (128 bits)."""
    text = f"{photo.animal} {photo.photo}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())

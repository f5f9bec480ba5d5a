"""The embeddings of one body part of one catalogue in memory, and the mean of each individual."""

from collections.abc import Collection

import numpy as np
import torch

from pipeline.catalogue.rows import CatalogueRow, Changes
from pipeline.catalogue.vectors import Vector
from pipeline.records import PhotoKey


class Gallery:
    """Current rows of one body part made by one model, kept up to date from a catalogue's changes.

    The same rows give the same means to the last bit, whether they came in at once or one by one.

    Args:
        body_part: whose rows to take in.
        model: short hash of the loaded weights; rows of other weights are left out.
        dimension: d, length of an embedding.
        device: where the means are held.
    """

    def __init__(self, body_part: str, model: str, dimension: int, device: torch.device | str = "cpu") -> None:
        self._body_part = body_part
        self._model = model
        self._device = torch.device(device)
        self._rows: dict[int, CatalogueRow] = {}
        self._row_of_photo: dict[PhotoKey, int] = {}
        self._rows_of_individual: dict[str, dict[int, Vector]] = {}
        self._mean_of_individual: dict[str, Vector] = {}
        self._columns: dict[str, int] = {}
        self._names: tuple[str, ...] = ()
        self._means = torch.empty((0, dimension), dtype=torch.float64, device=self._device)

    @property
    def names(self) -> tuple[str, ...]:
        """Individuals in the order of their first current row, which is the order of ties in a ranking."""
        return self._names

    @property
    def means(self) -> torch.Tensor:
        """(m, d) float64: the mean of each individual's rows, not normalised again; in the order of `names`."""
        return self._means

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def update(self, changes: Changes) -> None:
        """Take in what happened since the last update; rows of other body parts or models are passed over."""
        gone = [row_id for row_id in changes.superseded if row_id in self._rows]
        come = [row for row in changes.added if row.body_part == self._body_part and row.model == self._model]
        touched = {self._rows[row_id].individual for row_id in gone} | {row.individual for row in come}
        for row_id in gone:
            self._remove(self._rows.pop(row_id))
        for row in come:
            self._add(row)
        if touched:
            self._average(touched)

    def without_photo(self, key: PhotoKey) -> tuple[int, torch.Tensor | None] | None:
        """Tell what leaving out one photo's own row would change.

        Returns:
            The individual's place in `names`, and the (d,) float64 mean of its other rows, None where it has no other;
            None where the photo is not in the gallery.
        """
        row_id = self._row_of_photo.get(key)
        if row_id is None:
            return None
        individual = self._rows[row_id].individual
        others = [values for other, values in self._rows_of_individual[individual].items() if other != row_id]
        return self._columns[individual], torch.from_numpy(_mean(others)).to(self._device) if others else None

    def _add(self, row: CatalogueRow) -> None:
        self._rows[row.row_id] = row
        self._row_of_photo[row.key] = row.row_id
        self._rows_of_individual.setdefault(row.individual, {})[row.row_id] = row.values

    def _remove(self, row: CatalogueRow) -> None:
        del self._row_of_photo[row.key]
        of_individual = self._rows_of_individual[row.individual]
        del of_individual[row.row_id]
        if not of_individual:
            del self._rows_of_individual[row.individual]

    def _average(self, individuals: Collection[str]) -> None:
        for individual in individuals:
            rows = self._rows_of_individual.get(individual)
            if rows is None:
                self._mean_of_individual.pop(individual, None)
            else:
                self._mean_of_individual[individual] = _mean(list(rows.values()))
        # Rows come in by rising id, so the first key of each individual's rows is its oldest.
        names = sorted(self._rows_of_individual, key=lambda name: next(iter(self._rows_of_individual[name])))
        self._names = tuple(names)
        self._columns = {name: column for column, name in enumerate(names)}
        means = np.array([self._mean_of_individual[name] for name in names]).reshape(len(names), self._means.shape[1])
        self._means = torch.from_numpy(means).to(self._device)


def _mean(vectors: list[Vector]) -> Vector:
    mean: Vector = np.stack(vectors).mean(axis=0)
    return mean

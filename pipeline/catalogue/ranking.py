"""The ranking of a gallery by exact float64 distances: of all individuals, or of those that can be among the first."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.catalogue.nearest import euclidean_distances
from pipeline.catalogue.rankable import RankableGallery
from pipeline.catalogue.vectors import Numbers, Vector
from pipeline.records import UNKNOWN, UNKNOWN_DISTANCE, Candidate, Query, Ranking

_MAX_DISTANCES = 4_000_000  # computed at once: 32 MB, and as much again for their order
_NOBODY = -1  # a column that only fills its row

_Own = tuple[int, torch.Tensor | None]
"""The column of a query's own photo, and the mean without it; see `RankableGallery.without_photo`."""


def rank_queries(gallery: RankableGallery, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
    """Rank one gallery's individuals; see `CatalogueMatcher.rank`. The queries have been checked."""
    at_once = max(1, _MAX_DISTANCES // (gallery.individuals + 1))
    some = (queries[start : start + at_once] for start in range(0, len(queries), at_once))
    return [ranking for part in some for ranking in _rank_some(gallery, part, top_k)]


def _rank_some(gallery: RankableGallery, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
    rough = torch.from_numpy(np.stack([query.values for query in queries])).to(gallery.means.device)  # (q, d) float32
    values = rough.double()
    own = [gallery.without_photo(query.key) if query.identity is not None else None for query in queries]
    # One more than wanted, since a query's own individual may be among them and turn out to be farther.
    near = None if top_k is None else gallery.means.near(rough, top_k + 1)
    if near is None:
        columns = np.tile(gallery.order, (len(queries), 1))
        distances = gallery.means.distances(values, gallery.order).cpu().numpy()
    else:
        columns = _in_rows([_with_own(gallery, *one) for one in zip(near, own, strict=True)])
        distances = _distances(gallery, values, columns)
    for row, left_out in enumerate(own):
        if left_out is not None:
            _leave_out(*left_out, columns[row], values[row], distances[row])
    return _as_rankings(gallery, columns, distances, top_k)


def _with_own(gallery: RankableGallery, columns: Numbers, own: _Own | None) -> Numbers:
    return gallery.sorted(columns if own is None else np.union1d(columns, [own[0]]))


def _in_rows(columns: Sequence[Numbers]) -> Numbers:
    """Return (q, n): each query's columns, and `_NOBODY` behind them where others have more."""
    rows = np.full((len(columns), max(map(len, columns))), _NOBODY, dtype=np.int64)
    for row, some in zip(rows, columns, strict=True):
        row[: len(some)] = some
    return rows


def _distances(gallery: RankableGallery, values: torch.Tensor, columns: Numbers) -> Vector:
    """Return each query's distances to its own columns' means, (q, n) float64; infinite where there is nobody."""
    nobody = columns == _NOBODY
    means = gallery.means.at(np.where(nobody, columns[:, :1], columns).ravel())
    found = euclidean_distances(values.unsqueeze(1), means.view(*columns.shape, values.shape[1])).squeeze(1)
    return np.where(nobody, math.inf, found.cpu().numpy())


def _leave_out(
    column: int, mean: torch.Tensor | None, columns: Numbers, value: torch.Tensor, distances: Vector
) -> None:
    """Measure a confirmed query against its individual's other photos; where there is none, that is infinitely far."""
    distances[columns == column] = (
        math.inf if mean is None else euclidean_distances(value.unsqueeze(0), mean.unsqueeze(0)).item()
    )


def _as_rankings(gallery: RankableGallery, columns: Numbers, distances: Vector, top_k: int | None) -> list[Ranking]:
    # "Unknown" stands first, then the catalogue's order: a stable sort keeps that order among equals.
    every = np.insert(distances, 0, UNKNOWN_DISTANCE, axis=1)
    order = np.argsort(every, axis=1, kind="stable")[:, :top_k]
    ascending = np.take_along_axis(every, order, axis=1)
    chosen = np.take_along_axis(np.insert(columns, 0, _NOBODY, axis=1), order, axis=1)
    return [
        Ranking(
            tuple(
                Candidate(UNKNOWN, distance) if column == _NOBODY else _candidate(gallery, column, distance)
                for column, distance in zip(*pairs, strict=True)
                if distance != math.inf
            )
        )
        for pairs in zip(chosen.tolist(), ascending.tolist(), strict=True)
    ]


def _candidate(gallery: RankableGallery, column: int, distance: float) -> Candidate:
    return Candidate(gallery.name(column), distance, gallery.number(column))

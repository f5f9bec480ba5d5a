"""The ranking of a gallery by exact float64 distances: of all individuals, or of those that can be among the first."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.catalogue.gallery import Gallery
from pipeline.catalogue.nearest import euclidean_distances
from pipeline.catalogue.vectors import Numbers
from pipeline.records import UNKNOWN, UNKNOWN_DISTANCE, Candidate, Query, Ranking

_MAX_DISTANCES = 4_000_000  # computed at once: 32 MB, and as much again for their order

_Own = tuple[int, torch.Tensor | None]
"""The column of a query's own photo, and the mean without it; see `Gallery.without_photo`."""


def rank_queries(gallery: Gallery, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
    """Rank one gallery's individuals; see `CatalogueMatcher.rank`. The queries have been checked."""
    at_once = max(1, _MAX_DISTANCES // (gallery.individuals + 1))
    some = (queries[start : start + at_once] for start in range(0, len(queries), at_once))
    return [ranking for part in some for ranking in _rank_some(gallery, part, top_k)]


def _rank_some(gallery: Gallery, queries: Sequence[Query], top_k: int | None) -> list[Ranking]:
    device = gallery.means.device
    rough = torch.from_numpy(np.stack([query.values for query in queries])).to(device)  # (q, d) float32
    values = rough.double()
    own = [gallery.without_photo(query.key) if query.identity is not None else None for query in queries]
    # One more than wanted, since a query's own individual may be among them and turn out to be farther.
    near = None if top_k is None else gallery.means.near(rough, top_k + 1)
    if near is None:
        columns = [gallery.order] * len(queries)
        distances: Sequence[torch.Tensor] = list(gallery.means.distances(values, gallery.order))
    else:
        columns = [_with_own(gallery, *one) for one in zip(near, own, strict=True)]
        distances = _distances(gallery, values, columns)
    return [
        _as_ranking(gallery, columns[row], _leave_out(own[row], columns[row], values[row], distances[row]), top_k)
        for row in range(len(queries))
    ]


def _with_own(gallery: Gallery, columns: Numbers, own: _Own | None) -> Numbers:
    return gallery.sorted(columns.tolist() if own is None else {own[0], *columns.tolist()})


def _distances(gallery: Gallery, values: torch.Tensor, columns: Sequence[Numbers]) -> list[torch.Tensor]:
    """Return each query's distances to its own columns' means, (n,) float64 each."""
    means = torch.split(gallery.means.at(np.concatenate(columns)), [len(some) for some in columns])
    return [euclidean_distances(value.unsqueeze(0), some)[0] for value, some in zip(values, means, strict=True)]


def _leave_out(own: _Own | None, columns: Numbers, value: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
    """Measure a confirmed query against its individual's other photos; where there is none, that is infinitely far."""
    if own is not None:
        column, mean = own
        distances[int(np.flatnonzero(columns == column)[0])] = (
            torch.inf if mean is None else euclidean_distances(value.unsqueeze(0), mean.unsqueeze(0))[0, 0]
        )
    return distances


def _as_ranking(gallery: Gallery, columns: Numbers, distances: torch.Tensor, top_k: int | None) -> Ranking:
    unknown = distances.new_full((1,), UNKNOWN_DISTANCE)
    # "Unknown" stands first, then the catalogue's order: a stable sort keeps that order among equals.
    ascending, order = torch.sort(torch.cat((unknown, distances)), stable=True)
    pairs = zip(order[:top_k].tolist(), ascending[:top_k].tolist(), strict=True)
    return Ranking(
        tuple(
            _candidate(gallery, int(columns[place - 1]), distance) if place else Candidate(UNKNOWN, distance)
            for place, distance in pairs
            if distance != math.inf
        )
    )


def _candidate(gallery: Gallery, column: int, distance: float) -> Candidate:
    return Candidate(gallery.name(column), distance, gallery.number(column))

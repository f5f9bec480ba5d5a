"""The nearest of many vectors, exactly: a float32 product finds who can be among them, float64 differences decide.

**The bound.** With u = 2^-24 and d numbers a vector, the product's estimate of |q - v|^2 - |q|^2 = |v|^2 - 2 q.v is off
by less than (d + 4) u (|q| + |v|)^2, in whatever order the products are added (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., section 3.1: a dot product of d numbers is off by at most d u / (1 - d u) |x| |y|); the
other 4 u are v's rounding to float32, that of its square and that of the sum. `_error` is twice as much, which covers
the higher orders, the rounding of float64 distances and, by `_TINY`, numbers too small for float32.

For queries of float64 (`within`) another u is their rounding to float32.

So nobody is missed: each of the k vectors whose estimates are lowest is no farther than its estimate plus its error,
and the k-th nearest is not either; a vector whose estimate less its error lies above that is not among the k nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from pipeline.catalogue.vectors import Numbers, Vector
from pipeline.records import Float32Array

BLOCK = 32_768
"""Vectors that lie together; more room is made by another block, so that no vector is ever moved."""

_MEMBERS = 32  # of a group: its lowest estimate is enough to find the k-th lowest of all, or one a little above
_UNIT = 2.0**-24
_TINY = 1e-30  # what underflow may cost, and far more
_LARGEST_SQUARE = 1e37  # above it, float32 may overflow


@dataclass(slots=True)
class _Block:
    """Room for `BLOCK` vectors.

    Attributes:
        exact: (BLOCK, d) float64.
        rough: (BLOCK, d) float32, the same.
        squares: (BLOCK,) float32, their squared lengths; infinite where there is no vector.
        reach: no vector was ever longer.
        used: there was never one at this place or behind it.
    """

    exact: torch.Tensor
    rough: torch.Tensor
    squares: torch.Tensor
    reach: float = 0.0
    used: int = 0

    @property
    def groups(self) -> int:
        """How many groups hold what is used."""
        return -(-self.used // _MEMBERS)


@dataclass(frozen=True, slots=True)
class _Estimated:
    """What the product says of one block.

    Attributes:
        groups: (q, members, groups) float32, estimates of |q - v|^2 - |q|^2.
        lowest: (q, groups) float32, the lowest of each group.
        error: (q, 1) float64, by which they may be off.
    """

    groups: torch.Tensor
    lowest: Float32Array
    error: Vector

    def up_to(self, limits: Vector, start: int) -> Numbers:
        """Return (n, 2): the query and the column of each vector that may be up to its query's limit.

        Args:
            limits: (q, 1) float64, of estimates.
            start: the block's first column.
        """
        # Where there is no vector, the estimate is infinite.
        limits = np.minimum(limits + self.error, np.finfo(np.float32).max)
        query, group = np.nonzero(self.lowest <= limits)
        hit, member = np.nonzero(self._members(query, group) <= limits[query])
        return np.stack((query[hit], start + member * self.lowest.shape[1] + group[hit]), axis=1)

    def _members(self, query: Numbers, group: Numbers) -> Float32Array:
        """Return (n, members) float32, the estimates of some groups."""
        if self.groups.is_cpu:
            members: Float32Array = self.groups.numpy()[query, :, group]
            return members
        device = self.groups.device
        chosen = self.groups[torch.from_numpy(query).to(device), :, torch.from_numpy(group).to(device)]
        return chosen.cpu().numpy()


class VectorIndex:
    """Vectors by column, put in place and taken away, and the nearest among them.

    Args:
        dimension: d, numbers a vector.
        device: where they are held and compared; needs float64.
    """

    def __init__(self, dimension: int, device: torch.device | str = "cpu") -> None:
        self._dimension = dimension
        self._device = torch.device(device)
        self._blocks: list[_Block] = []

    @property
    def device(self) -> torch.device:
        """Where the vectors are."""
        return self._device

    @property
    def nbytes(self) -> int:
        """Memory that the blocks take."""
        return len(self._blocks) * BLOCK * (12 * self._dimension + 4)

    def put(self, columns: Numbers, vectors: Vector) -> None:
        """Set the vectors of some columns: (n,) and (n, d) float64."""
        squares = np.einsum("nd,nd->n", vectors, vectors)
        for number in np.unique(columns // BLOCK).tolist():
            while number >= len(self._blocks):
                self._blocks.append(self._new_block())
            block, here = self._blocks[number], columns // BLOCK == number
            places = torch.from_numpy(columns[here] % BLOCK).to(self._device)
            exact = torch.from_numpy(vectors[here]).to(self._device)
            block.exact[places] = exact
            block.rough[places] = exact.to(torch.float32)
            block.squares[places] = torch.from_numpy(squares[here]).to(self._device, torch.float32)
            block.reach = max(block.reach, float(np.sqrt(squares[here].max())))
            block.used = max(block.used, int(columns[here].max()) % BLOCK + 1)

    def drop(self, columns: Numbers) -> None:
        """Take away the vectors of some columns."""
        for column in columns.tolist():
            if column < len(self._blocks) * BLOCK:  # else it came and went between two looks
                self._blocks[column // BLOCK].squares[column % BLOCK] = torch.inf

    def at(self, columns: Numbers) -> torch.Tensor:
        """Return the vectors of some columns, (n, d) float64."""
        found = torch.empty((len(columns), self._dimension), dtype=torch.float64, device=self._device)
        numbers, places = np.divmod(columns, BLOCK)
        for number in np.unique(numbers).tolist():
            here = np.flatnonzero(numbers == number)
            found[self._indexes(here)] = self._blocks[number].exact[self._indexes(places[here])]
        return found

    def distances(self, values: torch.Tensor, columns: Numbers) -> torch.Tensor:
        """Return the distances from (q, d) float64 values to the vectors of n columns, (q, n) float64."""
        found = [values.new_empty((len(values), 0))]
        found += [euclidean_distances(values, block.exact[: block.used]) for block in self._blocks]
        return torch.cat(found, dim=1)[:, self._indexes(columns)]

    def near(self, values: torch.Tensor, count: int) -> Sequence[Numbers] | None:
        """Find for each of (q, d) float32 values a few columns that hold its `count` nearest vectors.

        All that are as near as the last of them are among them, and some that are a little farther.

        Returns:
            The columns for each, ascending; None where every vector has to be looked at: too many are asked for, or a
            vector is too long for float32.
        """
        estimated = self._estimate(values) if count <= sum(block.groups for block in self._blocks) else None
        if estimated is None:
            return None
        above = np.concatenate([block.lowest + block.error for block in estimated], axis=1)
        return _up_to(estimated, np.partition(above, count - 1, axis=1)[:, count - 1 : count])

    def within(self, values: torch.Tensor, radii: Vector) -> Sequence[Numbers] | None:
        """Find for each of (q, d) float64 values the columns of all vectors up to its radius, (q,), away.

        Returns:
            The columns for each, ascending, and of some vectors that are a little farther; None where every vector has
            to be looked at.
        """
        estimated = self._estimate(values.float())
        squares = torch.sum(values**2, dim=1).cpu().numpy()
        return None if estimated is None else _up_to(estimated, (radii**2 - squares)[:, None])

    def _estimate(self, values: torch.Tensor) -> list[_Estimated] | None:
        """Estimate all distances; None where float32 does not do."""
        if torch.get_float32_matmul_precision() != "highest":
            return None
        lengths = torch.linalg.vector_norm(values.double(), dim=1).cpu().numpy()  # (q,)
        errors = [_error(lengths + block.reach, self._dimension)[:, None] for block in self._blocks]
        if not all((error < _LARGEST_SQUARE * _UNIT).all() for error in errors):
            return None
        rough = [_estimates(block, values) for block in self._blocks]
        lowest = [groups.amin(dim=1) for groups in rough]
        return [
            _Estimated(groups, low.cpu().numpy(), error)
            for groups, low, error in zip(rough, lowest, errors, strict=True)
        ]

    def _indexes(self, numbers: Numbers) -> torch.Tensor:
        return torch.from_numpy(numbers).to(self._device)

    def _new_block(self) -> _Block:
        size = (BLOCK, self._dimension)
        return _Block(  # by numpy, which takes no memory before it is written to
            exact=torch.from_numpy(np.zeros(size)).to(self._device),
            rough=torch.from_numpy(np.zeros(size, dtype=np.float32)).to(self._device),
            squares=torch.full((BLOCK,), torch.inf, dtype=torch.float32, device=self._device),
        )


def euclidean_distances(values: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Return (q, m) Euclidean distances by subtraction: the faster product form loses half of the digits."""
    return torch.cdist(values, means, compute_mode="donot_use_mm_for_euclid_dist")


def _error(reach: Vector, dimension: int) -> Vector:
    """Return the bound of the module's docstring, where query and vector are `reach` long together."""
    error: Vector = 2 * (dimension + 8) * _UNIT * reach**2 + _TINY
    return error


def _estimates(block: _Block, values: torch.Tensor) -> torch.Tensor:
    """Return (q, members, groups) float32: squared distances less the query's squared length."""
    room = block.groups * _MEMBERS
    squares, rough = block.squares[:room], block.rough[:room]
    if len(values) == 1:  # which takes a sixth less as a product with a vector
        estimates = torch.addmv(squares, rough, values[0], alpha=-2)
    else:
        estimates = torch.addmm(squares, values, rough.T, alpha=-2)
    return estimates.view(len(values), _MEMBERS, block.groups)


def _up_to(estimated: Sequence[_Estimated], limits: Vector) -> list[Numbers]:
    """Return for each query the columns of all vectors that may be up to its limit, (q, 1), ascending."""
    pairs = [block.up_to(limits, number * BLOCK) for number, block in enumerate(estimated)]
    queries, columns = np.concatenate([np.empty((0, 2), dtype=np.int64), *pairs]).T
    order = np.lexsort((columns, queries))
    ends = np.searchsorted(queries[order], np.arange(len(limits) + 1))
    return [columns[order[start:end]] for start, end in pairwise(ends)]

"""A guard against collapse: when all embeddings become the same, no loss brings them apart again."""

from dataclasses import dataclass

import numpy as np

from pipeline.records import Float32Array
from training.errors import CollapsedError

_LEAST_DISTANCE = 0.05
_LEAST_RANK = 2.0
GRACE_ROUNDS = 3
"""Random weights map everything to nearly the same place, so the first rounds are not judged."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How much of the space embeddings use.

    Attributes:
        mean_distance: between two embeddings; near 1.4 where they are spread evenly, 0 where they are all the same.
        effective_rank: number of directions in use: exp of the entropy of the covariance's eigenvalues (Roy and
            Vetterli 2007).
    """

    mean_distance: float
    effective_rank: float


def measure_spread(embeddings: Float32Array) -> Spread:
    """Measure the spread.

    Args:
        embeddings: (n, d) float32, L2-normalised, n at least 2.
    """
    count = len(embeddings)
    squares = 2.0 - 2.0 * (embeddings @ embeddings.T).astype(np.float64)
    distances = np.sqrt(squares.clip(0.0))
    np.fill_diagonal(distances, 0.0)
    variances = np.linalg.eigvalsh(np.cov(embeddings.T.astype(np.float64))).clip(0.0)
    shares = variances[variances > 0] / max(variances.sum(), np.finfo(np.float64).tiny)
    return Spread(float(distances.sum() / (count * (count - 1))), float(np.exp(-(shares * np.log(shares)).sum())))


def stop_if_collapsed(spread: Spread) -> None:
    """Stop a run whose embeddings have collapsed.

    Raises:
        CollapsedError: says what helps.
    """
    if spread.mean_distance < _LEAST_DISTANCE or spread.effective_rank < _LEAST_RANK:
        raise CollapsedError(
            f"the embeddings have collapsed: mean distance {spread.mean_distance:.3f}, {spread.effective_rank:.1f}"
            " directions in use; train with a lower --learning-rate, another --loss, or more individuals"
        )

"""How far a ratio of two series of measurements can be trusted."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of the pairs' ratios with its two-sided interval of Student's t.

    Seconds on a shared machine vary by factors rather than by amounts, so the mean and the interval are those of the
    ratios' logarithms.

    Args:
        numerators: positive, one a round.
        denominators: positive, of the same rounds.

    Returns:
        The ratio, and the least and the greatest value that it has with the confidence of `CONFIDENCE`.

    Raises:
        ValueError: fewer than two rounds.
    """
    if len(numerators) < 2:
        raise ValueError("an interval needs at least two rounds")
    logs = np.log(np.asarray(numerators, dtype=np.float64) / np.asarray(denominators, dtype=np.float64))
    error = logs.std(ddof=1) / np.sqrt(len(logs))
    reach = float(student.ppf(0.5 + CONFIDENCE / 2, len(logs) - 1)) * error
    least, ratio, greatest = np.exp([logs.mean() - reach, logs.mean(), logs.mean() + reach])
    return float(ratio), float(least), float(greatest)

"""Bootstrap intervals over individuals: photos of one animal are alike, so the animals are what is drawn again.

Statistics are functions of photo weights. A resample draws as many individuals as there are, with replacement; a photo
weighs as often as its individual was drawn, and in a macro average divided by its individual's number of photos.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.arrays import FloatArray, IntArray

Interval = tuple[float, float]
"""Lower and upper end."""

LEVEL = 0.95
RESAMPLES = 1000

Statistic = Callable[[FloatArray, FloatArray], FloatArray]
"""From weights of the known queries (q,) and of the unknown ones (u,) to (m,) values; NaN where there is nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A macro average over individuals with its 95 % interval, and the plain average over photos.

    Attributes:
        value: every individual counts the same.
        low: lower end of the interval.
        high: upper end.
        per_photo: every photo counts the same.
    """

    value: float
    low: float
    high: float
    per_photo: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Resampling:
    """Draws individuals, the known and the unknown ones apart.

    Attributes:
        known_of: (q,) number of each known query's individual, from 0.
        unknown_of: (u,) number of each unknown query's individual, from 0.
        seed: of the draws.
        resamples: how many.
    """

    known_of: IntArray
    unknown_of: IntArray
    seed: int = 0
    resamples: int = RESAMPLES

    def estimates(self, statistic: Statistic) -> list[Estimate]:
        """Return one estimate for each of the statistic's values."""
        values = statistic(*self.macro_weights())
        per_photo = statistic(np.ones(len(self.known_of)), np.ones(len(self.unknown_of)))
        lows, highs = self._interval(statistic)
        rows = zip(values, lows, highs, per_photo, strict=True)
        return [Estimate(*(float(number) for number in row)) for row in rows]

    def estimate(self, statistic: Callable[[FloatArray, FloatArray], float]) -> Estimate:
        """Return the estimate of a statistic of one value."""
        return self.estimates(lambda known, unknown: np.array([statistic(known, unknown)]))[0]

    def macro_weights(self) -> tuple[FloatArray, FloatArray]:
        """Return (q,) and (u,) weights that make every individual count the same."""
        known, unknown = (_macro(np.ones(len(of)), of) for of in (self.known_of, self.unknown_of))
        return known, unknown

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw individuals once.

        Returns:
            (q,) and (u,) weights of photos: how often each one's individual was drawn.
        """
        return _draw(self.known_of, generator), _draw(self.unknown_of, generator)

    def _interval(self, statistic: Statistic) -> tuple[FloatArray, FloatArray]:
        generator = np.random.default_rng(self.seed)
        drawn = []
        for _ in range(self.resamples):
            known, unknown = self.draw(generator)
            drawn.append(statistic(_macro(known, self.known_of), _macro(unknown, self.unknown_of)))
        return percentile_interval(np.stack(drawn))


def percentile_interval(drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the 95 % interval of resampled statistics.

    Args:
        drawn: (r,) or (r, m), one row a resample; NaN where a resample held nothing to count.

    Returns:
        () or (m,) lower and upper ends, NaN where no resample held anything.
    """
    tail = (1.0 - LEVEL) / 2.0
    empty = np.isnan(drawn).all(axis=0)
    filled = np.where(empty, 0.0, drawn)  # there is nothing to take a quantile of
    low, high = np.nanquantile(filled, [tail, 1.0 - tail], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def weighted_mean(values: npt.ArrayLike, weights: FloatArray) -> float:
    """Return a weighted mean; NaN where nothing weighs anything."""
    total = float(weights.sum())
    return float(np.dot(np.asarray(values, dtype=np.float64), weights)) / total if total > 0.0 else float("nan")


def numbered(names: list[str]) -> IntArray:
    """Return (n,) numbers from 0, the same for the same name, in the order of the sorted names."""
    place = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([place[name] for name in names], dtype=np.intp)


def _draw(of: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return (n,) how often each photo's individual is drawn, in as many draws as there are individuals."""
    count = int(of.max()) + 1 if len(of) else 0
    drawn = generator.integers(count, size=count) if count else np.zeros(0, dtype=np.intp)
    return np.bincount(drawn, minlength=count).astype(np.float64)[of]


def _macro(times: FloatArray, of: IntArray) -> FloatArray:
    """Return photo weights such that an individual weighs as often as it was drawn, however many photos it has."""
    photos: IntArray = np.bincount(of)
    return times / photos[of]

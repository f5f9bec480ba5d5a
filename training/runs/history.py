"""The course of a run: one record for every stretch of training and for every evaluation."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.files import write_atomically

Record = dict[str, Any]


@dataclass(slots=True)
class LossMean:
    """Mean loss since the last record."""

    total: float = 0.0
    count: int = 0

    def add(self, loss: float) -> None:
        """Count one step."""
        self.total += loss
        self.count += 1

    def is_finite(self) -> bool:
        """Return whether every loss since the last record was a number."""
        return math.isfinite(self.total)

    def mean(self) -> float:
        """Return the mean, NaN for no steps."""
        return self.total / self.count if self.count else math.nan

    def take(self) -> float:
        """Return the mean, NaN for no steps, and begin anew."""
        mean = self.mean()
        self.total, self.count = 0.0, 0
        return mean


def rounds(history: Sequence[Record]) -> list[Record]:
    """Return the records of evaluations."""
    return [record for record in history if "score" in record]


def write_history(file: Path, history: Sequence[Record]) -> None:
    """Write the records as JSON lines, replacing the file as a whole."""
    write_atomically(file, "".join(json.dumps(record) + "\n" for record in history).encode())

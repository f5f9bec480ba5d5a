"""The workers of one run as the loop sees them; Ray Train's are in `training.runs.launch`."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

import torch
from torch import nn

Value = TypeVar("Value")


class Crew(Protocol):
    """This worker's place among the workers of a run.

    Attributes:
        rank: of this worker, from 0; rank 0 evaluates and writes files.
        size: number of workers.
        device: this worker's.
    """

    rank: int
    size: int
    device: torch.device

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network as it is to be trained: averaging gradients where there are several workers."""
        ...

    def share(self, value: Value) -> Value:
        """Return rank 0's value on every worker; all must call it."""
        ...

    def report(self, metrics: Mapping[str, float]) -> None:
        """Tell how far the run is; all must call it at the same steps."""
        ...

    def progress(self, photos: int, total: int, words: str) -> None:
        """Move the progress bar.

        Args:
            photos: seen so far.
            total: of the whole run.
            words: loss and score.
        """
        ...


class Alone:
    """A crew of one in this very process, without Ray."""

    rank = 0
    size = 1

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return it as it is."""
        return network

    def share(self, value: Value) -> Value:
        """Return it."""
        return value

    def report(self, metrics: Mapping[str, float]) -> None:
        """Tell nobody."""

    def progress(self, photos: int, total: int, words: str) -> None:
        """Show nothing."""

"""Arithmetic that turns freshly initialised networks into ones with varied answers.

Untrained networks answer nearly the same for every input: activations drift from layer to layer, and the features of
any two pictures differ little from their common mean. So the batch norms get the statistics of some pictures, and each
last layer reads the directions in which their features differ.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def set_batch_norms(network: nn.Module, images: Tensor) -> None:
    """Give every batch norm the mean and variance that it sees for these images.

    Args:
        network: takes (n, 3, h, w); left in evaluation mode.
        images: (n, 3, h, w) float32, normalised.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all forward passes
    network.train()
    with torch.no_grad():
        network(images)
    network.eval()
    for norm in norms:
        norm.momentum = 0.1


def varied_directions(features: Tensor, most: int, min_spread: float) -> tuple[Tensor, Tensor]:
    """Find the directions in which features differ (their principal components).

    Args:
        features: (n, f) float32.
        most: how many directions at most.
        min_spread: directions with a smaller share of the largest spread are left out, since scaling them up would
            blow up rounding errors.

    Returns:
        (f,) mean and (k, f) directions, scaled so that features projected on each have unit spread.
    """
    exact = features.double()
    mean = exact.mean(dim=0)
    _, spreads, directions = torch.linalg.svd(exact - mean, full_matrices=False)
    kept = (spreads > min_spread * spreads[0])[:most]
    spreads = spreads[: len(kept)][kept] / len(exact) ** 0.5
    return mean, directions[: len(kept)][kept] / spreads[:, None]


def read_directions(layer: nn.Linear, mean: Tensor, directions: Tensor, scale: Tensor) -> None:
    """Make each output of a layer a random mix of the directions, zero for the mean.

    Args:
        layer: with bias.
        mean: (f,).
        directions: (k, f).
        scale: (outputs,) spread of each output.
    """
    mix = nn.functional.normalize(torch.randn(layer.out_features, len(directions), dtype=torch.float64), dim=1)
    weight = scale.double()[:, None] * (mix @ directions)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(-weight @ mean)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from this seed, and leave the process's own sequence as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

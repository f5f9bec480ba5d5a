"""Batch normalisations folded into the convolutions before them: fewer passes over memory, the same answers."""

import logging

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Greatest difference between the answers, as a share of the largest; folding only reorders float32 arithmetic."""

_CANNOT_TRACE = (TypeError, ValueError, RuntimeError, AttributeError, LookupError)
"""Tracing runs the network's code on proxies and fails as that code does; torch's TraceError is a ValueError."""


def fold_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """Return a copy of a network with its batch normalisations folded in, or the network where that cannot be done.

    Args:
        network: in evaluation mode; answers a tensor or a tuple of them.
        example: a valid input of any size, to compare the answers on.
    """
    try:
        folded = fuse(network)
    except _CANNOT_TRACE as error:
        logger.info("%s cannot be traced, so it runs as it is: %s", type(network).__name__, error)
        return network
    if _agree(network, folded, example):
        return folded
    logger.warning("%s answers otherwise when folded, so it runs as it is", type(network).__name__)
    return network


def _agree(network: nn.Module, folded: nn.Module, example: Tensor) -> bool:
    with torch.inference_mode():
        pairs = zip(_tensors(network(example)), _tensors(folded(example)), strict=True)
        return all((one - other).abs().max() <= TOLERANCE * one.abs().max() for one, other in pairs)


def _tensors(answer: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)

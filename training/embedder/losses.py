"""Losses of metric learning, by name, from pytorch-metric-learning."""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_metric_learning import losses, miners
from torch import Tensor

from training.embedder.recipe import LossName, Recipe

BatchLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps (n, d) embeddings and (n,) classes to one number."""

_SEED_MARGIN = 1.0
_HARD_MARGIN = 0.2


def build_loss(recipe: Recipe) -> BatchLoss:
    """Return the loss of a recipe with its miner."""
    if recipe.sampler == "triplets":
        return _given_triplets()
    makers: dict[LossName, Callable[[], tuple[Any, Any]]] = {
        "multi_similarity": lambda: (losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
        "triplet": lambda: (losses.TripletMarginLoss(margin=_HARD_MARGIN), None),
        "batch_hard": lambda: (losses.TripletMarginLoss(margin=_HARD_MARGIN), miners.BatchHardMiner()),
        "contrastive": lambda: (losses.ContrastiveLoss(), miners.PairMarginMiner()),
        "supcon": lambda: (losses.SupConLoss(), None),
        "circle": lambda: (losses.CircleLoss(), None),
    }
    loss, miner = makers[recipe.loss]()

    def mined(embeddings: Tensor, labels: Tensor) -> Tensor:
        pairs = miner(embeddings, labels) if miner is not None else None
        value: Tensor = loss(embeddings, labels, pairs)
        return value

    return mined


def _given_triplets() -> BatchLoss:
    """Take a batch as anchors, positives and negatives, one after the other."""
    loss = losses.TripletMarginLoss(margin=_SEED_MARGIN)

    def triplets(embeddings: Tensor, labels: Tensor) -> Tensor:
        places = torch.arange(len(labels), device=labels.device)
        value: Tensor = loss(embeddings, labels, tuple(places.chunk(3)))
        return value

    return triplets

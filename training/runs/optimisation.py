"""Optimiser and learning-rate schedule; the schedule is a function of the step, so it has no state to resume."""

import math

import torch
from torch import nn

from training.runs.plan import Optimisation


def build_optimiser(network: nn.Module, plan: Optimisation) -> torch.optim.Optimizer:
    """Return the optimiser over all weights that are trained; biases and norms do not decay."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    if plan.name == "adam":
        return torch.optim.Adam(groups, lr=plan.learning_rate)
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def learning_rate(plan: Optimisation, step: int, steps: int) -> float:
    """Return the learning rate of a step.

    Args:
        plan: highest rate and course.
        step: from 0.
        steps: of the whole run.
    """
    warm_up = round(plan.warm_up * steps)
    if step < warm_up:
        return plan.learning_rate * (step + 1) / warm_up
    if plan.schedule == "constant":
        return plan.learning_rate
    passed = (step - warm_up) / max(1, steps - warm_up)
    return plan.learning_rate * 0.5 * (1.0 + math.cos(math.pi * passed))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate

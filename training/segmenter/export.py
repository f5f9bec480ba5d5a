"""Writes a trained detector as the service loads it."""

from pathlib import Path

import torch
from torch import nn

from pipeline.model_files import SegmenterSpec
from training.models_yaml import write_segmenter


def export_detector(network: nn.Module, spec: SegmenterSpec, score_threshold: float, folder: Path) -> None:
    """Write weights and the segmenter's block of models.yaml.

    Args:
        network: with the weights to ship.
        spec: of the network.
        score_threshold: chosen on validation photos.
        folder: the models folder.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    file = folder / spec.file
    partial = file.with_suffix(".partial")
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, partial)
    partial.replace(file)
    write_segmenter(folder, spec.model_copy(update={"score_threshold": score_threshold}))

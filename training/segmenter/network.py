"""The network in training: what must not be rounded, and how its answers are read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.model_files import SegmenterSpec
from pipeline.networks.architectures import NARROW_DETECTOR, build_detector, detector_names
from pipeline.records import BoundingBox, Detection
from training.errors import TrainingError

ARCHITECTURES = tuple(name for name in detector_names() if name.startswith("fasterrcnn_"))
"""The registry's Faster R-CNNs; `NARROW_DETECTOR` is the one that a CPU trains in minutes."""

DEFAULT_ARCHITECTURE = NARROW_DETECTOR

_ENGINES = ("backbone", "rpn.head", "roi_heads.box_predictor")


def build_network(spec: SegmenterSpec) -> nn.Module:
    """Build a Faster R-CNN with random weights that can be trained in bfloat16.

    Raises:
        TrainingError: the architecture is no Faster R-CNN of the registry.
    """
    if spec.architecture not in ARCHITECTURES:
        raise TrainingError(f"--architecture {spec.architecture}: is none of {', '.join(ARCHITECTURES)}")
    network = build_detector(spec)
    keep_boxes_exact(network)
    return network


def keep_boxes_exact(network: nn.Module) -> None:
    """Let the heavy parts answer in float32 under autocast too; changes nothing without autocast.

    torchvision takes the number format of anchors, proposals and boxes from the features and deltas that it gets. In
    bfloat16, a coordinate above 128 px would be rounded to a whole pixel, and the anchors would stay rounded. So the
    convolutions and linear layers compute in bfloat16, and everything that handles boxes in float32. Features come in
    the plain order of memory: RoI pooling is far slower on channels-last ones.

    Args:
        network: a Faster R-CNN.
    """
    for name in _ENGINES:
        network.get_submodule(name).register_forward_hook(lambda _module, _inputs, outputs: _exact(outputs))


def total_loss(network: nn.Module, pictures: Tensor, targets: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Return the sum of the four losses of a Faster R-CNN in training mode.

    Args:
        network: or its wrapper for several workers.
        pictures: (n, 3, s, s) uint8 RGB, on any device.
        targets: torchvision's: boxes (k, 4) float32 in pixels, labels (k,) int64 from 1.
    """
    device = next(network.parameters()).device
    images = pictures.to(device).float().div(255.0)
    placed = [{name: value.to(device) for name, value in target.items()} for target in targets]
    losses: Mapping[str, Tensor] = network(list(images), placed)
    return torch.stack(list(losses.values())).sum()


def find(network: nn.Module, pictures: Tensor, labels: Sequence[str]) -> list[tuple[Detection, ...]]:
    """Return what a network in evaluation mode finds, as `pipeline.networks.segmentation` would.

    Args:
        network: in evaluation mode, gradients off.
        pictures: (n, 3, s, s) uint8 RGB.
        labels: body part of class 1, 2, ...

    Returns:
        All boxes of each picture in its pixels, best score first.
    """
    device = next(network.parameters()).device
    found = network(list(pictures.to(device).float().div(255.0)))
    return [_detections(answer, labels) for answer in found]


def _detections(answer: Mapping[str, Tensor], labels: Sequence[str]) -> tuple[Detection, ...]:
    rows = zip(answer["boxes"].tolist(), answer["labels"].tolist(), answer["scores"].tolist(), strict=True)
    found = [Detection(BoundingBox(*box), labels[label - 1], score) for box, label, score in rows]
    return tuple(sorted(found, key=lambda detection: -detection.score))


def _exact(outputs: Any) -> Any:
    """Return tensors, in whatever collection, in float32 and plain order."""
    if isinstance(outputs, Tensor):
        return outputs.float().contiguous()
    if isinstance(outputs, Mapping):
        return type(outputs)((name, _exact(value)) for name, value in outputs.items())  # type: ignore[call-arg]
    collection: Callable[[Any], Any] = type(outputs)
    return collection(_exact(value) for value in outputs)

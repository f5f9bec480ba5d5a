"""The networks that a models folder may name: the original's, narrow ones for machines without a GPU, torchvision's.

Every detector takes a list of (3, h, w) float32 RGB in [0, 1] and answers torchvision's detection dictionaries; every
embedder takes (n, 3, s, s) float32, normalised, and answers (n, d) float32, L2-normalised.
"""

import difflib
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.resnet import BasicBlock

from pipeline.errors import ModelFilesError
from pipeline.model_files import BodyPartSpec, SegmenterSpec

NARROW_DETECTOR = "fasterrcnn_narrow_resnet_fpn"
NARROW_EMBEDDER = "narrow_resnet"

_STEM_CHANNELS = 24
_EMBEDDER_STAGES = (24, 48, 96, 192)
_DETECTOR_STAGES = (24, 48, 96, 160)
_FPN_CHANNELS = 64
_BOX_HEAD_CHANNELS = 256
_ROI_SIZE = 7
_ANCHOR_SIZES_PX = ((16,), (32,), (64,), (128,), (224,))
_ANCHOR_RATIOS = (0.25, 0.5, 1.0, 2.0)
"""Height over width: a squashed flank is up to four times as wide as high, a fin can be higher than wide."""
_TRAIN_ROIS = 48
_PROPOSALS = 100


class L2Normalise(nn.Module):
    """Scales each row to unit length; has no parameters, so that the layer before it keeps the key `fc.0.weight`."""

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n, d) to (n, d) of unit rows."""
        return nn.functional.normalize(rows, p=2.0, dim=1)


class NarrowResNet(nn.Module):
    """A ResNet with few channels and one basic block a stage, for training and inference on a CPU.

    With the default stages and 128 dimensions it has 0.72 M parameters. Layer names are torchvision's.

    Args:
        stages: channels of the four stages.
        classes: outputs of the last linear layer, which embedders replace.
    """

    def __init__(self, stages: tuple[int, int, int, int] = _EMBEDDER_STAGES, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _STEM_CHANNELS, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(_STEM_CHANNELS, stages[0], stride=1)
        self.layer2 = _stage(stages[0], stages[1], stride=2)
        self.layer3 = _stage(stages[1], stages[2], stride=2)
        self.layer4 = _stage(stages[2], stages[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(stages[3], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, h, w) to (n, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))  # (n, 24, h/4, w/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (n, 192, h/32, w/32)
        outputs: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return outputs


def build_detector(spec: SegmenterSpec) -> nn.Module:
    """Build a detector with random weights, in training mode as torch leaves it.

    Args:
        spec: architecture, labels (one class each, besides the background), input size and normalisation.

    Raises:
        ModelFilesError: no detector of that name.
    """
    classes = 1 + len(spec.labels)
    transform = {"image_mean": list(spec.mean), "image_std": list(spec.std)}
    if spec.architecture == NARROW_DETECTOR:
        return _narrow_detector(classes, spec.input_size_px, transform)
    _require_name(spec.architecture, detector_names(), "detector")
    # `num_classes` is torchvision's own way to put a FastRCNNPredictor (or its like) of that many classes in place.
    return _torchvision(spec.architecture, num_classes=classes, weights_backbone=None, **transform)


def build_embedder(spec: BodyPartSpec) -> nn.Module:
    """Build an embedder with random weights, in training mode as torch leaves it.

    The classifier's last linear layer gives way to Sequential(Linear without bias, L2 normalisation): the original's
    head, so that its `resnet101` has the key `fc.0.weight`.

    Args:
        spec: architecture and dimension.

    Raises:
        ModelFilesError: no classifier of that name, or one that does not end in a linear layer.
    """
    if spec.architecture == NARROW_EMBEDDER:
        network: nn.Module = NarrowResNet()
    else:
        _require_name(spec.architecture, embedder_names(), "embedder")
        network = _torchvision(spec.architecture)
    _replace_head(network, spec)
    return network


def detector_names() -> tuple[str, ...]:
    """Return every name that `build_detector` knows."""
    return (NARROW_DETECTOR, *torchvision.models.list_models(module=torchvision.models.detection))


def embedder_names() -> tuple[str, ...]:
    """Return every name that `build_embedder` knows."""
    return (NARROW_EMBEDDER, *torchvision.models.list_models(module=torchvision.models))


def _stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or channels_in != channels:
        projection = nn.Conv2d(channels_in, channels, kernel_size=1, stride=stride, bias=False)
        shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))
    return nn.Sequential(BasicBlock(channels_in, channels, stride, shortcut))


def _narrow_detector(classes: int, input_size_px: int, transform: dict[str, list[float]]) -> nn.Module:
    stages = {f"layer{number}": str(number - 1) for number in (1, 2, 3, 4)}
    backbone = BackboneWithFPN(NarrowResNet(_DETECTOR_STAGES), stages, list(_DETECTOR_STAGES), _FPN_CHANNELS)
    detector: nn.Module = FasterRCNN(
        backbone,
        num_classes=None,  # the box predictor below has them
        min_size=input_size_px,  # torchvision would enlarge the input to 800 px
        max_size=input_size_px,
        rpn_anchor_generator=AnchorGenerator(_ANCHOR_SIZES_PX, (_ANCHOR_RATIOS,) * len(_ANCHOR_SIZES_PX)),
        rpn_post_nms_top_n_train=_PROPOSALS,
        rpn_post_nms_top_n_test=_PROPOSALS,
        box_head=TwoMLPHead(_FPN_CHANNELS * _ROI_SIZE**2, _BOX_HEAD_CHANNELS),
        box_predictor=FastRCNNPredictor(_BOX_HEAD_CHANNELS, classes),
        box_batch_size_per_image=_TRAIN_ROIS,
        **transform,
    )
    return detector


def _torchvision(name: str, **options: Any) -> nn.Module:
    network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


def _replace_head(network: nn.Module, spec: BodyPartSpec) -> None:
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ModelFilesError(f"architecture {spec.architecture} of {spec.name} does not end in a linear layer")
    parent, _, attribute = linear[-1].rpartition(".")
    last = network.get_submodule(linear[-1])
    assert isinstance(last, nn.Linear)
    head = nn.Sequential(nn.Linear(last.in_features, spec.dimension, bias=False), L2Normalise())
    setattr(network.get_submodule(parent), attribute, head)


def _require_name(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known[:3]
        raise ModelFilesError(f"unknown {what} architecture {name!r}; did you mean {', '.join(near)}?")

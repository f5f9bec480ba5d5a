"""A Faster R-CNN run as two engines (trunk, box head) with torchvision's own steps between them.

The same engines can be torch modules or compiled OpenVINO models: proposals, RoI pooling and suppression stay
torchvision's, so that the answers do too.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers

from pipeline.networks.folding import fold_batch_norms
from pipeline.networks.roi_pooling import ThreadedRoiPool

Engine = Callable[[Tensor], tuple[Tensor, ...]]

EXAMPLE_SHAPE = (1, 3, 64, 64)
"""A small picture that every trunk takes, to look at what it answers."""


class Trunk(nn.Module):
    """Backbone and RPN head in one: (n, 3, h, w) to the levels' features, then objectness, then box deltas."""

    def __init__(self, network: FasterRCNN) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.head = network.rpn.head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return 3 tensors a level: features first, then objectness, then deltas, each in the order of the levels."""
        features = list(self.backbone(images).values())
        objectness, deltas = self.head(features)
        return (*features, *objectness, *deltas)


class BoxHead(nn.Module):
    """Box head and predictor in one: (r, c, 7, 7) RoI features to class logits and box deltas."""

    def __init__(self, network: FasterRCNN) -> None:
        super().__init__()
        self.head = network.roi_heads.box_head
        self.predictor = network.roi_heads.box_predictor

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return (r, classes) and (r, 4 * classes)."""
        logits, deltas = self.predictor(self.head(pooled))
        return logits, deltas


class StagedDetector:
    """Answers as the network itself does, with its two heavy parts run by other engines.

    Args:
        network: in evaluation mode, on the CPU; taken apart: what the engines compute is taken out of it.
        trunk: what `Trunk(network)` computes.
        box_head: what `BoxHead(network)` computes.
    """

    def __init__(self, network: FasterRCNN, trunk: Engine, box_head: Engine) -> None:
        self._network = network
        self._trunk = trunk
        with torch.inference_mode():
            self._levels = tuple(network.backbone(torch.zeros(EXAMPLE_SHAPE)))
        network.backbone = nn.Identity()  # the engines have what they need; a second copy of the weights is not kept
        network.rpn.head = nn.Identity()
        network.roi_heads.box_roi_pool = ThreadedRoiPool(network.roi_heads.box_roi_pool, torch.get_num_threads())
        network.roi_heads.box_head = nn.Identity()
        network.roi_heads.box_predictor = _BoxHeadEngine(box_head)

    def __call__(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Detect, as torchvision's GeneralizedRCNN.forward does in evaluation mode.

        Args:
            images: each (3, h, w) float32 RGB in [0, 1].

        Returns:
            One mapping an image: boxes (k, 4) float32 in its pixels, labels (k,) int64, scores (k,) float32.
        """
        network = self._network
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        enlarged, _ = network.transform(images)
        outputs = self._trunk(enlarged.tensors)
        count = len(self._levels)
        features = OrderedDict(zip(self._levels, outputs[:count], strict=True))
        proposals = self._proposals(enlarged, features, list(outputs[count : 2 * count]), list(outputs[2 * count :]))
        detections, _ = network.roi_heads(features, proposals, enlarged.image_sizes)
        answers: list[dict[str, Tensor]] = network.transform.postprocess(detections, enlarged.image_sizes, sizes)
        return answers

    def _proposals(
        self, images: ImageList, features: dict[str, Tensor], objectness: list[Tensor], deltas: list[Tensor]
    ) -> list[Tensor]:
        """Return each image's proposals, as torchvision's RegionProposalNetwork.forward does in evaluation mode."""
        rpn = self._network.rpn
        anchors = rpn.anchor_generator(images, list(features.values()))
        per_level = [level[0].numel() for level in objectness]
        flat_objectness, flat_deltas = concat_box_prediction_layers(objectness, deltas)
        decoded = rpn.box_coder.decode(flat_deltas, anchors).view(len(anchors), -1, 4)
        proposals, _ = rpn.filter_proposals(decoded, flat_objectness, images.image_sizes, per_level)
        boxes: list[Tensor] = proposals
        return boxes


class _BoxHeadEngine(nn.Module):
    """Stands where torchvision expects the box predictor."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def forward(self, pooled: Tensor) -> tuple[Tensor, ...]:
        return self._engine(pooled)


def run_by_torch(network: FasterRCNN) -> StagedDetector:
    """Run the trunk folded and in channels-last order, which is faster on a CPU; the answers do not change."""
    trunk = fold_batch_norms(Trunk(network), torch.rand(EXAMPLE_SHAPE)).to(memory_format=torch.channels_last)

    def run_trunk(images: Tensor) -> tuple[Tensor, ...]:
        outputs = trunk(images.contiguous(memory_format=torch.channels_last))
        return tuple(output.contiguous() for output in outputs)  # RoI pooling is far slower on channels-last

    return StagedDetector(network, run_trunk, BoxHead(network))

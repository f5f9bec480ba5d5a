"""The original system's way, the yardstick of the speed benchmark: one photo at a time, decoded twice, gradients on.

Written straight from the description of the original, with torchvision and PIL only; nothing of this project is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms
from torchvision.models import resnet101
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

BODY_PARTS = ("fluke", "flank")
SIDE_PX = 224
MARGIN = 0.01


class UnitLength(nn.Module):
    """Scale each row to length 1."""

    def forward(self, rows: Tensor) -> Tensor:
        """Take and return (n, 128)."""
        scaled: Tensor = rows / rows.norm(dim=1, keepdim=True)
        return scaled


@dataclass(frozen=True, slots=True)
class OriginalModels:
    """The detector and an embedder for each body part, in evaluation mode, their parameters wanting gradients."""

    detector: nn.Module
    embedders: Mapping[str, nn.Module]


def load_models(folder: Path) -> OriginalModels:
    """Load the three files of a models folder in the original's format."""
    detector = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    detector.roi_heads.box_predictor = FastRCNNPredictor(1024, 1 + len(BODY_PARTS))
    detector.load_state_dict(torch.load(folder / "segmentation.pth", weights_only=True))
    return OriginalModels(detector.eval(), {part: _load_embedder(folder / f"pm_{part}.pth") for part in BODY_PARTS})


def extract(models: OriginalModels, photo: Path) -> Tensor | None:
    """Return the (128,) embedding of a photo's best box, or None where it has none."""
    image = Image.open(photo).convert("RGB")
    found = models.detector([transforms.ToTensor()(image.resize((SIDE_PX, SIDE_PX)))])[0]
    if not len(found["scores"]):
        return None
    best = int(found["scores"].argmax())
    body_part = BODY_PARTS[0] if int(found["labels"][best]) == 1 else BODY_PARTS[1]
    crop = _crop(Image.open(photo).convert("RGB"), found["boxes"][best].tolist())  # decoded for the second time
    embedding: Tensor = models.embedders[body_part](crop[None])[0]
    return embedding


def _crop(image: Image.Image, box: list[float]) -> Tensor:
    """Return the (3, 224, 224) normalised crop of a box in pixels of the detector's input."""
    x_scale, y_scale = image.width / SIDE_PX, image.height / SIDE_PX
    left, top, right, bottom = box[0] * x_scale, box[1] * y_scale, box[2] * x_scale, box[3] * y_scale
    x_margin, y_margin = (right - left) * MARGIN, (bottom - top) * MARGIN
    edges = (
        max(left - x_margin, 0.0),
        max(top - y_margin, 0.0),
        min(right + x_margin, image.width),
        min(bottom + y_margin, image.height),
    )
    prepare = transforms.Compose(
        [
            transforms.Resize((SIDE_PX, SIDE_PX)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    prepared: Tensor = prepare(image.crop(edges))
    return prepared


def _load_embedder(file: Path) -> nn.Module:
    network: nn.Module = resnet101(weights=None)
    network.fc = nn.Sequential(nn.Linear(2048, 128, bias=False), UnitLength())
    network.load_state_dict(torch.load(file, weights_only=True))
    return network.eval()

"""The original system's steps, written out once more: what the service's answers are compared with.

Stands on PIL and torchvision only and imports nothing of the project, so that an error there cannot hide here.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.models import resnet101
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

BODY_PARTS = ("fluke", "flank")
_SIDE_PX = 224
_MARGIN = 0.01


class _UnitLength(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows / rows.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class ReferenceModels:
    """The three networks in evaluation mode, and each body part's catalogue: name and mean embedding, in CSV order."""

    detector: nn.Module
    embedders: dict[str, nn.Module]
    catalogues: dict[str, list[tuple[str, np.ndarray]]]


@dataclass(frozen=True)
class ReferenceAnswer:
    """What the original answers for one photo.

    Attributes:
        box_xyxy_px: in pixels of the photo, before the margin.
        body_part: "fluke" or "flank".
        score: the detector's.
        lead: by how much it is above the second-best box's; 1 where there is none.
        embedding: (128,) float32.
        ranking: (name, distance) ascending.
    """

    box_xyxy_px: tuple[float, float, float, float]
    body_part: str
    score: float
    lead: float
    embedding: np.ndarray
    ranking: list[tuple[str, float]]


def load_models(folder: Path) -> ReferenceModels:
    """Load a folder of the original's files."""
    detector = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    features = detector.roi_heads.box_predictor.cls_score.in_features
    detector.roi_heads.box_predictor = FastRCNNPredictor(features, 3)
    detector.load_state_dict(_state(folder / "segmentation.pth"))
    embedders: dict[str, nn.Module] = {}
    for part in BODY_PARTS:
        embedder = resnet101(weights=None)
        embedder.fc = nn.Sequential(nn.Linear(2048, 128, bias=False), _UnitLength())
        embedder.load_state_dict(_state(folder / f"pm_{part}.pth"))
        embedders[part] = embedder.eval()
    catalogues = {part: read_catalogue(folder / f"pm_identification_{part}_ind.csv") for part in BODY_PARTS}
    return ReferenceModels(detector.eval(), embedders, catalogues)


def read_catalogue(file: Path) -> list[tuple[str, np.ndarray]]:
    """Read a catalogue CSV: each individual's mean embedding in float64, in the order of their first rows."""
    rows: dict[str, list[list[float]]] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for name, _path, numbers in csv.reader(stream):
            rows.setdefault(name, []).append(json.loads(numbers))
    return [(name, np.mean(np.array(vectors, dtype=np.float64), axis=0)) for name, vectors in rows.items()]


def answer(models: ReferenceModels, photo: Path) -> ReferenceAnswer | None:
    """Segment, embed and rank one photo file; None where no box is found."""
    found = segment(models, photo)
    if found is None:
        return None
    box, part, score, lead = found
    embedding = embed(models, photo, box, part)
    return ReferenceAnswer(box, part, score, lead, embedding, rank(models.catalogues[part], embedding))


def segment(models: ReferenceModels, photo: Path) -> tuple[tuple[float, float, float, float], str, float, float] | None:
    """Return the best box in pixels of the photo, its body part, its score and its lead over the second-best."""
    image = Image.open(photo).convert("RGB")
    squashed = image.resize((_SIDE_PX, _SIDE_PX))
    prediction = models.detector([transforms.ToTensor()(squashed)])[0]
    if len(prediction["scores"]) == 0:
        return None
    best = int(torch.argmax(prediction["scores"]))
    x_min, y_min, x_max, y_max = prediction["boxes"][best].tolist()
    x_scale, y_scale = image.width / _SIDE_PX, image.height / _SIDE_PX
    box = (x_min * x_scale, y_min * y_scale, x_max * x_scale, y_max * y_scale)
    part = "fluke" if int(prediction["labels"][best]) == 1 else "flank"
    scores = sorted((float(score) for score in prediction["scores"].detach()), reverse=True)
    return box, part, scores[0], scores[0] - scores[1] if len(scores) > 1 else 1.0


def embed(models: ReferenceModels, photo: Path, box: tuple[float, float, float, float], part: str) -> np.ndarray:
    """Return the (128,) float32 embedding of the photo's box; opens the photo again, as the original does."""
    image = Image.open(photo).convert("RGB")
    x_min, y_min, x_max, y_max = box
    x_margin, y_margin = _MARGIN * (x_max - x_min), _MARGIN * (y_max - y_min)
    grown = (
        max(x_min - x_margin, 0),
        max(y_min - y_margin, 0),
        min(x_max + x_margin, image.width),
        min(y_max + y_margin, image.height),
    )
    prepare = transforms.Compose(
        [
            transforms.Resize((_SIDE_PX, _SIDE_PX)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    row = models.embedders[part](prepare(image.crop(grown)).unsqueeze(0))[0]
    return np.asarray(row.detach().numpy(), dtype=np.float32)


def rank(catalogue: Sequence[tuple[str, np.ndarray]], embedding: np.ndarray) -> list[tuple[str, float]]:
    """Return "Unknown" at 1 and every individual at its Euclidean distance, ascending; ties in that order."""
    query = embedding.astype(np.float64)
    distances = [(name, math.sqrt(float(np.sum((query - mean) ** 2)))) for name, mean in catalogue]
    return sorted([("Unknown", 1.0), *distances], key=lambda entry: entry[1])


def sequential_loop(models: ReferenceModels, photos: Sequence[Path]) -> list[ReferenceAnswer | None]:
    """Answer photos as the original does, for benchmarks: one at a time, each decoded twice, gradients on."""
    with torch.enable_grad():
        return [answer(models, photo) for photo in photos]


def _state(file: Path) -> dict[str, torch.Tensor]:
    state = torch.load(file, map_location="cpu", weights_only=True)
    return {key.removeprefix("module."): value for key, value in state.items()}

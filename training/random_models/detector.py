"""A detector of random weights whose best boxes are clear: another machine's rounding does not change them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN

from pipeline.errors import ModelFilesError
from pipeline.model_files import ModelFolder
from pipeline.networks.architectures import build_detector
from pipeline.photos.images import Photo, box_in_photo, detector_input, grow
from pipeline.records import BoundingBox
from training.random_models.calibration import read_directions, set_batch_norms, varied_directions

_MIN_LEAD = 2e-3
"""The best box leads by this score at least, so that rounding does not change which one it is."""

_MIN_EDGE_PX = 0.02
"""The crop's edges stay this far from the half pixels where PIL's rounding turns over."""

_MIN_SIDE_PX = 16.0
"""The best box's sides are at least this long, in the detector's input."""

_ATTEMPTS = 1000
_SHIFTS = 60
_SHIFT_DELTA = 0.2
_DIRECTIONS = 12
_SAMPLED_REGIONS = 500
_MIN_SPREAD = 0.03
_OBJECTNESS_SPREAD = 1.0
_PROPOSAL_SPREAD = 0.3
_LOGIT_SPREAD = 1.2
_DELTA_SPREAD = 1.0
_BACKGROUND_LOGIT = 1.5
_GROWTH_DELTA = 4.0
"""Added to the deltas of width and height: random networks prefer small proposals, and this makes 2.2 times of them."""


@dataclass(frozen=True, slots=True)
class BestBox:
    """The best box of one photo, in pixels of the photo."""

    box_px: BoundingBox
    body_part: str


@dataclass(frozen=True, slots=True)
class _Regions:
    """What the first stage makes of one photo: everything that does not depend on the last layers."""

    photo: Photo
    proposals: list[Tensor]
    image_sizes: list[tuple[int, int]]
    features: Tensor


def random_detector(folder: ModelFolder, photos: Sequence[Photo]) -> tuple[FasterRCNN, tuple[BestBox, ...]]:
    """Build a detector of random weights and calibrate it on photos.

    Draws the last layers again until, in every photo, the best box leads clearly, is not tiny, and its crop has no edge
    on a rounding boundary, and until every body part is the best one of some photo.

    Args:
        folder: names the architecture, a Faster R-CNN.
        photos: to calibrate on, two or more.

    Returns:
        The detector in evaluation mode and each photo's best box.

    Raises:
        ModelFilesError: no draw satisfies all photos (too many of them, or all alike).
    """
    network = build_detector(folder.segmenter)
    if not isinstance(network, FasterRCNN):
        raise ModelFilesError(f"random weights for {folder.segmenter.architecture} cannot be calibrated")
    side_px = folder.segmenter.input_size_px
    images = [_tensor(photo, side_px) for photo in photos]
    with torch.no_grad():
        normalised = torch.stack([network.transform.normalize(image) for image in images])
        set_batch_norms(network.backbone, normalised)
        network.eval()
        _spread_proposals(network, normalised)
        regions = [_regions(network, photo, image) for photo, image in zip(photos, images, strict=True)]
        return network, _draw_last_layers(network, regions, folder)


def _tensor(photo: Photo, side_px: int) -> Tensor:
    return torch.from_numpy(detector_input(photo, side_px)).permute(2, 0, 1).contiguous().float().div(255.0)


def _spread_proposals(network: FasterRCNN, normalised: Tensor) -> None:
    """Scale the region proposal network's last layers to the spread that their outputs shall have."""
    head = network.rpn.head
    objectness, deltas = head(list(network.backbone(normalised).values()))
    for layer, outputs, spread in (
        (head.cls_logits, objectness, _OBJECTNESS_SPREAD),
        (head.bbox_pred, deltas, _PROPOSAL_SPREAD),
    ):
        layer.weight.mul_(spread / torch.cat([level.flatten() for level in outputs]).std())


def _regions(network: FasterRCNN, photo: Photo, image: Tensor) -> _Regions:
    enlarged, _ = network.transform([image])
    maps = network.backbone(enlarged.tensors)
    proposals, _ = network.rpn(enlarged, maps)
    pooled = network.roi_heads.box_roi_pool(maps, proposals, enlarged.image_sizes)
    return _Regions(photo, proposals, enlarged.image_sizes, network.roi_heads.box_head(pooled))


def _draw_last_layers(network: FasterRCNN, regions: Sequence[_Regions], folder: ModelFolder) -> tuple[BestBox, ...]:
    features = torch.cat([region.features for region in regions])
    sample = features[:: max(1, len(features) // _SAMPLED_REGIONS)]
    mean, directions = varied_directions(sample, _DIRECTIONS, _MIN_SPREAD)
    for _ in range(_ATTEMPTS):
        _draw_predictor(network.roi_heads.box_predictor, mean, directions)
        if _best_boxes(network, regions, folder, min_edge_px=0.0):
            best = _shift_edges(network, regions, folder)
            if best:
                return best
    raise ModelFilesError(f"no random detector in {_ATTEMPTS} has clear best boxes in all {len(regions)} photos")


def _shift_edges(network: FasterRCNN, regions: Sequence[_Regions], folder: ModelFolder) -> tuple[BestBox, ...]:
    """Shift all boxes a little until no crop edge of a best one is near a rounding boundary; empty if none does."""
    bias = network.roi_heads.box_predictor.bbox_pred.bias
    drawn = bias.clone()
    for _ in range(_SHIFTS):
        bias.copy_(drawn + _SHIFT_DELTA * torch.randn_like(drawn))
        best = _best_boxes(network, regions, folder, _MIN_EDGE_PX)
        if best:
            return best
    return ()


def _draw_predictor(predictor: nn.Module, mean: Tensor, directions: Tensor) -> None:
    for layer, spread in ((predictor.cls_score, _LOGIT_SPREAD), (predictor.bbox_pred, _DELTA_SPREAD)):
        assert isinstance(layer, nn.Linear)
        read_directions(layer, mean, directions, torch.full((layer.out_features,), spread))
    assert isinstance(predictor.cls_score, nn.Linear)
    assert isinstance(predictor.bbox_pred, nn.Linear)
    predictor.cls_score.bias[0] += _BACKGROUND_LOGIT
    predictor.bbox_pred.bias.view(-1, 4)[:, 2:] += _GROWTH_DELTA


def _best_boxes(
    network: FasterRCNN, regions: Sequence[_Regions], folder: ModelFolder, min_edge_px: float
) -> tuple[BestBox, ...]:
    """Return each photo's best box; nothing where one of them is not clear, or a body part is never the best."""
    found = []
    for region in regions:
        best = _best_box(network, region, folder, min_edge_px)
        if best is None:
            return ()
        found.append(best)
    return tuple(found) if {box.body_part for box in found} == set(folder.body_part_names) else ()


def _best_box(network: FasterRCNN, region: _Regions, folder: ModelFolder, min_edge_px: float) -> BestBox | None:
    side_px = folder.segmenter.input_size_px
    logits, deltas = network.roi_heads.box_predictor(region.features)
    boxes, scores, labels = network.roi_heads.postprocess_detections(
        logits, deltas, region.proposals, region.image_sizes
    )
    answers = [{"boxes": boxes[0], "scores": scores[0], "labels": labels[0]}]
    answer = network.transform.postprocess(answers, region.image_sizes, [(side_px, side_px)])[0]
    if len(answer["scores"]) < 2 or answer["scores"][0] - answer["scores"][1] < _MIN_LEAD:
        return None
    box = BoundingBox(*answer["boxes"][0].tolist())
    box_px = box_in_photo(box, region.photo.size_px, side_px)
    part = folder.part(folder.segmenter.labels[int(answer["labels"][0]) - 1])
    edges_px = grow(box_px, region.photo.size_px, part.margin).xyxy()
    clear = _shortest_side_px(box) >= _MIN_SIDE_PX and _from_half_px(edges_px) >= min_edge_px
    return BestBox(box_px, part.name) if clear else None


def _shortest_side_px(box: BoundingBox) -> float:
    return min(box.x_max_px - box.x_min_px, box.y_max_px - box.y_min_px)


def _from_half_px(edges_px: tuple[float, ...]) -> float:
    """Return how far the nearest edge is from a half pixel, where PIL's rounding turns over."""
    return min(abs(edge - math.floor(edge) - 0.5) for edge in edges_px)

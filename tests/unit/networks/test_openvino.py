"""OpenVINO beside torch: the same answers, and a reason where it cannot run a network."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import SettingsError
from pipeline.model_files import BodyPartSpec, SegmenterSpec
from pipeline.networks.architectures import build_detector, build_embedder
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import box_in_photo, crop, detector_input
from training.random_models.pictures import draw_pictures

pytest.importorskip("openvino")

from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.openvino import compile_detector, compile_embedder


class Sorts(nn.Module):
    """No neural network, and made of an operation that OpenVINO does not know."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(rows[..., :3, :3]).real


def embedder(architecture, dimension=16):
    part = BodyPartSpec.model_validate({"name": "fin", "architecture": architecture, "dimension": dimension})
    return build_embedder(part).eval().requires_grad_(False)


def test_boxes_agree_within_a_tenth_of_a_pixel_and_embeddings_to_four_nines(narrow_folder):
    photos = draw_pictures(12, seed=21)
    pictures = [detector_input(photo) for photo in photos]
    found = {
        backend: SegmentationNetwork(narrow_folder, backend=backend).detect(pictures)
        for backend in ("torch", "openvino")
    }
    embedders = [EmbeddingNetwork(narrow_folder, "flank", backend=backend) for backend in ("torch", "openvino")]
    for photo, by_torch, by_openvino in zip(photos, found["torch"], found["openvino"], strict=True):
        boxes = [box_in_photo(answer.items[0].box, photo.size_px) for answer in (by_torch, by_openvino)]
        np.testing.assert_allclose(boxes[0].xyxy(), boxes[1].xyxy(), atol=0.1)
        first, second = (network.embed([crop(photo, boxes[0])])[0].values for network in embedders)
        assert float(first @ second) >= 0.9999


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"])
@pytest.mark.parametrize("count", [1, 3])
def test_other_embedders_compile_for_batches_of_any_size(architecture, count):
    torch.manual_seed(0)
    network = embedder(architecture)
    images = torch.rand(count, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(compile_embedder(network, 64, 1)(images), network(images), atol=1e-4, rtol=1e-3)


def test_a_detector_without_two_stages_is_refused():
    network = build_detector(SegmenterSpec(architecture="ssdlite320_mobilenet_v3_large", labels=("fin",))).eval()
    with pytest.raises(SettingsError, match="SSD has no two stages"):
        compile_detector(network, 224, 1)


def test_an_operation_that_openvino_lacks_is_refused_with_its_reason():
    with pytest.raises(SettingsError, match=r"cannot convert Sorts: ."):
        compile_embedder(Sorts(), 32, 1)


def test_nothing_is_reported_to_openvinos_maker(monkeypatch):
    sent = []
    telemetry = pytest.importorskip("openvino_telemetry")
    monkeypatch.setattr(telemetry.Telemetry, "send_event", lambda *event, **_: sent.append(event))
    compile_embedder(embedder("resnet18"), 64, 1)
    assert sent == []

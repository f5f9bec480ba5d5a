"""The registry of networks: names, shapes, heads and the original's keys."""

import pytest
import torch
from torch import nn

from pipeline.errors import ModelFilesError
from pipeline.model_files import BodyPartSpec, ModelsSpec, SegmenterSpec
from pipeline.networks.architectures import (
    NARROW_DETECTOR,
    NARROW_EMBEDDER,
    build_detector,
    build_embedder,
    detector_names,
)


def part(architecture, dimension=128):
    return BodyPartSpec.model_validate({"name": "fin", "architecture": architecture, "dimension": dimension})


def segmenter(architecture, labels=("fluke", "flank"), **fields):
    return SegmenterSpec(architecture=architecture, labels=labels, **fields)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_originals_embedder_has_the_originals_head():
    state = build_embedder(ModelsSpec().body_parts[0]).state_dict()
    assert state["fc.0.weight"].shape == (128, 2048)
    assert [key for key in state if key.startswith("fc")] == ["fc.0.weight"]


def test_the_originals_detector_has_three_classes_and_no_frozen_batch_norms():
    network = build_detector(ModelsSpec().segmenter)
    assert network.roi_heads.box_predictor.cls_score.weight.shape == (3, 1024)
    assert network.roi_heads.box_predictor.bbox_pred.weight.shape == (12, 1024)
    assert "backbone.body.bn1.num_batches_tracked" in network.state_dict()


@pytest.mark.parametrize(
    ("network", "expected_millions"),
    [(lambda: build_embedder(part(NARROW_EMBEDDER)), 0.72), (lambda: build_detector(segmenter(NARROW_DETECTOR)), 1.64)],
)
def test_the_narrow_networks_are_small(network, expected_millions):
    assert parameters(network()) / 1e6 == pytest.approx(expected_millions, abs=0.02)


@pytest.mark.parametrize("architecture", [NARROW_EMBEDDER, "resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("dimension", [16, 128])
def test_every_embedder_answers_unit_rows_of_its_dimension(architecture, dimension):
    network = build_embedder(part(architecture, dimension)).eval()
    with torch.inference_mode():
        rows = network(torch.rand(3, 3, 96, 96))
    assert rows.shape == (3, dimension)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


def test_the_narrow_detector_trains():
    network = build_detector(segmenter(NARROW_DETECTOR, input_size_px=128)).train()
    images = [torch.rand(3, 128, 128) for _ in range(2)]
    targets = [{"boxes": torch.tensor([[10.0, 20.0, 90.0, 60.0]]), "labels": torch.tensor([1])}] * 2
    losses = network(images, targets)
    sum(losses.values()).backward()
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    assert all(parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad)


def test_the_narrow_embedder_trains():
    network = build_embedder(part(NARROW_EMBEDDER)).train()
    network(torch.rand(4, 3, 64, 64))[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_detectors_input_is_not_enlarged_where_it_is_narrow():
    network = build_detector(segmenter(NARROW_DETECTOR, input_size_px=160)).eval()
    enlarged, _ = network.transform([torch.rand(3, 160, 160)])
    assert enlarged.tensors.shape == (1, 3, 160, 160)


@pytest.mark.parametrize("architecture", [NARROW_DETECTOR, "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_labels_and_normalisation_reach_the_detector(architecture):
    network = build_detector(segmenter(architecture, labels=("fin",), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)))
    assert network.roi_heads.box_predictor.cls_score.out_features == 2
    assert list(network.transform.image_mean) == [0.1, 0.2, 0.3]
    assert list(network.transform.image_std) == [0.4, 0.5, 0.6]


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50", "resnet101", "fcn_resnet50", ""])
def test_an_unknown_detector_is_refused_with_names_near_to_it(name):
    with pytest.raises(ModelFilesError, match="unknown detector architecture") as refused:
        build_detector(segmenter(name))
    assert any(known in str(refused.value) for known in detector_names())


@pytest.mark.parametrize("name", ["resnet1001", "fasterrcnn_resnet50_fpn", "r3d_18"])
def test_an_unknown_embedder_is_refused(name):
    with pytest.raises(ModelFilesError, match="unknown embedder architecture"):
        build_embedder(part(name))


def test_a_classifier_without_a_last_linear_layer_is_refused():
    with pytest.raises(ModelFilesError, match="squeezenet1_0 of fin does not end in a linear layer"):
        build_embedder(part("squeezenet1_0"))


def test_no_network_is_fetched_from_the_internet(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    assert isinstance(build_embedder(part("resnet18")), nn.Module)
    assert isinstance(build_detector(segmenter("fasterrcnn_mobilenet_v3_large_320_fpn")), nn.Module)

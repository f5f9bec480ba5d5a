"""The detector's network in training: box arithmetic stays exact in bfloat16; initial weights go where they belong."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from pipeline.model_files import SegmenterSpec
from pipeline.networks.architectures import NARROW_DETECTOR, NarrowResNet, build_detector
from training.errors import InitialWeightsError, TrainingError
from training.segmenter.initial_weights import initial_file, load_detector_weights
from training.segmenter.network import ARCHITECTURES, build_network, total_loss

SIDE = 64
PREDICTOR = "roi_heads.box_predictor"


def spec(*labels: str, architecture: str = NARROW_DETECTOR) -> SegmenterSpec:
    return SegmenterSpec(architecture=architecture, labels=labels or ("fluke", "flank"), input_size_px=SIDE)


def photos() -> tuple[Tensor, list[dict[str, Tensor]]]:
    pictures = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    animal = {"boxes": torch.tensor([[8.0, 16.0, 40.0, 48.0]]), "labels": torch.tensor([1])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    return pictures, [animal, empty]


def formats_of(network: nn.Module, bfloat16: bool) -> dict[str, torch.dtype]:
    """The number formats of what the parts answer in one training step."""
    seen: dict[str, torch.dtype] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, outputs: Any) -> None:
            while not isinstance(outputs, Tensor):
                outputs = next(iter(outputs.values())) if isinstance(outputs, dict) else outputs[0]
            seen[name] = outputs.dtype

        return hook

    for name in ("backbone.body.conv1", "backbone", "rpn.head", PREDICTOR):
        network.get_submodule(name).register_forward_hook(note(name))
    network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        total_loss(network, *photos())
    return seen


def test_under_autocast_convolutions_round_and_boxes_do_not() -> None:
    assert formats_of(build_network(spec()), bfloat16=True) == {
        "backbone.body.conv1": torch.bfloat16,
        "backbone": torch.float32,
        "rpn.head": torch.float32,
        PREDICTOR: torch.float32,
    }


def test_without_the_hooks_boxes_would_be_rounded() -> None:
    plain = build_detector(spec())
    assert formats_of(plain, bfloat16=True)["rpn.head"] == torch.bfloat16


def test_the_hooks_change_nothing_in_float32() -> None:
    network, plain = build_network(spec()).eval(), build_detector(spec()).eval()
    plain.load_state_dict(network.state_dict())
    images = [photos()[0][0].float() / 255.0]
    with torch.inference_mode():
        ours, theirs = network(images)[0], plain(images)[0]
    assert torch.equal(ours["boxes"], theirs["boxes"])
    assert torch.equal(ours["scores"], theirs["scores"])


def test_loss_is_the_sum_of_four_and_learns_from_empty_photos() -> None:
    network = build_network(spec()).train()
    pictures, targets = photos()
    torch.manual_seed(5)
    loss = total_loss(network, pictures, targets)
    torch.manual_seed(5)
    parts = network(list(pictures.float() / 255.0), targets)
    assert len(parts) == 4
    assert loss.item() == pytest.approx(sum(part.item() for part in parts.values()))
    assert torch.isfinite(total_loss(network, pictures[1:], targets[1:]))


def test_only_faster_rcnns_are_trained() -> None:
    assert NARROW_DETECTOR in ARCHITECTURES
    assert "fasterrcnn_resnet50_fpn" in ARCHITECTURES
    with pytest.raises(TrainingError, match="retinanet_resnet50_fpn: is none of fasterrcnn_"):
        build_network(spec(architecture="retinanet_resnet50_fpn"))


# --- initial weights ---


def saved(network: nn.Module, folder: Path) -> Path:
    file = folder / "initial.pth"
    torch.save(network.state_dict(), file)
    return file


def test_former_detector_is_taken_as_it_is(tmp_path: Path) -> None:
    former, network = build_detector(spec()), build_network(spec())
    load_detector_weights(network, saved(former, tmp_path))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in former.state_dict().items())


def test_detector_of_other_body_parts_gives_all_but_its_last_layer(tmp_path: Path) -> None:
    former, network = build_detector(spec("fin")), build_network(spec())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_detector_weights(network, saved(former, tmp_path))
    for name, value in network.state_dict().items():
        source = before if name.startswith(PREDICTOR) else former.state_dict()
        assert torch.equal(value, source[name]), name


def test_classifier_goes_into_the_backbone(tmp_path: Path) -> None:
    classifier, network = NarrowResNet((24, 48, 96, 160)), build_network(spec())
    load_detector_weights(network, saved(classifier, tmp_path))
    assert torch.equal(network.backbone.body.layer4[0].conv1.weight, classifier.layer4[0].conv1.weight)
    assert torch.equal(network.backbone.body.conv1.weight, classifier.conv1.weight)


def test_torchvisions_mobilenet_goes_into_its_detector(tmp_path: Path) -> None:
    classifier = torchvision.models.mobilenet_v3_large(weights=None)
    network = build_network(spec(architecture="fasterrcnn_mobilenet_v3_large_320_fpn"))
    load_detector_weights(network, saved(classifier, tmp_path))
    assert torch.equal(network.backbone.body["0"][0].weight, classifier.features[0][0].weight)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InitialWeightsError, match=r"neither this detector nor its backbone.*layer4"):
        load_detector_weights(build_network(spec()), saved(NarrowResNet(), tmp_path))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "initial.pth").write_text("no weights")
    with pytest.raises(InitialWeightsError, match="is not a checkpoint"):
        load_detector_weights(build_network(spec()), tmp_path / "initial.pth")


def test_there_are_no_imagenet_weights_for_the_narrow_detector() -> None:
    with pytest.raises(InitialWeightsError, match="no such weights for fasterrcnn_narrow_resnet_fpn"):
        initial_file("imagenet", NARROW_DETECTOR)
    assert initial_file(None, NARROW_DETECTOR) is None

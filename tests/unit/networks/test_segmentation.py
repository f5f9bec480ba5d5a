"""The detector: batches in, boxes out, with every backend."""

import hashlib
import threading

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import ModelFilesError
from pipeline.model_files import ModelFolder, SegmenterSpec
from pipeline.networks.architectures import build_detector
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import detector_input
from pipeline.records import Detections, Failure
from training.random_models.pictures import draw_pictures

BACKENDS = ("torch", "openvino")


@pytest.fixture(scope="module")
def pictures():
    return [detector_input(photo) for photo in draw_pictures(5, seed=11)]


@pytest.fixture(scope="module", params=BACKENDS)
def network(request, narrow_folder):
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return SegmentationNetwork(narrow_folder, backend=request.param)


def by_torchvision(folder, picture):
    """The network's own answer, by torchvision's own forward pass."""
    detector = build_detector(folder.segmenter)
    detector.load_state_dict(torch.load(folder.segmenter_file, weights_only=True))
    image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255.0
    with torch.no_grad():
        return detector.eval()([image])[0]


def edges(detections):
    return np.array([detection.box.xyxy() for detection in detections.items])


def test_the_answers_are_torchvisions(network, narrow_folder, pictures):
    for found, picture in zip(network.detect(pictures), pictures, strict=True):
        expected = by_torchvision(narrow_folder, picture)
        assert len(found.items) == len(expected["scores"]) > 5
        np.testing.assert_allclose(edges(found)[0], expected["boxes"][0], atol=0.01)
        np.testing.assert_allclose([item.score for item in found.items], expected["scores"], atol=1e-4)
        assert found.items[0].body_part == ("fluke", "flank")[int(expected["labels"][0]) - 1]


def test_the_best_score_comes_first(network, pictures):
    for found in network.detect(pictures):
        scores = [item.score for item in found.items]
        assert scores == sorted(scores, reverse=True)


def test_a_batch_answers_as_its_pictures_do_alone(network, pictures):
    for together, picture in zip(network.detect(pictures), pictures, strict=True):
        (alone,) = network.detect([picture])
        np.testing.assert_allclose(edges(together)[:3], edges(alone)[:3], atol=0.01)


def test_a_bad_picture_does_not_sink_its_batch(network, pictures):
    answers = network.detect([pictures[0], np.zeros((10, 10, 3), np.uint8), pictures[1]])
    assert [type(answer) for answer in answers] == [Detections, Failure, Detections]
    np.testing.assert_allclose(edges(answers[2])[:3], edges(network.detect([pictures[1]])[0])[:3], atol=0.01)


def test_an_empty_batch_has_no_answers(network):
    assert network.detect([]) == []


def test_the_model_is_named_by_its_weights(network, narrow_folder, pictures):
    expected = hashlib.sha256(narrow_folder.segmenter_file.read_bytes()).hexdigest()[:12]
    assert network.model == expected
    assert network.detect(pictures[:1])[0].model == expected


def test_warming_up_changes_no_answer(network, pictures):
    before = edges(network.detect(pictures[:1])[0])
    network.warm_up()
    np.testing.assert_array_equal(edges(network.detect(pictures[:1])[0]), before)


def test_threads_share_a_network(network, pictures):
    expected = edges(network.detect(pictures[:1])[0])
    found = []
    workers = [threading.Thread(target=lambda: found.append(network.detect(pictures[:1])[0])) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    for detections in found:
        np.testing.assert_allclose(edges(detections)[:3], expected[:3], atol=0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_picture_without_proposals_has_no_boxes(narrow_folder, tmp_path, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")
    state = torch.load(narrow_folder.segmenter_file, weights_only=True)
    state["rpn.head.bbox_pred.bias"] = torch.full_like(state["rpn.head.bbox_pred.bias"], -1e6)  # all boxes far outside
    (folder := tmp_path / "models").mkdir()
    torch.save(state, folder / "segmentation.pth")
    moved = ModelFolder(folder, "", "", narrow_folder.segmenter, narrow_folder.body_parts)
    (found,) = SegmentationNetwork(moved, backend=backend).detect([np.zeros((224, 224, 3), np.uint8)])
    assert found.items == ()


@pytest.mark.parametrize("architecture", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_other_detectors_of_torchvision_answer_too(tmp_path, narrow_folder, architecture):
    spec = SegmenterSpec(architecture=architecture, labels=("fin",))
    detector = build_detector(spec)
    torch.save(detector.state_dict(), tmp_path / spec.file)
    network = SegmentationNetwork(ModelFolder(tmp_path, "", "", spec, ()), backend="torch")
    (found,) = network.detect([np.zeros((224, 224, 3), np.uint8)])
    assert isinstance(found, Detections)
    assert {item.body_part for item in found.items} <= {"fin"}


def test_wrong_weights_are_refused(tmp_path, narrow_folder):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "segmentation.pth")
    folder = ModelFolder(tmp_path, "", "", narrow_folder.segmenter, narrow_folder.body_parts)
    with pytest.raises(ModelFilesError, match=r"segmentation\.pth: does not fit"):
        SegmentationNetwork(folder)

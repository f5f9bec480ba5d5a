"""The embedder: crops in, unit embeddings out, with every backend."""

import hashlib

import numpy as np
import pytest
import torch

from pipeline.model_files import ModelFolder
from pipeline.networks.architectures import build_embedder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.photos.images import detector_input
from pipeline.records import Embedding, Failure
from training.random_models.pictures import draw_pictures

BACKENDS = ("torch", "openvino")


@pytest.fixture(scope="module")
def crops():
    return [detector_input(photo) for photo in draw_pictures(5, seed=12)]


@pytest.fixture(scope="module", params=BACKENDS)
def network(request, narrow_folder):
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return EmbeddingNetwork(narrow_folder, "fluke", backend=request.param)


def by_hand(folder, crop):
    """The network's answer to torchvision's own preparation of the picture."""
    embedder = build_embedder(folder.part("fluke"))
    embedder.load_state_dict(torch.load(folder.embedder_file("fluke"), weights_only=True))
    channels = crop.astype(np.float64).transpose(2, 0, 1) / 255.0
    normalised = [(channels[0] - 0.485) / 0.229, (channels[1] - 0.456) / 0.224, (channels[2] - 0.406) / 0.225]
    with torch.no_grad():
        return embedder.eval()(torch.from_numpy(np.stack(normalised)).float()[None])[0].numpy()


def test_embeddings_are_the_networks_own_for_imagenet_normalised_pixels(network, narrow_folder, crops):
    for embedding, crop in zip(network.embed(crops), crops, strict=True):
        assert embedding.values.dtype == np.float32
        assert embedding.values.shape == (128,) == (network.dimension,)
        np.testing.assert_allclose(embedding.values, by_hand(narrow_folder, crop), atol=2e-5)


def test_embeddings_have_unit_length_and_differ(network, crops):
    values = np.stack([embedding.values for embedding in network.embed(crops)])
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1.0, atol=1e-5)
    cosines = values @ values.T - np.eye(len(crops))
    assert cosines.max() < 0.99


def test_a_batch_answers_as_its_crops_do_alone(network, crops):
    for together, crop in zip(network.embed(crops), crops, strict=True):
        np.testing.assert_allclose(together.values, network.embed([crop])[0].values, atol=2e-5)


def test_a_bad_crop_does_not_sink_its_batch(network, crops):
    answers = network.embed([crops[0], crops[1].astype(np.float32), None, crops[2]])
    assert [type(answer) for answer in answers] == [Embedding, Failure, Failure, Embedding]


def test_embeddings_name_their_weights(network, narrow_folder, crops):
    expected = hashlib.sha256(narrow_folder.embedder_file("fluke").read_bytes()).hexdigest()[:12]
    assert network.model == expected == network.embed(crops[:1])[0].model


def test_answers_outlive_the_next_call(network, crops):
    first = network.embed(crops[:1])[0].values
    kept = first.copy()
    network.embed(crops[1:])
    np.testing.assert_array_equal(first, kept)


def test_an_embedding_that_is_not_finite_is_a_failure(tmp_path, narrow_folder, crops):
    state = torch.load(narrow_folder.embedder_file("fluke"), weights_only=True)
    state["fc.0.weight"][:] = float("nan")
    torch.save(state, tmp_path / "pm_fluke.pth")
    folder = ModelFolder(tmp_path, "", "", narrow_folder.segmenter, narrow_folder.body_parts)
    answers = EmbeddingNetwork(folder, "fluke", backend="torch").embed(crops[:2])
    assert [answer.code for answer in answers] == ["failed", "failed"]
    assert "not finite" in answers[0].message


def test_an_unknown_body_part_is_a_key_error(narrow_folder):
    with pytest.raises(KeyError, match="fin"):
        EmbeddingNetwork(narrow_folder, "fin")

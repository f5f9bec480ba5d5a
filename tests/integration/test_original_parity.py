"""The original's weight files give the original's boxes and embeddings, with every backend (few photos: it is slow)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.model_files import MODELS_FILE, ModelFolder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import box_in_photo, crop, decode_photo, detector_input
from tests import reference
from training.random_models import make_random_models
from training.random_models.pictures import draw_pictures

pytestmark = pytest.mark.slow

BACKENDS = ("torch", "openvino")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.jpg" for number in range(2)]
    for path, picture in zip(paths, draw_pictures(2, seed=8), strict=True):
        picture.image.save(path, quality=90)
    return paths


@pytest.fixture(scope="module")
def folder(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    decoded = [decode_photo(path.read_bytes(), path.name) for path in photos]
    return make_random_models(tmp_path_factory.mktemp("models") / "seed", "seed", photos=decoded, module_prefix=True)


@pytest.fixture(scope="module")
def expected(folder: ModelFolder, photos: list[Path]) -> list[reference.ReferenceAnswer]:
    models = reference.load_models(folder.path)
    with torch.inference_mode():
        answers = [reference.answer(models, photo) for photo in photos]
    return [answer for answer in answers if answer is not None]


def test_the_originals_files_need_no_models_yaml(folder):
    assert not (folder.path / MODELS_FILE).exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_boxes_and_embeddings_are_the_originals(folder, photos, expected, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")
    assert len(expected) == len(photos)
    decoded = [decode_photo(path.read_bytes(), path.name) for path in photos]
    found = SegmentationNetwork(folder, backend=backend).detect([detector_input(photo) for photo in decoded])
    for photo, detections, wanted in zip(decoded, found, expected, strict=True):
        best = detections.items[0]
        box_px = box_in_photo(best.box, photo.size_px)
        assert best.body_part == wanted.body_part
        np.testing.assert_allclose(box_px.xyxy(), wanted.box_xyxy_px, atol=0.1)
        (embedding,) = EmbeddingNetwork(folder, best.body_part, backend=backend).embed([crop(photo, box_px)])
        assert float(embedding.values @ wanted.embedding) >= 0.9999
        ranking = reference.rank(reference.read_catalogue(folder.catalogue_file(best.body_part)), embedding.values)
        assert [name for name, _ in ranking] == [name for name, _ in wanted.ranking]

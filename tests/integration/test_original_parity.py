"""The original's weight files give the original's boxes and embeddings, with every backend (few photos: it is slow)."""

import numpy as np
import pytest

from pipeline.model_files import MODELS_FILE, load_model_folder
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import box_in_photo, crop, decode_photo, detector_input
from tests import reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BACKENDS = ("torch", "openvino")
PHOTOS = 2


def test_the_originals_files_need_no_models_yaml(seed_models):
    assert not (seed_models / MODELS_FILE).exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_boxes_and_embeddings_are_the_originals(seed_models, original_cases, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")
    folder = load_model_folder(seed_models)
    cases = original_cases[:PHOTOS]
    decoded = [decode_photo(case.photo.read_bytes(), case.photo.name) for case in cases]
    found = SegmentationNetwork(folder, backend=backend).detect([detector_input(photo) for photo in decoded])
    for photo, detections, case in zip(decoded, found, cases, strict=True):
        wanted = case.expected
        best = detections.items[0]
        box_px = box_in_photo(best.box, photo.size_px)
        assert best.body_part == wanted.body_part
        np.testing.assert_allclose(box_px.xyxy(), wanted.box_xyxy_px, atol=0.1)
        (embedding,) = EmbeddingNetwork(folder, best.body_part, backend=backend).embed([crop(photo, box_px)])
        assert float(embedding.values @ wanted.embedding) >= 0.9999
        ranking = reference.rank(reference.read_catalogue(folder.catalogue_file(best.body_part)), embedding.values)
        assert [name for name, _ in ranking] == [name for name, _ in wanted.ranking]

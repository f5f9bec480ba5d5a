"""The served answers are the original's, for weight files and catalogues in the original's own format."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.images import decode_photo
from pipeline.random_models import make_random_models
from pipeline.random_models.pictures import draw_pictures
from tests import reference
from tests.e2e.conftest import free_port
from tests.e2e.running import Service, start_service

pytestmark = pytest.mark.serve

PHOTOS = 12
MAX_BOX_DIFFERENCE_PX = 0.1
MIN_COSINE = 0.9999
MAX_DISTANCE_DIFFERENCE = 1e-3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos of several sizes, both formats and several qualities."""
    folder = tmp_path_factory.mktemp("photos")
    kinds = [("jpg", {"quality": 90}), ("jpg", {"quality": 75, "progressive": True}), ("png", {})]
    paths = []
    for place, picture in enumerate(draw_pictures(PHOTOS, seed=3)):
        suffix, options = kinds[place % len(kinds)]
        paths.append(folder / f"photo {place}.{suffix}")
        picture.image.save(paths[-1], **options)
    return paths


@pytest.fixture(scope="module")
def models_dir(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in exactly the original's files, with its `module.` prefix, calibrated on these photos."""
    folder = tmp_path_factory.mktemp("models") / "seed"
    decoded = [decode_photo(path.read_bytes(), path.name) for path in photos]
    make_random_models(folder, "seed", photos=decoded, module_prefix=True)
    return folder


@pytest.fixture(scope="module")
def expected(models_dir: Path, photos: list[Path]) -> list[reference.ReferenceAnswer]:
    models = reference.load_models(models_dir)
    answers = [reference.answer(models, photo) for photo in photos]
    assert None not in answers
    return [answer for answer in answers if answer is not None]


@pytest.fixture(scope="module", params=["torch", "openvino"])
def running(
    request: pytest.FixtureRequest, ray_cluster: None, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    service = start_service(models_dir, tmp_path_factory.mktemp("service"), free_port(), backend=request.param)
    assert request.param in service.health()["backends"]["Segmenter"]
    yield service
    service.stop()


def test_boxes_embeddings_and_rankings_are_the_originals(running, photos, expected):
    assert {answer.body_part for answer in expected} == set(reference.BODY_PARTS)
    entries = ask(running, type="extract", id="1", fileNames=[str(photo) for photo in photos])
    answers = ask(running, type="identify", id="2", data=[_as_query(entry) for entry in entries])
    for entry, answer, wanted in zip(entries, answers, expected, strict=True):
        assert entry["type"] == wanted.body_part
        assert np.abs(np.array(entry["box_xyxy_px"]) - wanted.box_xyxy_px).max() < MAX_BOX_DIFFERENCE_PX
        assert cosine(entry["embedding"], wanted.embedding) >= MIN_COSINE
        names, distances = zip(*answer["identities"], strict=True)
        wanted_names, wanted_distances = zip(*wanted.ranking, strict=True)
        assert names == wanted_names
        assert np.abs(np.subtract(distances, wanted_distances)).max() < MAX_DISTANCE_DIFFERENCE


def ask(service: Service, **message: object) -> list[dict]:
    with service.connect() as websocket:
        websocket.send(json.dumps(message))
        while "data" not in (answer := json.loads(websocket.recv(timeout=120))):
            assert answer["type"] == "progress", answer
    return answer["data"]


def _as_query(entry: dict) -> dict:
    return {key: entry[key] for key in ("path", "type", "embedding")}


def cosine(one: list[float], other: np.ndarray) -> float:
    vector = np.array(one)
    return float(vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other)))

"""The served answers are the original's, for weight files and catalogues in the original's own format."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.photos.images import grow
from pipeline.records import BoundingBox
from tests import reference
from tests.e2e.conftest import free_port
from tests.e2e.running import Service, start_service
from training.random_models import make_random_models
from training.random_models.pictures import draw_pictures

pytestmark = pytest.mark.serve

PHOTOS = 12
MAX_BOX_DIFFERENCE_PX = 0.1
MIN_COSINE = 0.9999
MAX_DISTANCE_DIFFERENCE = 1e-3
MIN_LEAD = 1e-3
MIN_EDGE_PX = 0.01


@dataclass(frozen=True)
class Case:
    """A photo whose answer does not hang on a rounding, and the original's answer."""

    photo: Path
    expected: reference.ReferenceAnswer


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in exactly the original's files, with its `module.` prefix."""
    folder = tmp_path_factory.mktemp("models") / "seed"
    make_random_models(folder, "seed", module_prefix=True)
    return folder


@pytest.fixture(scope="module")
def cases(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """The first twelve photos, of several sizes, formats and qualities, whose best box leads clearly."""
    models = reference.load_models(models_dir)
    found: list[Case] = []
    for photo in candidates(tmp_path_factory.mktemp("photos")):
        with torch.inference_mode():
            answer = reference.answer(models, photo)
        if answer is not None and is_clear(answer, photo):
            found.append(Case(photo, answer))
        if len(found) == PHOTOS and len({case.expected.body_part for case in found}) == len(reference.BODY_PARTS):
            break
    assert len(found) >= PHOTOS
    return found


def candidates(folder: Path) -> Iterator[Path]:
    kinds = [("jpg", {"quality": 90}), ("png", {}), ("jpg", {"quality": 75, "progressive": True}), ("png", {})]
    pictures = [picture for pair in zip(draw_pictures(20, 0), draw_pictures(20, 3), strict=True) for picture in pair]
    for place, picture in enumerate(pictures):
        suffix, options = kinds[place % len(kinds)]
        path = folder / f"photo {place}.{suffix}"
        picture.image.save(path, **options)
        yield path


def is_clear(answer: reference.ReferenceAnswer, photo: Path) -> bool:
    """The best box leads, no crop edge is near a half pixel where PIL's rounding turns over, and no distances tie."""
    with Image.open(photo) as image:
        size_px = image.size
    edges_px = grow(BoundingBox(*answer.box_xyxy_px), size_px).xyxy()
    distances = [distance for _, distance in answer.ranking]
    return (
        answer.lead >= MIN_LEAD
        and all(abs(edge - math.floor(edge) - 0.5) >= MIN_EDGE_PX for edge in edges_px)
        and float(np.diff(distances).min()) >= 1e-5
    )


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


def test_boxes_embeddings_and_rankings_are_the_originals(running, cases):
    entries = ask(running, type="extract", id="1", fileNames=[str(case.photo) for case in cases])
    answers = ask(running, type="identify", id="2", data=[_as_query(entry) for entry in entries])
    for entry, answer, case in zip(entries, answers, cases, strict=True):
        wanted = case.expected
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

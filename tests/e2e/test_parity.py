"""The served answers are the original's, for weight files and catalogues in the original's own format.

The short form asks a few photos of the backend that serves them where nothing else is said; the long one a dozen of
every backend. tests/integration/test_original_parity.py compares every backend without the service.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.running import Service, start_service

pytestmark = [pytest.mark.serve, pytest.mark.timeout(1800)]

MAX_BOX_DIFFERENCE_PX = 0.1
MIN_COSINE = 0.9999
MAX_DISTANCE_DIFFERENCE = 1e-3
PATIENCE = {"photo_timeout_s": 900}
"""The original's networks take seconds a photo by themselves, and many times that on a machine that is busy."""


@pytest.fixture(
    scope="module",
    params=[
        "openvino",
        pytest.param("openvino", marks=pytest.mark.long, id="openvino-long"),
        pytest.param("torch", marks=pytest.mark.long, id="torch-long"),
    ],
)
def running(
    request: pytest.FixtureRequest, ray_cluster: int, seed_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    service = start_service(
        seed_models, tmp_path_factory.mktemp("service"), ray_cluster, backend=request.param, timeouts=PATIENCE
    )
    assert request.param in service.health()["backends"]["Segmenter"]
    yield service
    service.stop()


def test_boxes_embeddings_and_rankings_are_the_originals(running, original_cases, record_property):
    record_property("proved", f"{len(original_cases)} photos")
    entries = ask(running, type="extract", id="1", fileNames=[str(case.photo) for case in original_cases])
    answers = ask(running, type="identify", id="2", data=[_as_query(entry) for entry in entries])
    for entry, answer, case in zip(entries, answers, original_cases, strict=True):
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
        while "data" not in (answer := json.loads(websocket.recv(timeout=900))):
            assert answer["type"] == "progress", answer
    return answer["data"]


def _as_query(entry: dict) -> dict:
    return {key: entry[key] for key in ("path", "type", "embedding")}


def cosine(one: list[float], other: np.ndarray) -> float:
    vector = np.array(one)
    return float(vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other)))

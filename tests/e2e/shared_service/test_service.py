"""The running service as its users and operators meet it."""

import re
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus

from pipeline.client import Client, DrawnBox, StoredPhoto
from tests.e2e.running import wait_until
from tests.e2e.stub_photos import BRIGHT, write_photos

pytestmark = pytest.mark.serve


@pytest.mark.parametrize("uploads", [False, True])
def test_client_extracts_confirms_and_identifies(service, tmp_path, uploads):
    flukes = write_photos(tmp_path / "flukes", 3)
    flanks = write_photos(tmp_path / "flanks", 3, BRIGHT)
    with Client(service.url) as client:
        results = client.extract([*flukes, *flanks], uploads=uploads)
        assert [result.body_part for result in results] == ["fluke"] * 3 + ["flank"] * 3
        client.confirm(results[:1], f"FLUKE_{uploads}")
        client.confirm(results[3:4], f"FLANK_{uploads}")
        answers = client.identify([results[1], results[4]])
    ranked = [[candidate.individual for candidate in answer.candidates] for answer in answers]
    assert f"FLUKE_{uploads}" in ranked[0]
    assert f"FLANK_{uploads}" not in ranked[0]
    assert f"FLANK_{uploads}" in ranked[1]


def test_photos_are_sent_shown_and_extracted_by_their_hash(service, tmp_path):
    photos = write_photos(tmp_path, 2)
    base = f"http://127.0.0.1:{service.port}{service.prefix.rstrip('/')}/catalogues/default"
    with Client(service.url) as client:
        sent = client.upload_photos(photos)
        assert [(photo.error, photo.was_there) for photo in sent] == [(None, False)] * 2
        assert all(photo.was_there for photo in client.upload_photos(photos))
        drawn = DrawnBox("fluke", (1.0, 1.0, 20.0, 20.0))
        found, by_hand = client.extract([StoredPhoto(sent[0].sha256), StoredPhoto(sent[1].sha256, (drawn,))])
        assert (found.body_part, found.score is not None) == ("fluke", True)
        assert (by_hand.box_xyxy_px, by_hand.score, by_hand.error) == ((1.0, 1.0, 20.0, 20.0), None, None)
        client.confirm([by_hand], "DRAWN")
        annotation = max(entry.id for entry in client.catalogue.annotations())
    for path in (f"/photos/{sent[0].sha256}?width=160", f"/annotations/{annotation}/crop?pad=0.1"):
        with urllib.request.urlopen(f"{base}{path}", timeout=60) as answer:
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert answer.read().startswith(b"\xff\xd8")


def test_all_animals_of_a_photo_have_an_entry_each(service, tmp_path):
    with Client(service.url) as client:
        results = client.extract(write_photos(tmp_path, 2), animals="all")
    assert [result.animal for result in results] == [1, 1]


def test_foreign_origin_is_refused_through_the_real_proxy(service):
    with pytest.raises(InvalidStatus) as refused, service.connect(origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_forwarded_peer_is_refused_through_the_real_proxy(service):
    with (
        pytest.raises(InvalidStatus) as refused,
        service.connect(additional_headers={"X-Forwarded-For": "8.8.8.8"}),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_health_names_every_deployment_and_its_model(service):
    health = service.health()
    assert health["status"] == "ok"
    assert set(health["deployments"].values()) == {"running"}
    assert set(health["deployments"]) == {
        "Ingress",
        "Extractor",
        "Segmenter",
        "FlukeEmbedder",
        "FlankEmbedder",
        "Matcher",
        "Catalogue",
    }
    assert health["models"]["Segmenter"] == "stub-detector"
    assert health["catalogue"]["other_model_rows"] == 0


def test_page_counts_what_is_in_the_catalogue(service):
    status, page = service.http("/")
    counts = service.health()["catalogue"]
    assert status == 200
    assert f"{counts['individuals']} individuals in {counts['photos']} photos" in page


def test_metrics_are_exported(service, tmp_path):
    with Client(service.url) as client:
        client.extract([*write_photos(tmp_path, 2), tmp_path / "missing.jpg"])
    wanted = (
        'ray_whale_vision_photos_total{.*outcome="ok"',
        'ray_whale_vision_photos_total{.*outcome="not_found"',
        'ray_whale_vision_stage_seconds_bucket{.*stage="extract"',
        'ray_whale_vision_stage_seconds_bucket{.*stage="segment"',
        'ray_whale_vision_stage_seconds_bucket{.*stage="embed_fluke"',
        "ray_whale_vision_photos_in_flight",
        "ray_whale_vision_received_bytes_total",
        "ray_whale_vision_connections",
    )
    wait_until(lambda: all(re.search(pattern, scrape()) for pattern in wanted), timeout_s=90, pause_s=2)


def scrape() -> str:
    """What Prometheus would read from this node."""
    import ray

    address = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())

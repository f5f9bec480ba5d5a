"""Two applications on one cluster: whales and dolphins, each with its own models folder, body parts and catalogue."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.client import Client, Identification, confirmed
from tests.e2e.running import Service, start_service
from tests.e2e.stub_networks import StubNetworks, make_stub_folder
from tests.e2e.stub_photos import BRIGHT, DARK, write_photos

pytestmark = pytest.mark.serve

PHOTOS = 6
SEED = 2
"""Photos of this module's own, since it counts those in the catalogue."""


@pytest.fixture(scope="module")
def services(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Service]]:
    """Whales at `/`, dolphins, which have one body part, at `/dolphins`."""
    folder = tmp_path_factory.mktemp("dolphins")
    models = make_stub_folder(folder / "models", ["fin"])
    dolphins = start_service(
        models,
        folder,
        service.port,
        StubNetworks(models, ("fin",)),
        name="dolphins",
        prefix="/dolphins",
        timeouts={"drain_timeout_s": 5},
    )
    yield service, dolphins
    dolphins.stop()


def test_both_answer_at_once_with_their_own_body_parts_and_catalogues(services, tmp_path):
    whales, dolphins = services
    flukes = write_photos(tmp_path / "flukes", PHOTOS, DARK, seed=SEED)
    fins = write_photos(tmp_path / "fins", PHOTOS, BRIGHT, seed=SEED)
    before = [catalogue(one) for one in services]
    with ThreadPoolExecutor(2) as pool:
        enrolled = [
            pool.submit(enrol, whales, flukes, "fluke", "Migaloo"),
            pool.submit(enrol, dolphins, fins, "fin", "Fungie"),
        ]
        whale, dolphin = (future.result(timeout=120) for future in enrolled)
    assert ranked(whale) >= {"Migaloo", "Unknown"}
    assert "Fungie" not in ranked(whale)
    assert ranked(dolphin) == {"Fungie", "Unknown"}
    for counts, one in zip(before, services, strict=True):
        now = {"individuals": counts["individuals"] + 1, "photos": counts["photos"] + PHOTOS, "other_model_rows": 0}
        assert catalogue(one) == now


def ranked(answer: Identification) -> set[str]:
    return {candidate.individual for candidate in answer.candidates}


def catalogue(service: Service) -> Mapping[str, int]:
    """What the service says of its catalogue."""
    counts: Mapping[str, int] = service.health()["catalogue"]
    return counts


def enrol(service: Service, photos: list[Path], body_part: str, name: str) -> Identification:
    """Extract photos, confirm all of them as one individual, and identify the first."""
    with Client(service.url) as client:
        results = client.extract(photos)
        assert [result.body_part for result in results] == [body_part] * len(photos)
        client.identify([confirmed(result, name) for result in results])
        return client.identify(results[:1])[0]


@pytest.mark.parametrize("address", ["dolphins", "dolphins/"])
def test_an_address_may_end_in_a_slash_or_not(services, tmp_path, address):
    whales, _ = services
    with Client(f"{whales.url}{address}") as client:
        assert [result.body_part for result in client.extract(write_photos(tmp_path, 1, BRIGHT))] == ["fin"]
    assert whales.http(f"/{address.rstrip('/')}/healthz")[0] == 200
    assert "fin" in whales.http(f"/{address}")[1]


def test_each_shows_its_own_deployments(services):
    whales, dolphins = services
    assert {"FlukeEmbedder", "FlankEmbedder"} <= set(whales.health()["deployments"])
    assert "FinEmbedder" in dolphins.health()["deployments"]
    assert "FlukeEmbedder" not in dolphins.health()["deployments"]


def test_what_neither_serves_is_refused(services):
    whales, _ = services
    assert whales.http("/porpoises")[0] == 404

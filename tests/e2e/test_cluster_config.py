"""The documented cluster config, started as it is on pretended GPUs, with stub networks in place of real ones."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from websockets.exceptions import InvalidStatus

from pipeline.client import AccessDeniedError, Client
from tests.e2e.running import APPLICATION, Service, start_service, wait_until
from tests.e2e.stub_networks import StubNetworks
from tests.e2e.stub_photos import write_photos

pytestmark = pytest.mark.serve

CONFIG = Path(__file__).parents[2] / "docs" / "cluster" / "serve_config.yaml"
TOKEN = "a token of this test"
REPLICAS = {
    **{"Ingress": 2, "Extractor": 2, "Segmenter": 1, "FlukeEmbedder": 1, "FlankEmbedder": 1, "Matcher": 1},
    "Catalogue": 1,
}
"""The minima of the config, but one writer, since the catalogue is a file here."""


@pytest.fixture(scope="module")
def service(ray_cluster: int, stub_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Only what belongs to the site is replaced: folders, token, and the two servers, since this is one node."""
    folder = tmp_path_factory.mktemp("cluster")
    arguments = yaml.safe_load(CONFIG.read_text())["applications"][0]["args"]
    arguments |= {
        "export_dir": folder / "export",
        "catalogue_url": f"sqlite:///{folder / 'catalogue.sqlite'}",
        "photo_store": f"file://{folder / 'photos'}",
        "tokens": [hashlib.sha256(TOKEN.encode()).hexdigest()],
        "timeouts": arguments["timeouts"] | {"drain_timeout_s": 5},
    }
    arguments["replicas"] |= {"catalogue": {"min": 1, "max": 1}}
    del arguments["models_dir"]
    running = start_service(stub_models, folder, ray_cluster, StubNetworks(stub_models), **arguments)
    yield running
    running.stop()


def test_all_replicas_run_on_their_shares_of_gpus(service):
    import ray
    from ray import serve

    def states() -> dict[str, dict[str, int]]:
        deployments = serve.status().applications[APPLICATION].deployments
        return {name: dict(status.replica_states) for name, status in deployments.items()}

    wait_until(lambda: states() == {name: {"RUNNING": count} for name, count in REPLICAS.items()}, timeout_s=120)
    assert service.http("/healthz")[0] == 200
    taken = ray.cluster_resources()["GPU"] - ray.available_resources()["GPU"]
    assert round(taken, 6) == 0.4 + 0.2 + 0.2 + 0.1


def test_clients_with_a_token_upload(service, tmp_path):
    with Client(service.url, token=TOKEN) as client:
        results = client.extract(write_photos(tmp_path, 3), uploads=True)
    assert [result.body_part for result in results] == ["fluke"] * 3


def test_clients_with_a_token_read_no_files_of_the_server(service, tmp_path):
    with Client(service.url, token=TOKEN) as client:
        (result,) = client.extract(write_photos(tmp_path, 1))
    assert result.error is not None
    assert result.error.code == "outside_roots"


@pytest.mark.parametrize("token", [None, "a guess"])
def test_clients_without_a_token_are_refused(service, tmp_path, token):
    with Client(service.url, token=token) as client, pytest.raises(AccessDeniedError):
        client.extract(write_photos(tmp_path, 1), uploads=True)


def test_a_web_page_is_refused_whatever_its_token(service):
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://example.org"}
    with pytest.raises(InvalidStatus), service.connect(additional_headers=headers):
        pass

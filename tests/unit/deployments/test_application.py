from pathlib import Path

import pytest
from ray.serve import Application
from ray.serve._private.constants import REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD

from deployments.application import bind_graph
from deployments.networks import LoadedNetworks
from deployments.resources import ClusterResources
from pipeline.catalogue.sql_store import found_layout
from pipeline.model_files import ModelFolder
from pipeline.settings import Settings


def test_whoever_builds_the_application_makes_the_catalogue_that_replicas_open(
    narrow_folder: ModelFolder, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'folder' / 'catalogue.sqlite'}"
    settings = Settings(models_dir=narrow_folder.path, catalogue_url=url, device="cpu")
    bind_graph(settings, LoadedNetworks(narrow_folder.path, "auto"), ClusterResources(cpus=4.0, gpus=0.0, nodes=1))
    assert found_layout(url) is not None


@pytest.mark.parametrize("name", ["Ingress", "Catalogue"])
def test_an_ingress_or_a_writer_that_hangs_fails_its_health_checks_within_the_documented_time(
    name: str, narrow_folder: ModelFolder, tmp_path: Path
) -> None:
    settings = Settings(models_dir=narrow_folder.path, catalogue_url=f"sqlite:///{tmp_path / 'c.sqlite'}", device="cpu")
    networks = LoadedNetworks(narrow_folder.path, "auto")
    ingress = bind_graph(settings, networks, ClusterResources(cpus=4.0, gpus=0.0, nodes=1))
    bound = [each for each in (ingress, *ingress._bound_deployment.init_args) if isinstance(each, Application)]
    (config,) = (each._bound_deployment._deployment_config for each in bound if each._bound_deployment.name == name)
    checks_s = REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD * config.health_check_timeout_s
    assert config.health_check_period_s + checks_s == 32.0

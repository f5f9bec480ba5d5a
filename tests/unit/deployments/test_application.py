from pathlib import Path

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

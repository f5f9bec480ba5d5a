"""What the start command serves in tests of stopping: the graph with networks that take their time over each photo."""

from ray.serve import Application

from deployments.application import bind_graph, cluster_resources
from pipeline.settings import Settings
from tests.e2e.stub_networks import StubNetworks

PHOTO_S = 0.2


def build(args: Settings) -> Application:
    """Build the application that a config file of `tests.e2e.test_stopping` names."""
    return bind_graph(args, StubNetworks(args.models_dir, detector_seconds=PHOTO_S), cluster_resources())

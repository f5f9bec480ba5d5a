"""What the start command serves in tests of stopping: networks that take their time, or that cannot be loaded."""

from dataclasses import dataclass

from ray.serve import Application

from deployments.application import bind_graph, cluster_resources
from pipeline.settings import Settings
from tests.e2e.stub_networks import StubDetector, StubNetworks

PHOTO_S = 0.2
BROKEN = "the weights of the detector are not what they should be"


def build(args: Settings) -> Application:
    """Build the application that a config file of `tests.e2e.test_stopping` names."""
    return bind_graph(args, StubNetworks(args.models_dir, detector_seconds=PHOTO_S), cluster_resources())


def build_broken(args: Settings) -> Application:
    """Build one whose segmenter cannot start."""
    return bind_graph(args, BrokenNetworks(args.models_dir), cluster_resources())


@dataclass(frozen=True)
class BrokenNetworks(StubNetworks):
    """Networks whose detector cannot be loaded."""

    def detector(self, device: str, threads: int) -> StubDetector:
        raise RuntimeError(BROKEN)

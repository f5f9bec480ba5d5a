"""Where the replicas get their networks from; tests put stubs in place of the loaded ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.records import Detections, Embedding, Failure, UInt8Array
from pipeline.settings import Backend


class DetectorNetwork(Protocol):
    """A loaded detector; `pipeline.networks.segmentation` has the real one."""

    @property
    def model(self) -> str:
        """Short hash of its weights."""
        ...

    @property
    def engine(self) -> str:
        """What runs it: "torch" or "openvino"."""
        ...

    def detect(self, photos: Sequence[UInt8Array]) -> Sequence[Detections | Failure]:
        """Find body parts.

        Args:
            photos: each (224, 224, 3) uint8 RGB.
        """
        ...


class EmbeddingNetwork(Protocol):
    """A loaded embedder; `pipeline.networks.embedding` has the real one."""

    @property
    def model(self) -> str:
        """Short hash of its weights."""
        ...

    @property
    def engine(self) -> str:
        """What runs it."""
        ...

    def embed(self, crops: Sequence[UInt8Array]) -> Sequence[Embedding | Failure]:
        """Embed crops.

        Args:
            crops: each (224, 224, 3) uint8 RGB.
        """
        ...


class Networks(Protocol):
    """Makes the networks inside the replicas; must pickle."""

    def ranking_device(self, device: str) -> str:
        """Return where the matcher computes distances, given the device that is planned for it."""
        ...

    def detector(self, device: str, threads: int) -> DetectorNetwork:
        """Load and warm up the detector."""
        ...

    def embedder(self, body_part: str, device: str, threads: int) -> EmbeddingNetwork:
        """Load and warm up one body part's embedder."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedNetworks:
    """The networks of a models folder.

    Attributes:
        models_dir: absolute.
        backend: what runs them on a CPU.
    """

    models_dir: Path
    backend: Backend

    def ranking_device(self, device: str) -> str:
        """See `Networks`: as planned."""
        return device

    def detector(self, device: str, threads: int) -> DetectorNetwork:
        """See `Networks`; torch is imported here, inside the replica that needs it."""
        from pipeline.model_files import load_model_folder
        from pipeline.networks.segmentation import SegmentationNetwork

        network = SegmentationNetwork(load_model_folder(self.models_dir), device, self.backend, threads)
        network.warm_up()
        return network

    def embedder(self, body_part: str, device: str, threads: int) -> EmbeddingNetwork:
        """See `Networks`."""
        from pipeline.model_files import load_model_folder
        from pipeline.networks.embedding import EmbeddingNetwork as Embedder

        network = Embedder(load_model_folder(self.models_dir), body_part, device, self.backend, threads)
        network.warm_up()
        return network

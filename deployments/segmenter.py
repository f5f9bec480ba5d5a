"""The segmenter deployment: uint8 photos in, boxes of body parts out."""

from ray import serve

from deployments.logs import log_with_serve
from deployments.metrics import StageMetric
from deployments.model_worker import ModelWorker, settle_memory, yield_to_interactive_work
from deployments.networks import Networks
from pipeline.records import Detections, Failure, UInt8Array
from pipeline.settings import Batching


@serve.deployment
class Segmenter:
    """Batches photos on one detector."""

    def __init__(self, networks: Networks, device: str, threads: int, batching: Batching) -> None:
        """Load the detector.

        Args:
            networks: where it comes from.
            device: "cpu" or "cuda:0".
            threads: CPU threads of one forward pass.
            batching: bounds of a batch.
        """
        log_with_serve()
        yield_to_interactive_work()
        self._device = device
        self._network = networks.detector(device, threads)
        self._worker = ModelWorker(self._network.detect, StageMetric("segment"))
        self._answer = self._worker.through(self._batch, batching, device)
        settle_memory()

    async def segment(self, pixels: UInt8Array) -> Detections | Failure:
        """Detect in one photo.

        Args:
            pixels: (224, 224, 3) uint8 RGB.
        """
        return await self._answer(pixels)

    async def describe(self) -> dict[str, str]:
        """Return the weights' short hash and what runs them."""
        return {"model": self._network.model, "backend": f"{self._network.engine} on {self._device}"}

    @serve.batch
    async def _batch(self, photos: list[UInt8Array]) -> list[Detections | Failure]:
        return await self._worker.batch(photos)

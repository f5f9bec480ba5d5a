"""The embedder deployment, bound once for each body part: uint8 crops in, embeddings out."""

from ray import serve

from deployments.logs import log_with_serve
from deployments.metrics import StageMetric
from deployments.model_worker import ModelWorker, settle_memory, yield_to_interactive_work
from deployments.networks import Networks
from pipeline.records import Embedding, Failure, UInt8Array
from pipeline.settings import Batching


@serve.deployment
class Embedder:
    """Batches crops of one body part on its embedding network."""

    def __init__(self, networks: Networks, body_part: str, device: str, threads: int, batching: Batching) -> None:
        """Load the network.

        Args:
            networks: where it comes from.
            body_part: name from models.yaml.
            device: "cpu" or "cuda:0".
            threads: CPU threads of one forward pass.
            batching: bounds of a batch.
        """
        log_with_serve()
        yield_to_interactive_work()
        self._device = device
        self._network = networks.embedder(body_part, device, threads)
        self._worker = ModelWorker(self._network.embed, StageMetric(f"embed_{body_part}"))
        self._answer = self._worker.through(self._batch, batching, device)
        settle_memory()

    async def embed(self, crop: UInt8Array) -> Embedding | Failure:
        """Embed one crop.

        Args:
            crop: (224, 224, 3) uint8 RGB.
        """
        return await self._answer(crop)

    async def describe(self) -> dict[str, str]:
        """Return the weights' short hash and what runs them."""
        return {"model": self._network.model, "backend": f"{self._network.engine} on {self._device}"}

    @serve.batch
    async def _batch(self, crops: list[UInt8Array]) -> list[Embedding | Failure]:
        return await self._worker.batch(crops)

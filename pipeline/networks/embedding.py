"""The embedder of one body part: square crops in, embeddings out."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import ItemError
from pipeline.model_files import ModelFolder
from pipeline.networks.architectures import build_embedder
from pipeline.networks.backends import choose_runtime, use_threads
from pipeline.networks.batches import answer_each
from pipeline.networks.checkpoints import load_weights
from pipeline.networks.folding import fold_batch_norms
from pipeline.records import Embedding, Failure, UInt8Array
from pipeline.settings import Backend

_CHUNK = 32

Embed = Callable[[Tensor], Tensor]


class EmbeddingNetwork:
    """The embedder of one body part, ready to answer batches; calls from several threads wait for each other.

    Attributes:
        model: short hash of the weights.
        engine: "torch" or "openvino".
        dimension: length of its embeddings.

    Args:
        folder: the models folder.
        body_part: a name in it.
        device: of torch, such as "cpu" or "cuda:0".
        backend: what runs it on a CPU.
        threads: CPU threads; 0 leaves the number to the libraries. Holds for the whole process.

    Raises:
        ModelFilesError: the weights do not fit the architecture that the folder names.
        SettingsError: the backend is not to be had.
        KeyError: the folder has no such body part.
    """

    def __init__(
        self,
        folder: ModelFolder,
        body_part: str,
        device: str = "cpu",
        backend: Backend = "auto",
        threads: int = 0,
    ) -> None:
        use_threads(threads)
        spec = folder.part(body_part)
        network = build_embedder(spec)
        self.model = load_weights(network, folder.embedder_file(body_part))
        network.eval().requires_grad_(False).to(device)
        self.dimension = spec.dimension
        self._side_px = spec.input_size_px
        self._one_at_a_time = threading.Lock()  # an OpenVINO request is not shared
        self._device = device
        self._mean = torch.tensor(spec.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(spec.std, device=device).view(1, 3, 1, 1)
        self._embed, self.engine = choose_runtime(
            backend,
            device,
            lambda: _torch_runtime(network, spec.input_size_px, device),
            lambda: _openvino_runtime(network, spec.input_size_px, threads),
        )

    def embed(self, crops: Sequence[UInt8Array]) -> list[Embedding | Failure]:
        """Embed each crop.

        Args:
            crops: each (s, s, 3) uint8 RGB with s the input size of models.yaml, 224 for the original's models.

        Returns:
            For each crop, in order, its embedding or why it has none.
        """
        with self._one_at_a_time:
            return answer_each(crops, self._side_px, _CHUNK, self._forward)

    def warm_up(self) -> None:
        """Run one crop, so that the first photo does not pay for lazy initialisation."""
        self.embed([np.full((self._side_px, self._side_px, 3), 127, dtype=np.uint8)])

    def _forward(self, crops: list[UInt8Array]) -> list[Embedding]:
        images = network_input(torch.from_numpy(np.stack(crops)).to(self._device), self._mean, self._std)
        with torch.inference_mode():
            rows = self._embed(images).float().cpu().numpy()  # (n, d)
        if not np.isfinite(rows).all():
            raise ItemError("the embedding of this crop is not finite: the weights or the photo are damaged")
        return [Embedding(np.array(row, dtype=np.float32), self.model) for row in rows]


def network_input(crops: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Scale and normalise crops, in training as in the service.

    Args:
        crops: (n, s, s, 3) uint8 RGB.
        mean: (1, 3, 1, 1) RGB mean in [0, 1].
        std: (1, 3, 1, 1) RGB standard deviation in [0, 1].

    Returns:
        (n, 3, s, s) float32, what embedders take.
    """
    images = crops.permute(0, 3, 1, 2).contiguous().float().div(255.0)  # (n, 3, s, s) in [0, 1]
    return (images - mean) / std


def _torch_runtime(network: nn.Module, side_px: int, device: str) -> Embed:
    """Run folded and in channels-last order, which is faster; the answers do not change."""
    folded = fold_batch_norms(network, torch.rand(1, 3, side_px, side_px, device=device))
    run: Embed = folded.to(memory_format=torch.channels_last)
    return lambda images: run(images.contiguous(memory_format=torch.channels_last))


def _openvino_runtime(network: nn.Module, side_px: int, threads: int) -> Embed:
    from pipeline.networks.openvino import compile_embedder  # an optional dependency

    return compile_embedder(network, side_px, threads)

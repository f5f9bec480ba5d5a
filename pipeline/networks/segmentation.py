"""The detector: squashed photos in, boxes of body parts out."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN

from pipeline.model_files import ModelFolder
from pipeline.networks.architectures import build_detector
from pipeline.networks.backends import choose_runtime, use_threads
from pipeline.networks.batches import answer_each
from pipeline.networks.checkpoints import load_weights
from pipeline.networks.staged_detector import run_by_torch
from pipeline.records import BoundingBox, Detection, Detections, Failure, UInt8Array
from pipeline.settings import Backend

Detect = Callable[[list[Tensor]], list[dict[str, Tensor]]]

_GPU_CHUNK = 32
_CPU_CHUNK_PX = 800 * 800
"""Pixels of one forward pass on a CPU: larger batches take no less time a photo, and far more memory."""


class SegmentationNetwork:
    """The detector of a models folder, ready to answer batches; calls from several threads wait for each other.

    Attributes:
        model: short hash of the weights.
        engine: "torch" or "openvino".

    Args:
        folder: the models folder.
        device: of torch, such as "cpu" or "cuda:0".
        backend: what runs it on a CPU.
        threads: CPU threads; 0 leaves the number to the libraries. Holds for the whole process.

    Raises:
        ModelFilesError: the weights do not fit the architecture that the folder names.
        SettingsError: the backend is not to be had.
    """

    def __init__(self, folder: ModelFolder, device: str = "cpu", backend: Backend = "auto", threads: int = 0) -> None:
        use_threads(threads)
        spec = folder.segmenter
        network = build_detector(spec)
        self.model = load_weights(network, folder.segmenter_file)
        network.eval().requires_grad_(False).to(device)
        self._labels = spec.labels
        self._side_px = spec.input_size_px
        self._one_at_a_time = threading.Lock()  # an OpenVINO request is not shared
        self._device = device
        self._chunk = _chunk(network, device, spec.input_size_px)
        self._detect, self.engine = choose_runtime(
            backend,
            device,
            lambda: _torch_runtime(network, device),
            lambda: _openvino_runtime(network, spec.input_size_px, threads),
        )

    def detect(self, pictures: Sequence[UInt8Array]) -> list[Detections | Failure]:
        """Find the body parts in each picture.

        Args:
            pictures: each (s, s, 3) uint8 RGB with s the input size of models.yaml, 224 for the original's models: the
                whole photo, squashed.

        Returns:
            For each picture, in order, all its boxes in pixels of the picture, best score first (ties in torchvision's
            order), or why there is no answer. Empty detections mean that nothing was found.
        """
        with self._one_at_a_time:
            return answer_each(pictures, self._side_px, self._chunk, self._forward)

    def warm_up(self) -> None:
        """Run one picture, so that the first photo does not pay for lazy initialisation."""
        self.detect([np.zeros((self._side_px, self._side_px, 3), dtype=np.uint8)])

    def _forward(self, pictures: list[UInt8Array]) -> list[Detections]:
        stacked = torch.from_numpy(np.stack(pictures)).to(self._device)  # (n, s, s, 3) uint8
        images = stacked.permute(0, 3, 1, 2).contiguous().float().div(255.0)  # (n, 3, s, s) in [0, 1]
        with torch.inference_mode():
            answers = self._detect(list(images))
        return [self._detections(answer) for answer in answers]

    def _detections(self, answer: dict[str, Tensor]) -> Detections:
        rows = zip(answer["boxes"].tolist(), answer["labels"].tolist(), answer["scores"].tolist(), strict=True)
        found = [Detection(BoundingBox(*box), self._labels[label - 1], score) for box, label, score in rows]
        found.sort(key=lambda detection: -detection.score)  # stable: ties keep torchvision's order
        return Detections(tuple(found), self.model)


def _chunk(network: Any, device: str, side_px: int) -> int:
    """Return how many pictures one forward pass takes, by the size to which the network's transform enlarges them."""
    if not device.startswith("cpu"):
        return _GPU_CHUNK
    with torch.inference_mode():
        enlarged, _ = network.transform([torch.zeros(3, side_px, side_px)])
    height_px, width_px = enlarged.tensors.shape[-2:]
    return max(1, int(_CPU_CHUNK_PX // (height_px * width_px)))


def _torch_runtime(network: nn.Module, device: str) -> Detect:
    if device.startswith("cpu") and isinstance(network, FasterRCNN):
        return run_by_torch(network)
    detect: Detect = network
    return detect


def _openvino_runtime(network: nn.Module, side_px: int, threads: int) -> Detect:
    from pipeline.networks.openvino import compile_detector  # an optional dependency

    return compile_detector(network, side_px, threads)

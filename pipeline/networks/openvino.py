"""Networks compiled by OpenVINO for the CPU, in float32: the same answers as torch, in less time."""

import warnings
from collections.abc import Callable
from typing import Any

import openvino
import torch
from openvino.frontend import (
    FrontEndManager,
    GeneralFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn
from torch.jit._trace import TracingCheckError
from torchvision.models.detection import FasterRCNN

from pipeline.errors import SettingsError
from pipeline.networks.staged_detector import BoxHead, Engine, StagedDetector, Trunk

_CANNOT_CONVERT = (
    RuntimeError,
    GeneralFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
    TracingCheckError,
)

_EXAMPLE_SIDE_PX = 64
"""Networks are traced on a small example, which is quick, and compiled for their real input."""


def compile_detector(network: nn.Module, input_size_px: int, threads: int) -> StagedDetector:
    """Compile a Faster R-CNN's trunk and box head.

    Args:
        network: in evaluation mode, on the CPU.
        input_size_px: side of the pictures that it will be given; the network's own transform may enlarge them.
        threads: CPU threads; 0 leaves the number to OpenVINO.

    Returns:
        A callable that answers as the network does.

    Raises:
        SettingsError: the network is not a Faster R-CNN or OpenVINO cannot convert it.
    """
    if not isinstance(network, FasterRCNN):
        raise SettingsError(f"{type(network).__name__} has no two stages to compile; use backend: torch")
    with torch.no_grad():
        enlarged, _ = network.transform([torch.zeros(3, input_size_px, input_size_px)])
        pool = network.roi_heads.box_roi_pool
        roi_shape = (network.backbone.out_channels, *pool.output_size)
    trunk = _compile(Trunk(network), (1, 3, _EXAMPLE_SIDE_PX, _EXAMPLE_SIDE_PX), enlarged.tensors.shape[1:], threads)
    box_head = _compile(BoxHead(network), (2, *roi_shape), roi_shape, threads)
    return StagedDetector(network, trunk, _unless_empty(box_head, BoxHead(network)))


def compile_embedder(network: nn.Module, input_size_px: int, threads: int) -> Callable[[Tensor], Tensor]:
    """Compile an embedder.

    Args:
        network: in evaluation mode, on the CPU; (n, 3, s, s) to (n, d).
        input_size_px: s.
        threads: CPU threads; 0 leaves the number to OpenVINO.

    Returns:
        A callable that answers as the network does.

    Raises:
        SettingsError: OpenVINO cannot convert the network.
    """
    shape = (3, input_size_px, input_size_px)
    run = _compile(network, (2, *shape), shape, threads)
    return lambda images: run(images)[0]


def _compile(network: nn.Module, example: tuple[int, ...], shape: tuple[int, ...], threads: int) -> Engine:
    """Compile for batches of any size of items of one shape."""
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    try:
        model = _convert(network, torch.rand(example))
        model.reshape([-1, *shape])
        compiled = openvino.Core().compile_model(model, "CPU", config)
    except _CANNOT_CONVERT as error:
        reason = str(error).strip().splitlines()
        raise SettingsError(
            f"OpenVINO cannot convert {type(network).__name__}: {reason[-1] if reason else ''}"
        ) from error
    request = compiled.create_infer_request()

    def run(batch: Tensor) -> tuple[Tensor, ...]:
        answers = request.infer([batch.contiguous().numpy()], share_inputs=True, share_outputs=False)
        return tuple(torch.from_numpy(answer) for answer in answers.values())

    return run


def _convert(network: nn.Module, example: Tensor) -> openvino.Model:
    """Convert through the frontend itself: `openvino.convert_model` reports each use to its maker over the internet."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's notice that tracing is deprecated
        traced = TorchScriptPythonDecoder(network, example_input=example, trace_kwargs={"check_trace": False})
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(traced))  # reads from `traced`, which must outlive the call


def _unless_empty(compiled: Engine, network: BoxHead) -> Engine:
    """OpenVINO takes no empty batch, which a photo without proposals makes; torch answers that one."""

    def run(pooled: Tensor) -> tuple[Tensor, ...]:
        return compiled(pooled) if len(pooled) else network(pooled)

    return run

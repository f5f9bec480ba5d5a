"""What runs a network: torch on a GPU; OpenVINO where it is installed, else torch, on a CPU. Always float32."""

import importlib.util
import logging
from collections.abc import Callable
from typing import Literal, TypeVar

import torch

from pipeline.errors import SettingsError
from pipeline.settings import Backend

_log = logging.getLogger(__name__)

Engine = Literal["torch", "openvino"]
Runtime = TypeVar("Runtime")


def openvino_installed() -> bool:
    """Say whether OpenVINO can be imported, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def choose_runtime(
    requested: Backend, device: str, with_torch: Callable[[], Runtime], with_openvino: Callable[[], Runtime]
) -> tuple[Runtime, Engine]:
    """Make a network's runtime with the backend that is asked for.

    Args:
        requested: "auto" prefers OpenVINO on a CPU and falls back to torch where it is absent or cannot convert.
        device: on a GPU it is always torch.
        with_torch: makes the torch runtime.
        with_openvino: makes the OpenVINO runtime; raises SettingsError for a network that it cannot run.

    Returns:
        The runtime and what it runs on.

    Raises:
        SettingsError: "openvino" is asked for on a CPU and is not installed or cannot run this network.
    """
    if requested == "torch" or not device.startswith("cpu"):
        return with_torch(), "torch"
    if not openvino_installed():
        if requested == "openvino":
            raise SettingsError("backend: openvino is not installed; `pip install openvino`, or use auto or torch")
        return with_torch(), "torch"
    try:
        return with_openvino(), "openvino"
    except (SettingsError, ImportError) as error:
        if requested == "openvino":
            raise SettingsError(f"backend: {error}") from error
        _log.warning("OpenVINO cannot run this network, so torch does: %s", error)
        return with_torch(), "torch"


def use_threads(threads: int) -> None:
    """Bound torch's CPU threads in this process; 0 leaves them as they are."""
    if threads:
        torch.set_num_threads(threads)

"""Initial weights: as much of a file as fits the network."""

import logging
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import nn

from pipeline.checkpoints import read_state
from pipeline.errors import ModelFilesError
from training.errors import InitialWeightsError

logger = logging.getLogger(__name__)

IMAGENET = "imagenet"
_LEAST_SHARE = 0.5
"""Of the network's tensors; with fewer the file belongs to another architecture."""


def resolve(init: str | None, architecture: str) -> Path | None:
    """Return the file of initial weights.

    Args:
        init: a file, "imagenet" for torchvision's weights of that architecture, or None for random ones.
        architecture: a name of `pipeline.architectures`.

    Raises:
        InitialWeightsError: there is no such file, or it cannot be downloaded.
    """
    if init is None:
        return None
    if init == IMAGENET:
        return _download(architecture)
    if not Path(init).is_file():
        raise InitialWeightsError(f"{init}: no such file of initial weights")
    return Path(init)


def take_weights(network: nn.Module, file: Path) -> str:
    """Load every tensor of a file that fits; the others keep their random weights.

    Args:
        network: to initialise.
        file: torchvision's weights, a former model, or pre-trained weights.

    Returns:
        What was taken, in words.

    Raises:
        InitialWeightsError: it is no checkpoint, or most of it does not fit.
    """
    try:
        found = read_state(file)
    except ModelFilesError as error:
        raise InitialWeightsError(error.message) from error
    own = network.state_dict()
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if len(fitting) < _LEAST_SHARE * len(own):
        raise InitialWeightsError(
            f"{file}: only {len(fitting)} of the network's {len(own)} tensors are in it; it belongs to another"
            " architecture: give --architecture"
        )
    network.load_state_dict(fitting, strict=False)
    random = sorted(own.keys() - fitting.keys())
    words = f"{len(fitting)} of {len(own)} tensors from {file.name}"
    words += f"; random: {', '.join(random)}" if random else ""
    logger.info("initial weights: %s", words)
    return words


def _download(architecture: str) -> Path:
    try:
        weights = torchvision.models.get_model_weights(architecture).DEFAULT
    except ValueError as error:
        raise InitialWeightsError(
            f"torchvision has no ImageNet weights for {architecture}; choose one of its architectures, such as resnet18"
        ) from error
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / Path(weights.url).name
    if not file.exists():
        _fetch(weights, architecture, file)
    return file


def _fetch(weights: torchvision.models.WeightsEnum, architecture: str, file: Path) -> None:
    try:
        weights.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise InitialWeightsError(
            f"the ImageNet weights of {architecture} cannot be downloaded ({error}); download {weights.url} elsewhere"
            f" and copy it to {file}, or give it with --init FILE"
        ) from error

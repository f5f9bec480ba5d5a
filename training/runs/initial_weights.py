"""Where initial weights come from: a file, or torchvision's download."""

from pathlib import Path
from urllib.error import URLError

import torch
import torchvision

from training.errors import InitialWeightsError

IMAGENET = "imagenet"


def initial_weights_file(init: str | None, architecture: str) -> Path | None:
    """Return the file of initial weights.

    Args:
        init: a file, "imagenet" for torchvision's weights of that architecture, or None for random ones.
        architecture: a name of `pipeline.networks.architectures`.

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

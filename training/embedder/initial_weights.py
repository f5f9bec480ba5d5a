"""Initial weights: as much of a file as fits the network."""

import logging
from pathlib import Path

from torch import nn

from pipeline.errors import ModelFilesError
from pipeline.model_files import BodyPartSpec, short_hash
from pipeline.networks.architectures import build_embedder
from pipeline.networks.checkpoints import read_state
from training.errors import InitialWeightsError

logger = logging.getLogger(__name__)

_LEAST_SHARE = 0.5
"""Of the network's tensors; with fewer the file belongs to another architecture."""


def load_fitting_weights(network: nn.Module, file: Path) -> str:
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
    return words + (f"; random: {', '.join(random)}" if random else "")


def check_initial_weights(part: BodyPartSpec, file: Path | None) -> str:
    """Say what a body part's network begins with, before anything costs time.

    Args:
        part: body part and network.
        file: of initial weights; None for random ones.

    Returns:
        In words, what is taken from the file and which it is.

    Raises:
        InitialWeightsError: it is no checkpoint, or most of it does not fit.
        ModelFilesError: there is no such architecture.
    """
    network = build_embedder(part)
    words = "random" if file is None else f"{load_fitting_weights(network, file)} ({short_hash(file)})"
    logger.info("initial weights: %s", words)
    return words

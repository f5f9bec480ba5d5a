"""A detector's initial weights: a former detector's, or a classifier's in its backbone."""

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from pipeline.errors import ModelFilesError
from pipeline.networks.checkpoints import read_state
from training.errors import InitialWeightsError
from training.runs.initial_weights import IMAGENET, initial_weights_file

logger = logging.getLogger(__name__)

_BACKBONES = {
    "fasterrcnn_resnet50_fpn": "resnet50",
    "fasterrcnn_resnet50_fpn_v2": "resnet50",
    "fasterrcnn_mobilenet_v3_large_fpn": "mobilenet_v3_large",
    "fasterrcnn_mobilenet_v3_large_320_fpn": "mobilenet_v3_large",
}
"""The classifier in each of torchvision's detectors."""

_BODY = "backbone.body."
_PREDICTOR = "roi_heads.box_predictor."
_FEATURES = "features."
"""torchvision's MobileNets keep their layers under it; a detector's backbone does not."""

_COUNTER = "num_batches_tracked"
_NAMED = 3

State = Mapping[str, Tensor]


def initial_file(init: str | None, architecture: str) -> Path | None:
    """Return the file of initial weights.

    Args:
        init: a file, "imagenet" for torchvision's weights of the detector's backbone, or None for random ones.
        architecture: of the detector.

    Raises:
        InitialWeightsError: there is no such file, or it cannot be downloaded.
    """
    if init == IMAGENET and architecture not in _BACKBONES:
        raise InitialWeightsError(
            f"--init imagenet: there are no such weights for {architecture}, only for {', '.join(_BACKBONES)}"
        )
    return initial_weights_file(init, _BACKBONES.get(architecture, architecture))


def load_detector_weights(network: nn.Module, file: Path) -> None:
    """Load a former detector, or a classifier into the backbone.

    A detector of other body parts is welcome, too: its last layer is left out and stays random.

    Args:
        network: a detector; its weights are replaced.
        file: of a detector of the same architecture, or of a classifier of its backbone.

    Raises:
        InitialWeightsError: it is no checkpoint, or does not fit; names what is missing.
    """
    try:
        state = read_state(file)
    except ModelFilesError as error:
        raise InitialWeightsError(error.message) from error
    own = network.state_dict()
    is_detector = any(key.startswith(_BODY) for key in state)
    renamed = dict(state) if is_detector else {_BODY + key.removeprefix(_FEATURES): state[key] for key in state}
    fitting = {key: value for key, value in renamed.items() if key in own and own[key].shape == value.shape}
    if not all(key in fitting for key in own if key.startswith(_PREDICTOR)):
        fitting = {key: value for key, value in fitting.items() if not key.startswith(_PREDICTOR)}
    needed = [key for key in own if (is_detector and not key.startswith(_PREDICTOR)) or key.startswith(_BODY)]
    missing = [key for key in needed if key not in fitting and not key.endswith(_COUNTER)]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InitialWeightsError(
            f"{file}: holds neither this detector nor its backbone: missing or of another shape:"
            f" {', '.join(missing[:_NAMED])}{more}; give --architecture as it was trained"
        )
    network.load_state_dict(fitting, strict=False)
    logger.info("initial weights: %d of %d tensors from %s", len(fitting), len(own), file.name)

"""Weights from files into networks: strict, and without running what a file may contain."""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from pipeline.errors import ModelFilesError
from pipeline.model_files import short_hash

_PARALLEL_PREFIX = "module."
"""What torch.nn.DataParallel, which trained the original's weights, puts before every key."""

_COUNTER = "num_batches_tracked"
"""A batch norm's counter of training steps: without effect in inference, absent where it was trained frozen."""

_NAMED_PROBLEMS = 5

# What torch.load raises on files that are no checkpoints: its unpicklers let through whatever they stumble over.
_NO_CHECKPOINT = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def load_weights(network: nn.Module, file: Path) -> str:
    """Load a checkpoint into a network; every key and shape must fit.

    Accepts what `load_state_dict` of the original's networks accepts, with `module.` before every key or not; a batch
    norm's missing step counter is always forgiven.

    Args:
        network: of the architecture that the file was made for; its weights are replaced.
        file: a state dict, as `torch.save(network.state_dict(), file)` writes it.

    Returns:
        The short hash of the file, which names the model on the wire and in the catalogue.

    Raises:
        ModelFilesError: the file is missing, is no state dict, or does not fit; names keys, expected and found shapes.
    """
    state = read_state(file)
    expected = {key: _shape(value) for key, value in network.state_dict().items()}
    found = {key: _shape(value) for key, value in state.items()}
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        wrong = _wrong_shapes(expected, found) or [" ".join(str(error).split())]
        raise _does_not_fit(file, wrong) from error
    problems = [f"{key} is missing (expected {expected[key]})" for key in missing if not key.endswith(_COUNTER)]
    problems += [f"{key} is not in the architecture (found {found.get(key, 'nothing')})" for key in unexpected]
    if problems:
        raise _does_not_fit(file, problems)
    return short_hash(file)


def read_state(file: Path) -> dict[str, Tensor]:
    """Read a state dict, without fitting it to a network.

    Args:
        file: as `torch.save(network.state_dict(), file)` writes it.

    Returns:
        The tensors by key, without the prefix, in the mapping that carries torch's module versions.

    Raises:
        ModelFilesError: the file is missing or is no state dict.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about the old formats that it still reads
        content = _read(file)
    if not isinstance(content, dict) or not content:
        raise ModelFilesError(f"{file}: expected a state dict (names to tensors), found {_kind(content)}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ModelFilesError(
                f"{file}: expected a state dict (names to tensors), found {key!r}: {_kind(value)}; "
                "save it with torch.save(network.state_dict(), file)"
            )
    if all(key.startswith(_PARALLEL_PREFIX) for key in content):
        consume_prefix_in_state_dict_if_present(content, _PARALLEL_PREFIX)
    return content


def _read(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelFilesError(f"{file}: cannot be read: {error.strerror or error}") from error
    except _NO_CHECKPOINT as error:
        reason = "it holds more than tensors" if isinstance(error, pickle.UnpicklingError) else type(error).__name__
        raise ModelFilesError(
            f"{file}: is not a checkpoint of tensors ({reason}): damaged, or a pickled object that is not opened "
            "because it could run code; save it again with torch.save(network.state_dict(), file)"
        ) from error


def _wrong_shapes(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    both = (key for key in expected if key in found and found[key] != expected[key])
    return [f"{key}: expected {expected[key]}, found {found[key]}" for key in both]


def _does_not_fit(file: Path, problems: list[str]) -> ModelFilesError:
    shown = "; ".join(problems[:_NAMED_PROBLEMS])
    more = len(problems) - _NAMED_PROBLEMS
    rest = f"; and {more} more" if more > 0 else ""
    return ModelFilesError(f"{file}: does not fit its architecture: {shown}{rest}")


def _shape(value: Tensor) -> str:
    return f"shape {tuple(value.shape)}"


def _kind(value: object) -> str:
    return "an empty mapping" if value == {} else f"a {type(value).__name__}"

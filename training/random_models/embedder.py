"""An embedder of random weights whose embeddings differ, and a catalogue of individuals that do not exist."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import ModelFilesError
from pipeline.model_files import BodyPartSpec
from pipeline.networks.architectures import build_embedder
from pipeline.records import UNKNOWN_DISTANCE, Float32Array, UInt8Array
from training.random_models.calibration import set_batch_norms, varied_directions

_INDIVIDUALS = 12
_NOISE = (0.25, 0.9)
"""Least and most length of the random vector that is added to a crop's embedding to make a catalogue row."""

_MIN_GAP = 5e-4
"""No two distances of a ranking are nearer to each other, so that rounding does not change its order."""

_ATTEMPTS = 2000
_DIRECTIONS = 32
_MIN_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """One catalogue row.

    Attributes:
        individual: a name that nobody takes for an animal's.
        path: of a photo that does not exist.
        values: (d,) float32, L2-normalised.
    """

    individual: str
    path: str
    values: Float32Array


def random_embedder(
    spec: BodyPartSpec, crops: Sequence[UInt8Array], others: Sequence[UInt8Array]
) -> tuple[nn.Module, Float32Array]:
    """Build an embedder of random weights and calibrate it on crops.

    Args:
        spec: names the architecture.
        crops: each (s, s, 3) uint8 RGB.
        others: more pictures of that shape, so that few crops do not leave most directions unread.

    Returns:
        The embedder in evaluation mode and the crops' (n, d) embeddings.
    """
    network = build_embedder(spec)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    pixels = torch.from_numpy(np.stack([*crops, *others])).permute(0, 3, 1, 2).contiguous().float().div(255.0)
    images = (pixels - mean) / std  # (n, 3, s, s)
    with torch.no_grad():
        set_batch_norms(network, images)
        _spread_embeddings(network, images)
        embeddings: Float32Array = network(images[: len(crops)]).numpy()
    return network, embeddings


def random_catalogue(part: str, embeddings: Float32Array, seed: int) -> tuple[Row, ...]:
    """Invent individuals near the given embeddings, so that rankings come out on both sides of "Unknown".

    Args:
        part: body part.
        embeddings: (n, d) float32, L2-normalised.
        seed: of the random numbers.

    Returns:
        One to three rows for each of RANDOM_01 to RANDOM_12.

    Raises:
        ModelFilesError: no draw keeps the distances of every ranking apart.
    """
    random = np.random.default_rng(seed)
    for _ in range(_ATTEMPTS):
        rows = _draw_rows(part, embeddings, random)
        if _smallest_gap(rows, embeddings) >= _MIN_GAP:
            return rows
    raise ModelFilesError(f"no random {part} catalogue in {_ATTEMPTS} keeps all distances {_MIN_GAP} apart")


def _spread_embeddings(network: nn.Module, images: Tensor) -> None:
    """Let the last layer read what differs between the images, and not what is common to them."""
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images)
    hook.remove()
    mean, directions = varied_directions(seen[0], _DIRECTIONS, _MIN_SPREAD)
    common = nn.functional.normalize(mean, dim=0)
    mix = torch.randn(last.out_features, len(directions), dtype=torch.float64)
    weight = mix @ directions
    last.weight.copy_(weight - (weight @ common)[:, None] * common)


def _draw_rows(part: str, embeddings: Float32Array, random: np.random.Generator) -> tuple[Row, ...]:
    rows = []
    for number in range(1, _INDIVIDUALS + 1):
        name = f"RANDOM_{number:02d}"
        for photo in range(1, int(random.integers(1, 4)) + 1):
            values = _near(embeddings[(number - 1) % len(embeddings)], random)
            rows.append(Row(name, f"random/{part}/{name}_{photo}.jpg", values))
    return tuple(rows)


def _near(embedding: Float32Array, random: np.random.Generator) -> Float32Array:
    direction = random.normal(size=embedding.shape)
    shifted = embedding + random.uniform(*_NOISE) * direction / np.linalg.norm(direction)
    return np.asarray(shifted / np.linalg.norm(shifted), dtype=np.float32)


def _smallest_gap(rows: Sequence[Row], embeddings: Float32Array) -> float:
    """Return the smallest difference of two distances in any of the embeddings' rankings."""
    names = sorted({row.individual for row in rows})
    means = np.stack([np.mean([row.values for row in rows if row.individual == name], axis=0) for name in names])
    distances = np.linalg.norm(embeddings[:, None, :].astype(np.float64) - means[None], axis=2)  # (n, individuals)
    with_unknown = np.concatenate([distances, np.full((len(embeddings), 1), UNKNOWN_DISTANCE)], axis=1)
    return float(np.diff(np.sort(with_unknown, axis=1), axis=1).min())

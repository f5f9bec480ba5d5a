"""The embedder as a task of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.model_files import BodyPartSpec
from pipeline.networks.architectures import build_embedder
from pipeline.networks.embedding import network_input
from pipeline.records import Float32Array, UInt8Array
from training.embedder.augmentation import CropAugmenter
from training.embedder.classes import make_classes
from training.embedder.crops import CropStore
from training.embedder.initial_weights import load_fitting_weights
from training.embedder.losses import build_loss
from training.embedder.recipe import Recipe
from training.embedder.sampling import BatchSampler
from training.embedder.spread import GRACE_ROUNDS, measure_spread, stop_if_collapsed
from training.embedder.validation import Validation
from training.photos.records import LabelledPhoto
from training.runs.state import write_weights
from training.runs.task import Evaluation
from training.scoring.intervals import Interval

_EVALUATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class CropSet:
    """Photos whose crops are in a store.

    Attributes:
        folder: of the store.
        photos: those with a crop.
        places: of their crops in the store.
    """

    folder: Path
    photos: tuple[LabelledPhoto, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CropBatch:
    """What a step learns from.

    Attributes:
        crops: (n, s, s, 3) uint8 RGB.
        labels: (n,) int64.
    """

    crops: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """Recipe of an `EmbedderTask`.

    Attributes:
        part: body part and network.
        recipe: what is learnt.
        seed: of weights, batches and augmentation.
        training: with room around the boxes for the augmentation.
        validation: cut as the service cuts; other individuals than those of `training`.
        holdout: further individuals for the final scores; None for none.
        initial: weights to begin with; None for random ones.
        file: where the weights go.
    """

    part: BodyPartSpec
    recipe: Recipe
    seed: int
    training: CropSet
    validation: CropSet
    holdout: CropSet | None
    initial: Path | None
    file: Path

    def build(self, device: torch.device) -> "EmbedderTask":
        """Open the crops and build the network."""
        return EmbedderTask(self, device)


class EmbedderTask:
    """See `training.runs.task.Task`."""

    score_name = "validation score (mean of top-1 and AUROC)"

    def __init__(self, spec: EmbedderSpec, device: torch.device) -> None:
        self._spec = spec
        torch.manual_seed(spec.seed)
        self.network: nn.Module = build_embedder(spec.part)
        if spec.initial is not None:
            load_fitting_weights(self.network, spec.initial)
        self._store = CropStore(spec.training.folder)
        self._places = np.array(spec.training.places, dtype=np.int64)
        self._classes = make_classes(spec.training.photos, spec.recipe.mirror)
        self._sampler = BatchSampler(self._classes, spec.recipe, spec.seed)
        self._augmentation = CropAugmenter(spec.part.input_size_px)
        self._loss = build_loss(spec.recipe)
        self._mean = torch.tensor(spec.part.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(spec.part.std, device=device).view(1, 3, 1, 1)
        self._validation = Validation(spec.validation.photos, spec.seed)
        self._rounds = 0

    def batch(self, number: int) -> CropBatch:
        """Return the crops and classes of a batch."""
        samples = self._sampler.batch(number)
        rng = np.random.default_rng([self._spec.seed, 3, number])
        crops = np.stack([self._picture(int(sample), rng) for sample in samples])
        return CropBatch(torch.from_numpy(crops), torch.from_numpy(self._classes.labels[samples]))

    def loss(self, network: nn.Module, batch: CropBatch) -> Tensor:
        """Return the loss; computed in float32, because distances of near neighbours drown in bfloat16."""
        images = network_input(batch.crops.to(self._mean.device), self._mean, self._std)
        embeddings = network(images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(self._mean.device.type, enabled=False):
            return self._loss(embeddings.float(), batch.labels.to(self._mean.device))

    def evaluate(self, network: nn.Module, final: bool) -> Evaluation:
        """Judge on the validation split, at the end on the holdout, too."""
        embeddings = self._embed(network, self._spec.validation)
        spread, scores = measure_spread(embeddings), self._validation.scores(embeddings)
        self._rounds += 1
        if self._rounds > GRACE_ROUNDS:
            stop_if_collapsed(spread)
        values = {"top1": scores.top1, "auroc": scores.auroc}
        values |= {"mean_distance": spread.mean_distance, "effective_rank": spread.effective_rank}
        if not final:
            return Evaluation(scores.score, values)
        intervals = self._validation.intervals(embeddings)
        self._add_holdout(network, values, intervals)
        return Evaluation(scores.score, values, intervals)

    def export(self, network: nn.Module) -> None:
        """Write the weights under their final name."""
        write_weights(self._spec.file, network)

    def _add_holdout(self, network: nn.Module, values: dict[str, float], intervals: dict[str, Interval]) -> None:
        holdout = self._spec.holdout
        if holdout is None:
            return
        validation, embeddings = Validation(holdout.photos, self._spec.seed), self._embed(network, holdout)
        scores = validation.scores(embeddings)
        values |= {"holdout_top1": scores.top1, "holdout_auroc": scores.auroc}
        intervals |= {f"holdout_{name}": interval for name, interval in validation.intervals(embeddings).items()}

    def _picture(self, sample: int, rng: np.random.Generator) -> UInt8Array:
        """Return a sample as the network is to see it."""
        photo, mirrored = self._classes.photos[sample], bool(self._classes.mirrored[sample])
        place = self._places[photo]
        crop: UInt8Array = self._store.pixels[place]
        if self._spec.recipe.augmentation:
            return self._augmentation.vary(crop, self._store.boxes[place], mirrored, rng)
        return crop[:, ::-1] if mirrored else crop

    def _embed(self, network: nn.Module, crops: CropSet) -> Float32Array:
        """Return (n, d) float32 embeddings of a set cut as the service cuts."""
        return np.concatenate(
            [
                _embedded(network, store_batch, self._mean, self._std)
                for store_batch in _batches(CropStore(crops.folder).pixels, crops.places)
            ]
        )


def _batches(pixels: UInt8Array, places: Sequence[int]) -> list[UInt8Array]:
    starts = range(0, len(places), _EVALUATION_BATCH)
    return [pixels[list(places[start : start + _EVALUATION_BATCH])] for start in starts]


def _embedded(network: nn.Module, crops: UInt8Array, mean: Tensor, std: Tensor) -> Float32Array:
    images = network_input(torch.from_numpy(crops).to(mean.device), mean, std)
    rows: Float32Array = network(images).float().cpu().numpy()
    return rows

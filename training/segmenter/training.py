"""A detector's training, from COCO files to a models folder with model card and curve."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.model_files import SegmenterSpec, short_hash
from training.errors import TrainingDataError, TrainingError
from training.photos.coco import read_coco
from training.photos.inspection import Inspection, inspect_photos
from training.photos.records import BoxedPhoto
from training.runs.launch import train
from training.runs.loop import RunResult
from training.runs.plan import Budget, Optimisation, Resources, RunPlan
from training.runs.state import check_resumable
from training.segmenter.augmentation import PhotoAugmentation
from training.segmenter.card import write_curve_and_card
from training.segmenter.initial_weights import initial_file
from training.segmenter.network import DEFAULT_ARCHITECTURE
from training.segmenter.squashed import data_digest, squash_photos
from training.segmenter.task import DetectorSpec
from training.segmenter.validation_split import split_boxed_photos

logger = logging.getLogger(__name__)

NAME = "segmentation"
"""Stem of the run's files; that of the weights is the service's default."""

DEFAULT_OPTIMISATION = Optimisation(learning_rate=1e-3)
DEFAULT_BATCH_PHOTOS = 8

Splits = Mapping[str, tuple[BoxedPhoto, ...]]


@dataclass(frozen=True, slots=True)
class CocoSource:
    """Where boxes and photos are.

    Attributes:
        file: COCO's JSON.
        images: folder that its file names count from; None for the file's own.
    """

    file: Path
    images: Path | None = None


@dataclass(frozen=True, slots=True)
class DetectorTraining:
    """What is asked for; see `python -m training.train_segmenter --help`.

    Attributes:
        data: photos to train and validate on.
        out: the models folder.
        command: that asked for it, for the model card.
        holdout: photos of other individuals, looked at once, at the end.
        body_parts: body part by COCO category name; None takes the names as they are.
        architecture: a Faster R-CNN of the registry.
        input_size_px: side of the square that photos are squashed to.
        init: file of initial weights, "imagenet", or None.
        validation_share: of the individuals, held out for validation.
        batch_photos: photos in a batch of each worker.
        seed: of the split, the order, the augmentation and the random weights.
        skip_bad: leave out photos that cannot be used, instead of stopping.
        licence: of the weights, for the model card.
        augmentation: how far photos are changed.
        optimisation: how weights are changed.
        budget: for how long.
        resources: where.
    """

    data: CocoSource
    out: Path
    command: str = ""
    holdout: CocoSource | None = None
    body_parts: Mapping[str, str] | None = None
    architecture: str = DEFAULT_ARCHITECTURE
    input_size_px: int = 224
    init: str | None = None
    validation_share: float = 0.1
    batch_photos: int = DEFAULT_BATCH_PHOTOS
    seed: int = 1
    skip_bad: bool = False
    licence: str = "MIT"
    augmentation: PhotoAugmentation = field(default_factory=PhotoAugmentation)
    optimisation: Optimisation = DEFAULT_OPTIMISATION
    budget: Budget = field(default_factory=lambda: Budget(minutes=25.0))
    resources: Resources = field(default_factory=Resources)

    @property
    def run_folder(self) -> Path:
        """Where checkpoint and squashed photos are."""
        return RunPlan(NAME, self.out, self.batch_photos).run_folder


def train_detector(asked: DetectorTraining) -> RunResult:
    """Check the data, squash the photos, train or resume, write the models folder.

    Raises:
        TrainingError: the data, the initial weights or the run cannot be used; says what to do.
    """
    initial = initial_file(asked.init, asked.architecture)
    splits, digests = _read(asked)
    labels = body_parts_of(splits["training"])
    segmenter = segmenter_of(asked.architecture, labels, asked.input_size_px)
    data = {name: data_digest(photos, digests, labels, asked.input_size_px) for name, photos in splits.items()}
    plan = _plan(asked, segmenter, data, initial)
    check_resumable(plan)
    folders = {name: plan.run_folder / f"{name}-{digest}" for name, digest in data.items()}
    for name, photos in splits.items():
        squash_photos(photos, labels, asked.input_size_px, folders[name])
    spec = DetectorSpec(
        plan.folder,
        segmenter,
        folders["training"],
        folders["validation"],
        folders.get("holdout"),
        asked.batch_photos,
        asked.seed,
        asked.augmentation,
        initial,
    )
    result = train(plan, spec)
    write_curve_and_card(plan, spec, result, splits, asked.command, asked.licence)
    return result


def body_parts_of(photos: Sequence[BoxedPhoto]) -> tuple[str, ...]:
    """Return the detector's classes: the body parts that occur, "fluke" first as in the original, others by alphabet.

    Raises:
        TrainingDataError: no photo shows any.
    """
    names = {box.body_part for photo in photos for box in photo.boxes}
    if not names:
        raise TrainingDataError("no photo to train on has a box; a detector learns from boxes")
    return tuple(sorted(names, key=lambda name: (name != "fluke", name)))


def segmenter_of(architecture: str, labels: Sequence[str], input_size_px: int) -> SegmenterSpec:
    """Return the segmenter's block of models.yaml.

    Raises:
        TrainingError: a name or the size is none that models.yaml takes.
    """
    block = {"architecture": architecture, "labels": labels, "input_size_px": input_size_px}
    try:
        return SegmenterSpec.model_validate(block)
    except ValidationError as error:
        wrong = "; ".join(f"{problem['input']!r}: {problem['msg']}" for problem in error.errors())
        raise TrainingError(
            f"models.yaml cannot hold this detector: {wrong}; give --category NAME=part for categories not named"
            " like body parts (small letters, digits, underscores), and --input-size from 32 to 2048"
        ) from error


def _read(asked: DetectorTraining) -> tuple[Splits, Mapping[Path, str]]:
    """Return the photos of each split and their digests."""
    inspection = _inspect(asked)
    logger.info("%s", inspection)
    inspection.require_sound(asked.skip_bad)
    training, validation = split_boxed_photos(
        inspection.splits["data"], asked.validation_share, asked.seed, inspection.digests
    )
    splits = {"training": training, "validation": validation}
    if "holdout" in inspection.splits:
        splits["holdout"] = inspection.splits["holdout"]
    return splits, inspection.digests


def _inspect(asked: DetectorTraining) -> Inspection[BoxedPhoto]:
    """Check all photos at once; a photo that both sets have stays in the holdout only."""
    data = {"data": read_coco(asked.data.file, asked.data.images, asked.body_parts)}
    known = {box.body_part for photo in data["data"].photos for box in photo.boxes}
    if asked.holdout is not None:
        data["holdout"] = read_coco(asked.holdout.file, asked.holdout.images, asked.body_parts)
    return inspect_photos(data, sorted(known))


def _plan(asked: DetectorTraining, segmenter: SegmenterSpec, data: Mapping[str, str], initial: Path | None) -> RunPlan:
    identity: dict[str, Any] = {
        "network": f"{segmenter.architecture}, {segmenter.input_size_px} px, {', '.join(segmenter.labels)}",
        **{f"{name} photos": digest for name, digest in data.items()},
        "initial weights": None if initial is None else short_hash(initial),
        "augmentation": asdict(asked.augmentation),
    }
    return RunPlan(
        NAME,
        asked.out.resolve(),
        asked.batch_photos,
        asked.seed,
        identity,
        asked.optimisation,
        asked.budget,
        asked.resources,
    )

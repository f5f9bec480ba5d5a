"""The photos of a training and their crops: read and check the data, hold individuals out, cut the animals out."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.model_files import BodyPartSpec, short_hash
from training.embedder.boxes import Locate, cutter, detected_box, given_box
from training.embedder.crops import CropStore, Cut
from training.embedder.task import CropSet
from training.models_yaml import read_detector_folder
from training.photos.folders import read_folder
from training.photos.inspection import inspect_photos
from training.photos.records import LabelledPhoto
from training.photos.splits import Photos, split_individuals

logger = logging.getLogger(__name__)

_CONTEXT = 0.15
"""Of the box on each side: room for the augmentation to shift and turn in."""
_CONTEXT_SCALE = 1.25
"""Of the network's input: what the box itself then measures is about the input's size."""


@dataclass(frozen=True, slots=True)
class PhotoSource:
    """Where photos come from.

    Attributes:
        data: folder of individuals to train on.
        holdout: folder of others for the final scores; None for none.
        segmenter: models folder whose detector finds the animals; None takes the data's boxes, else whole photos.
        validation_share: of the individuals in `data`.
        skip_bad: go on without photos that cannot be used.
    """

    data: Path
    holdout: Path | None
    segmenter: Path | None
    validation_share: float
    skip_bad: bool


@dataclass(frozen=True, slots=True)
class SplitPhotos:
    """Checked photos.

    Attributes:
        training: to learn from.
        validation: of other individuals.
        holdout: of others again; empty for none.
        digests: sha256 of every photo.
    """

    training: Photos
    validation: Photos
    holdout: Photos
    digests: Mapping[Path, str]

    def digest(self) -> str:
        """Return a hash of all contents and labels."""
        digest = hashlib.sha256()
        for split in (self.training, self.validation, self.holdout):
            for photo in split:
                facts = (self.digests[photo.path], photo.label, photo.encounter, photo.box_px)
                digest.update(repr(facts).encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SplitCrops:
    """Crops of all sets."""

    training: CropSet
    validation: CropSet
    holdout: CropSet | None


def read_photos(source: PhotoSource, body_part: str, seed: int) -> SplitPhotos:
    """Read, check and part the photos.

    Args:
        source: where they are.
        body_part: what they show.
        seed: of the choice of validation individuals.

    Raises:
        TrainingDataError: lists everything that is wrong.
    """
    sets = {"dataset": read_folder(source.data, body_part, "dataset")}
    if source.holdout is not None:
        sets["holdout"] = read_folder(source.holdout, body_part, "holdout")
    inspection = inspect_photos(sets)
    inspection.require_sound(source.skip_bad)
    logger.info("%s", inspection)
    photos = inspection.splits["dataset"]
    training, validation = split_individuals(photos, source.validation_share, seed, inspection.digests)
    return SplitPhotos(training, validation, inspection.splits.get("holdout", ()), inspection.digests)


def make_crops(
    photos: SplitPhotos, source: PhotoSource, part: BodyPartSpec, augmentation: bool, folder: Path
) -> SplitCrops:
    """Cut the animals out, or take the crops that a former attempt has made.

    Args:
        photos: all sets.
        source: whether a detector finds the animals.
        part: size and margin.
        augmentation: whether training crops need room around the boxes.
        folder: for the stores.
    """
    locate = given_box if source.segmenter is None else detected_box(source.segmenter)
    detector = detector_hash(source.segmenter)
    wide = wide_cut(part)
    exact = Cut(part.input_size_px, part.margin)

    def cut(name: str, chosen: Photos, how: Cut) -> CropSet:
        key = {"photos": _digest(chosen, photos.digests), "cut": repr(how), "detector": detector}
        return _crops(folder / name, key, chosen, how, locate, f"cropping, {name}")

    return SplitCrops(
        cut("training", photos.training, wide if augmentation else exact),
        cut("validation", photos.validation, exact),
        cut("holdout", photos.holdout, exact) if photos.holdout else None,
    )


def detector_hash(segmenter: Path | None) -> str | None:
    """Return the short hash of a models folder's detector; None for no folder.

    Raises:
        TrainingError: the folder has no detector.
    """
    return None if segmenter is None else short_hash(read_detector_folder(segmenter).segmenter_file)


def wide_cut(part: BodyPartSpec) -> Cut:
    """Return how crops with room for the augmentation are cut out."""
    return Cut(round(part.input_size_px * _CONTEXT_SCALE), part.margin, _CONTEXT)


def _crops(
    folder: Path, key: Mapping[str, str | None], photos: Photos, how: Cut, locate: Locate, words: str
) -> CropSet:
    store = CropStore.prepare(folder, key, len(photos), how.size_px)
    return chosen_crops(folder, photos, store.fill(cutter(photos, locate, how), words).nonzero()[0].tolist())


def chosen_crops(folder: Path, photos: Sequence[LabelledPhoto], places: Sequence[int]) -> CropSet:
    """Return the set of those photos that have a crop."""
    return CropSet(folder, tuple(photos[place] for place in places), tuple(places))


def _digest(photos: Photos, digests: Mapping[Path, str]) -> str:
    text = "".join(f"{digests[photo.path]}{photo.box_px}\n" for photo in photos)
    return hashlib.sha256(text.encode()).hexdigest()

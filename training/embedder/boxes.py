"""Where the animal is in a photo: a given box, a detector's, or the whole photo; and the crops that come of it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.files import PhotoFiles
from pipeline.photos.images import Photo, box_in_photo, decode_photo, detector_input
from pipeline.records import BoundingBox, Failure, PathSource
from training.embedder.crops import Crop, Cut, MapNumbers
from training.models_yaml import read_detector_folder
from training.photos.records import LabelledPhoto

Locate = Callable[[Photo, LabelledPhoto], BoundingBox | None]

_CHUNK = 64
"""Photos on their way at once, so that large ones do not fill the memory."""


def given_box(photo: Photo, labelled: LabelledPhoto) -> BoundingBox:
    """Return the data's own box, else the whole photo."""
    width_px, height_px = photo.size_px
    return labelled.box_px or BoundingBox(0.0, 0.0, float(width_px), float(height_px))


def detected_box(models: Path, device: str = "cpu") -> Locate:
    """Return a function that finds the animal with the detector of a models folder.

    It takes the best box of the wanted body part, or the best of all where there is none of that part.

    Args:
        models: the models folder.
        device: of torch.

    Raises:
        TrainingError: the folder has no detector.
        ModelFilesError: the detector's weights cannot be used.
        ItemError: raised by the function where the network gives no answer for a photo; names the photo.
    """
    folder = read_detector_folder(models)
    network = SegmentationNetwork(folder, device)
    side_px = folder.segmenter.input_size_px

    def locate(photo: Photo, labelled: LabelledPhoto) -> BoundingBox | None:
        found = network.detect([detector_input(photo, side_px)])[0]
        if isinstance(found, Failure):  # not "no animal": the network did not answer
            raise Failure.of(found.as_error(), str(labelled.path)).as_error()
        if not found.items:
            return None
        of_part = [item for item in found.items if item.body_part == labelled.body_part]
        return box_in_photo((of_part or found.items)[0].box, photo.size_px, side_px)

    return locate


def cutter(photos: Sequence[LabelledPhoto], locate: Locate, cut: Cut) -> MapNumbers:
    """Return a function that reads photos by number, on all cores, and cuts the animals out."""

    def make(number: int) -> Crop | None:
        labelled = photos[number]
        content = PhotoFiles().read(PathSource(str(labelled.path), local_peer=True))
        photo = decode_photo(content, str(labelled.path))
        box_px = locate(photo, labelled)
        return None if box_px is None else cut.apply(photo, box_px)

    def make_all(numbers: Iterable[int]) -> Iterator[Crop | None]:
        waiting = iter(numbers)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            while chunk := list(islice(waiting, _CHUNK)):
                yield from pool.map(make, chunk)

    return make_all

"""Which photos show the same thing: individuals, their sides, their mirror images.

Left and right flank of one animal bear different marks, so with known sides they are two classes. A mirror image shows
an animal that does not exist: the notches of a fluke and the marks of a flank are not symmetric. So mirrored photos may
only be further classes, never the same one. With flanks this asks for the side: an individual of unknown sides may show
its left in one photo and its right in another, which look like each other's mirror image, so mirroring would teach that
one thing is two. A fluke has one view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.arrays import Int64Array
from training.embedder.recipe import Mirror
from training.photos.records import LabelledPhoto

ONE_VIEW = frozenset({"fluke"})
"""Body parts that are photographed from one direction only."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Samples and their classes; a sample is a photo as it is or mirrored.

    Attributes:
        photos: (n,) int64, which photo each sample is.
        mirrored: (n,) bool.
        labels: (n,) int64, classes from 0.
        names: of the classes.
    """

    photos: Int64Array
    mirrored: npt.NDArray[np.bool_]
    labels: Int64Array
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of classes."""
        return len(self.names)

    def sizes(self) -> Int64Array:
        """Return (classes,) int64, the number of samples of each class."""
        return np.bincount(self.labels, minlength=self.count)


def may_mirror(photos: Sequence[LabelledPhoto]) -> bool:
    """Return whether mirror images are clearly other animals: of one-view parts, or where every side is known."""
    return all(photo.side is not None or photo.body_part in ONE_VIEW for photo in photos)


def make_classes(photos: Sequence[LabelledPhoto], mirror: Mirror) -> Classes:
    """Number the classes; mirrored ones come after all others.

    Args:
        photos: of the training split.
        mirror: "auto" doubles the classes where `may_mirror` allows it.
    """
    names = sorted({photo.label for photo in photos})
    number = {name: place for place, name in enumerate(names)}
    labels = np.array([number[photo.label] for photo in photos], dtype=np.int64)
    places = np.arange(len(photos), dtype=np.int64)
    plain = np.zeros(len(photos), dtype=bool)
    if mirror == "never" or not may_mirror(photos):
        return Classes(places, plain, labels, tuple(names))
    return Classes(
        np.concatenate([places, places]),
        np.concatenate([plain, ~plain]),
        np.concatenate([labels, labels + len(names)]),
        (*names, *(f"{name} (mirrored)" for name in names)),
    )

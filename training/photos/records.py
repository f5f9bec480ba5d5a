"""Photos with what people know about them: who, which body part, where in the picture, when."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pipeline.records import BoundingBox
from training.photos.problems import Problem

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """One individual in one photo; a photo of two individuals is two of these with the same path.

    Attributes:
        path: of the file.
        individual: its normalised name.
        body_part: "fluke", "flank", or what the data calls it.
        box_px: around the animal, in pixels of the upright photo; None where nobody drew one.
        encounter: names one animal's (or group's) time and place; photos of one encounter resemble each other. Where
            only the date is known, it is the date; None where not even that is.
        date: the day on which it was taken, where known.
        side: of the animal, for body parts that have two; None where it has not, or nobody noted it.
        split: what the data says that the photo is for ("dataset", "holdout"); empty where it says nothing.
    """

    path: Path
    individual: str
    body_part: str
    box_px: BoundingBox | None = None
    encounter: str | None = None
    date: datetime.date | None = None
    side: Side | None = None
    split: str = ""

    @property
    def label(self) -> str:
        """The class to tell apart: the individual, and its side where known, for left and right look different."""
        return self.individual if self.side is None else f"{self.individual} ({self.side})"

    @property
    def boxes_px(self) -> tuple[BoundingBox, ...]:
        """The box, if there is one."""
        return () if self.box_px is None else (self.box_px,)


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One animal in a detector's photo.

    Attributes:
        box_px: in pixels of the upright photo.
        body_part: the category's name.
        individual: its name, where the data has it.
    """

    box_px: BoundingBox
    body_part: str
    individual: str | None = None


@dataclass(frozen=True, slots=True)
class BoxedPhoto:
    """A photo for the detector, with all animals in it.

    Attributes:
        path: of the file.
        boxes: of all animals; empty for an empty sea.
        stated_size_px: width and height as the data states them; None where it does not.
    """

    path: Path
    boxes: tuple[LabelledBox, ...] = ()
    stated_size_px: tuple[int, int] | None = None

    @property
    def boxes_px(self) -> tuple[BoundingBox, ...]:
        """The boxes without their labels."""
        return tuple(box.box_px for box in self.boxes)


AnyPhoto = TypeVar("AnyPhoto", bound=LabelledPhoto | BoxedPhoto)


@dataclass(frozen=True, slots=True)
class PhotoSet(Generic[AnyPhoto]):
    """What a reader made of a data set.

    Attributes:
        source: the folder or file that was read; for messages.
        photos: in a fixed order.
        problems: what the reader could not take; the checks of `training.photos.inspection` go on from there.
    """

    source: Path
    photos: tuple[AnyPhoto, ...]
    problems: tuple[Problem, ...] = field(default=())

"""The records that travel between the stages: frozen, slotted, picklable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.errors import ItemError, WhaleVisionError, item_error

UNKNOWN = "Unknown"
"""The candidate that stands for "none of the known individuals", at distance `UNKNOWN_DISTANCE`."""

UNKNOWN_DISTANCE = 1.0
"""Distance of the "Unknown" entry in every ranking; a constant of the original system."""

Animals = Literal["best", "all"]
"""Which boxes of a photo are answered: the best-scoring one (the original's way) or every one above the threshold."""

Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """An axis-aligned box in pixels; x to the right, y down, edges as floats."""

    x_min_px: float
    y_min_px: float
    x_max_px: float
    y_max_px: float

    def xyxy(self) -> tuple[float, float, float, float]:
        """Return the edges as (x_min, y_min, x_max, y_max) in pixels."""
        return (self.x_min_px, self.y_min_px, self.x_max_px, self.y_max_px)


@dataclass(frozen=True, slots=True)
class Detection:
    """One box of the detector, in pixels of the detector's (square) input.

    Attributes:
        box: edges in pixels of the detector's input.
        body_part: name from models.yaml, for example "fluke".
        score: the detector's score in [0, 1].
    """

    box: BoundingBox
    body_part: str
    score: float


@dataclass(frozen=True, slots=True)
class Detections:
    """What the segmenter found in one photo, best score first; empty where it found nothing.

    Attributes:
        items: all boxes above torchvision's own floor (0.05), before any further suppression.
        model: short hash of the detector's weights.
    """

    items: tuple[Detection, ...]
    model: str

    def __reduce__(self) -> "tuple[Callable[..., Detections], tuple[list[FlatDetection], str]]":
        """Pickle flat: as objects, a hundred boxes would take most of a millisecond on their way to the extractor."""
        flat = [(*item.box.xyxy(), item.body_part, item.score) for item in self.items]
        return _detections, (flat, self.model)


FlatDetection = tuple[float, float, float, float, str, float]
"""Edges of the box (x_min, y_min, x_max, y_max), body part, score."""


def _detections(flat: "list[FlatDetection]", model: str) -> Detections:
    return Detections(tuple(Detection(BoundingBox(*row[:4]), row[4], row[5]) for row in flat), model)


@dataclass(frozen=True, slots=True)
class Embedding:
    """One crop's embedding.

    Attributes:
        values: (d,) float32, L2-normalised; d is 128 for the original's models.
        model: short hash of the weights that made it.
    """

    values: Float32Array
    model: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A box around one animal in one photo.

    Attributes:
        box_px: in pixels of the upright photo (EXIF orientation applied), before the crop's 1 % margin.
        body_part: name from models.yaml.
        score: the detector's score in [0, 1]; None of a box that a person drew.
        animal: 1..n within the photo, best score first.
    """

    box_px: BoundingBox
    body_part: str
    score: float | None
    animal: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one photo or item has no answer; `code` is one of `pipeline.errors`."""

    code: str
    message: str

    @classmethod
    def of(cls, error: WhaleVisionError, name: str | None = None) -> "Failure":
        """Return the outcome that an error is; the message begins with the photo's name where it is given."""
        return cls(error.code, error.message if name is None else f"{name}: {error.message}")

    def as_error(self) -> ItemError:
        """Return the error that `of` was given, as far as its code tells."""
        return item_error(self.code, self.message)


@dataclass(frozen=True, slots=True)
class Segmented:
    """First step of a photo's extraction: its segmentation ended, found or not, readable or not."""


@dataclass(frozen=True, slots=True)
class ExtractedAnimal:
    """One animal of a photo with its embedding."""

    annotation: Annotation
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Extracted:
    """Last step of a photo's extraction.

    Attributes:
        animals: best first; empty exactly when `failure` is set.
        failure: why there is no embedding.
        sha256: of the photo's bytes, hex; None where they could not be decoded as a photo.
    """

    animals: tuple[ExtractedAnimal, ...]
    failure: Failure | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class PathSource:
    """A photo on the server's disk, by the path that the client sent.

    Attributes:
        path: character for character what the client sent; echoed in answers.
        local_peer: whether the client is on loopback, where `photo_roots: []` means any path.
    """

    path: str
    local_peer: bool


@dataclass(frozen=True, slots=True)
class UploadSource:
    """A photo that the client sent over the wire.

    Attributes:
        name: the client's file name, for messages; never used as a path.
        content: the whole file.
    """

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload that lies elsewhere until a thread is free to decode it: photos that wait hold no memory.

    Attributes:
        name: the client's file name, for messages; never used as a path.
        fetch: returns the whole file; may block, and raises UnavailableError where it is lost.
    """

    name: str
    fetch: Callable[[], bytes]


PhotoSource = PathSource | UploadSource
"""A photo as a client names or sends it."""

ReadableSource = PhotoSource | StoredUpload
"""A photo as it can be extracted."""


@dataclass(frozen=True, slots=True)
class PhotoKey:
    """Which photo (and which animal in it) a catalogue row is about.

    `photo` is "sha256:<hex>" of the photo's bytes where the client knows it, else "path:<path>" as it sent that.
    """

    photo: str
    animal: int = 1


@dataclass(frozen=True, slots=True)
class Query:
    """One item of an identify request.

    Attributes:
        key: which photo this is.
        path: as the client sent it; stored as provenance when confirmed.
        body_part: name from models.yaml.
        values: (d,) float32 embedding.
        model: short hash the client says made it; None counts as the loaded model.
        identity: the confirmed individual (NFC, trimmed), or None for a plain query.
        box: of the animal, in pixels of the upright photo, where the client says so; stored when confirmed.
    """

    key: PhotoKey
    path: str
    body_part: str
    values: Float32Array
    model: str | None
    identity: str | None
    box: BoundingBox | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """An annotation that a candidate is compared by: its number, its distance to the query, its encounter if any."""

    annotation: int
    distance: float
    encounter: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a ranking; lower is better. "Unknown" has no number; of several catalogues others name theirs."""

    individual: str
    distance: float
    number: int | None = None
    references: tuple[Reference, ...] = ()
    catalogue: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer to one query: candidates in ascending distance, or why there are none.

    Details, where asked for: `individuals` compared, a signed `description`, `photos` ranked and all, if not all are.
    """

    candidates: tuple[Candidate, ...]
    failure: Failure | None = None
    individuals: int | None = None
    description: str | None = None
    photos: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SaveOutcome:
    """What became of one saved photo: where its copy is, and whether the same bytes were there; or why it failed."""

    new_file: str | None
    skipped: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who says something: everything that is stored carries it.

    Attributes:
        institution: name of the institution that the actor belongs to.
        name: of the person or program, unique within the institution.
        kind: whether a person decides or a program does.
    """

    institution: str
    name: str
    kind: Literal["person", "program"] = "person"


LOCAL_USER = Actor("default", "local user")
"""Who speaks where no tokens are configured: whoever sits at this machine."""

SERVICE = Actor("default", "whale-vision", "program")
"""The service itself, which takes in the models folder's catalogue files."""

OPERATOR = Actor("default", "python -m pipeline.admin", "program")
"""Whoever works on the database itself, beside the service."""

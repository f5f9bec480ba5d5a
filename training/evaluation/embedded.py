"""Photos on their way through the models, with what came of each."""

from dataclasses import dataclass

from pipeline.records import BoundingBox, Failure, Float32Array, UInt8Array
from training.photos.records import LabelledPhoto


@dataclass(frozen=True, slots=True)
class EmbeddedPhoto:
    """One photo with its embedding, or why it has none.

    Attributes:
        photo: what people know about it.
        values: (d,) float32, L2-normalised; None where there is a failure.
        box_px: that was cut out, in pixels of the upright photo; None for a failure.
        failure: why there is no embedding.
        thumbnail: (32, 32) uint8 grey picture of the crop; None for a failure.
    """

    photo: LabelledPhoto
    values: Float32Array | None = None
    box_px: BoundingBox | None = None
    failure: Failure | None = None
    thumbnail: UInt8Array | None = None

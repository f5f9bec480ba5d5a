"""What photos are compared by: the model's embedding, or, to see what a model is worth, a tiny grey picture."""

import numpy as np

from training.evaluation.embedded import EmbeddedPhoto
from training.scoring.intervals import FloatArray


def by_embedding(photo: EmbeddedPhoto) -> FloatArray | None:
    """Return the embedding, (d,) float64."""
    return None if photo.values is None else photo.values.astype(np.float64)


def by_thumbnail(photo: EmbeddedPhoto) -> FloatArray | None:
    """Return the crop's 32x32 grey picture with zero mean and unit length, (1024,) float64.

    The squared distance of two of these is 2 - 2 r, with r their correlation: nearest is most correlated.
    """
    if photo.thumbnail is None:
        return None
    grey = photo.thumbnail.astype(np.float64).ravel()
    centred: FloatArray = grey - grey.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0.0 else centred

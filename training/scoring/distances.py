"""Distances between queries and known individuals, by the service's own measure."""

import numpy as np
import torch

from pipeline.catalogue.nearest import euclidean_distances
from training.arrays import FloatArray, IntArray


def photo_distances(asked: FloatArray, references: FloatArray) -> FloatArray:
    """Return (n, g) Euclidean distances; `inf` where a vector holds no numbers, which stands for a failed photo.

    Args:
        asked: (n, d) float64.
        references: (g, d) float64.
    """
    distances = euclidean_distances(torch.from_numpy(asked), torch.from_numpy(references)).numpy()
    return np.where(np.isnan(distances), np.inf, distances)


def centroid_distances(asked: FloatArray, references: FloatArray, reference_of: IntArray, count: int) -> FloatArray:
    """Return (n, k) distances to the mean of each individual's references, as the service measures.

    Args:
        asked: (n, d) float64.
        references: (g, d) float64.
        reference_of: (g,) number of each one's individual, from 0.
        count: of individuals; one without references is infinitely far.
    """
    photos = np.bincount(reference_of, minlength=count)
    sums = np.zeros((count, references.shape[1]))
    np.add.at(sums, reference_of, references)
    means = np.where(photos[:, None] > 0, sums / np.maximum(photos, 1)[:, None], np.nan)
    return photo_distances(asked, means)


def nearest_distances(asked: FloatArray, references: FloatArray, reference_of: IntArray, count: int) -> FloatArray:
    """Return (n, k) distances to the nearest of each individual's references; arguments as for the centroid."""
    nearest = np.full((count, len(asked)), np.inf)
    np.minimum.at(nearest, reference_of, photo_distances(asked, references).T)
    return nearest.T

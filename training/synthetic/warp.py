"""Sampling pictures at fractional places."""

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def sample(
    picture: Float32, x_px: npt.NDArray[np.floating], y_px: npt.NDArray[np.floating], outside: float | None = None
) -> Float32:
    """Return a picture's values at (x, y), bilinear.

    Args:
        picture: (h, w) or (h, w, c) float32.
        x_px: columns, (m, n); converted to float32, for OpenCV misreads maps of any other type without a word.
        y_px: rows, (m, n).
        outside: value beyond the edges; None repeats the edge.
    """
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    map_x, map_y = np.ascontiguousarray(x_px, np.float32), np.ascontiguousarray(y_px, np.float32)
    fill = 0.0 if outside is None else outside
    return np.asarray(
        cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=border, borderValue=fill), np.float32
    )


def enlarge(grid: Float32, width_px: int, height_px: int) -> Float32:
    """Return a coarse grid, (h, w) float32, as smooth values at a size, bicubic."""
    return np.asarray(cv2.resize(grid, (width_px, height_px), interpolation=cv2.INTER_CUBIC), np.float32)

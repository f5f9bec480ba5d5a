"""Drawn pictures of no animal: what random models are calibrated on where no photos are given."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.photos.images import Photo

_SIZES_PX = ((640, 427), (480, 640), (800, 533), (512, 512))


def draw_pictures(count: int, seed: int) -> tuple[Photo, ...]:
    """Draw varied pictures: a sky above a sea, one large dark shape and some small ones, each with its own colours.

    Args:
        count: how many.
        seed: of the first; the same seed draws the same pictures.

    Returns:
        RGB photos of several sizes, both landscape and portrait.
    """
    return tuple(Photo(f"picture {index + 1}", _draw(index, seed)) for index in range(count))


def _draw(index: int, seed: int) -> Image.Image:
    random = np.random.default_rng((seed, index))
    width, height = _SIZES_PX[index % len(_SIZES_PX)]
    picture = _background(random, width, height)
    pencil = ImageDraw.Draw(picture)
    for share in (0.45, 0.12, 0.08, 0.05):
        pencil.polygon(list(_blob(random, width, height, share)), fill=_colour(random, 20, 160))
    return _grain(random, picture.filter(ImageFilter.GaussianBlur(float(random.uniform(0.5, 2.0)))))


def _background(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Two vertical gradients that meet at a horizon."""
    horizon = random.uniform(0.15, 0.6)
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    sky = np.array(_colour(random, 120, 250)) * (0.7 + 0.3 * rows)
    sea = np.array(_colour(random, 30, 150)) * (1.2 - 0.5 * rows)
    pixels = np.where(rows < horizon, sky, sea) * np.ones((1, width, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _blob(random: np.random.Generator, width: int, height: int, share: float) -> Iterator[tuple[float, float]]:
    """Corners of a closed shape about `share` of the picture wide."""
    centre_x, centre_y = random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.8) * height
    flatness = random.uniform(0.3, 1.0)
    for angle in np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False):
        radius = share * width / 2.0 * random.uniform(0.7, 1.3)
        yield centre_x + radius * np.cos(angle), centre_y + flatness * radius * np.sin(angle)


def _colour(random: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in random.integers(low, high, 3))
    return red, green, blue


def _grain(random: np.random.Generator, picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float64)
    noise = random.normal(0.0, random.uniform(2.0, 8.0), pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))

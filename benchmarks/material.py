"""What the benchmarks work on: photos, models and a catalogue, made once and kept in one folder."""

import csv
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.model_files import load_model_folder
from training.random_models import Architecture, make_random_models
from training.random_models.pictures import draw_pictures

KEPT_IN = Path(tempfile.gettempdir()) / "whale-vision-benchmarks"
"""Where photos and models stay for the next run; delete it after the architectures changed."""

CAMERA_SIZE_PX = (3888, 2592)
SMALL_SIZE_PX = (640, 427)

_GRAIN = 6.0
"""Standard deviation of the sensor's noise in grey levels: makes the JPEGs about 3 MB, as a camera's are."""

_JPEG_QUALITY = 90
_PHOTOS_AN_INDIVIDUAL = 3


def make_photos(count: int, size_px: tuple[int, int], folder: Path = KEPT_IN) -> list[Path]:
    """Return JPEGs of drawn pictures with a camera's size and noise; random models find a box in each.

    Args:
        count: at most 8, what the random models are calibrated on.
        size_px: width and height.
        folder: where they are kept.
    """
    width_px, height_px = size_px
    files = [folder / f"{width_px}x{height_px}" / f"IMG_{number:04d}.jpg" for number in range(1, count + 1)]
    if not all(file.exists() for file in files):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(draw_pictures(count, seed=0)):
            _with_grain(picture.image.resize(size_px), number).save(files[number], quality=_JPEG_QUALITY)
    return files


def make_models(architecture: Architecture, folder: Path = KEPT_IN) -> Path:
    """Return a models folder of random weights; the seed's networks take some minutes the first time."""
    models_dir = folder / architecture
    if not models_dir.exists():
        make_random_models(models_dir, architecture)
    return models_dir


def make_models_with_catalogue(individuals: int, folder: Path = KEPT_IN) -> Path:
    """Return light models whose catalogues hold so many individuals, three photos each, with random embeddings."""
    models_dir = folder / f"narrow-{individuals}-individuals"
    if not models_dir.exists():
        make_random_models(models_dir, "narrow")
        models = load_model_folder(models_dir)
        for part in models.body_parts:
            _write_catalogue(models_dir / part.catalogue, individuals, part.dimension)
    return models_dir


def _write_catalogue(file: Path, individuals: int, dimension: int) -> None:
    random = np.random.default_rng(0)
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        for photo in range(individuals * _PHOTOS_AN_INDIVIDUAL):
            vector = random.normal(size=dimension)
            values = [float(value) for value in vector / np.linalg.norm(vector)]
            rows.writerow([f"WHALE_{photo // _PHOTOS_AN_INDIVIDUAL:04d}", f"{photo}.jpg", str(values)])


def _with_grain(image: Image.Image, seed: int) -> Image.Image:
    """Add the same noise to the three colours of each pixel."""
    random = np.random.default_rng(seed)
    noise = random.normal(0.0, _GRAIN, (image.height, image.width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image, dtype=np.float32) + noise, 0, 255).astype(np.uint8))

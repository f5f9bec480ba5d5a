"""Fixtures that every part of the tests may use."""

import os
from pathlib import Path

import pytest

PHOTOS_VARIABLE = "WHALE_VISION_PHOTOS"


@pytest.fixture(scope="session")
def photos_dir() -> Path:
    """Folder of real photos: $WHALE_VISION_PHOTOS, else `shared/photos` beside the repository; skips where absent."""
    beside_repository = Path(__file__).resolve().parents[2] / "shared" / "photos"
    folder = Path(os.environ.get(PHOTOS_VARIABLE, beside_repository))
    if not folder.is_dir():
        pytest.skip(f"no real photos at {folder}; set {PHOTOS_VARIABLE}")
    return folder

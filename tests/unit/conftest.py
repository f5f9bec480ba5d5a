"""Fixtures of the unit tests."""

import pytest

from pipeline.model_files import ModelFolder
from training.random_models import make_random_models
from training.random_models.pictures import draw_pictures


@pytest.fixture(scope="session")
def narrow_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Narrow random models, calibrated on the first three drawn pictures of seed 5."""
    return make_random_models(tmp_path_factory.mktemp("models") / "narrow", seed=5, photos=draw_pictures(3, seed=5))

"""What the evaluation says of a models folder is what a client of the service gets, photo by photo."""

from collections.abc import Iterator

import pytest

from pipeline.client import Client
from pipeline.model_files import ModelFolder
from tests.e2e.running import Service, start_service
from training.evaluation.comparison import by_embedding, make_comparison
from training.evaluation.extraction import PhotoEmbedder
from training.evaluation.protocols import Roles, honest_roles
from training.evaluation.served import evaluated_answers, served_answers, top_1
from training.photos.folders import read_folder
from training.random_models import make_random_models
from training.synthetic.__main__ import main as render

pytestmark = pytest.mark.serve

REFERENCES = 2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Random models of two body parts, which some photos are taken for the other of; no catalogue."""
    folder = make_random_models(tmp_path_factory.mktemp("models") / "light", seed=3)
    for part in folder.body_parts:
        (folder.path / part.catalogue).unlink()
    return folder


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Roles:
    """8 individuals with 6 photos each in 3 encounters, one of the individuals unknown."""
    folder = tmp_path_factory.mktemp("whales")
    sizes = ["--individuals", "1", "--holdout", "8", "--photos", "6", "--encounters", "3", "--size", "240x160"]
    render(["dataset", str(folder), "--parts", "fluke", *sizes])
    photos = read_folder(folder / "holdout" / "fluke").photos
    return honest_roles(photos, references=REFERENCES, unknown=1, seed=0)


@pytest.fixture(scope="module")
def served(ray_cluster: int, models: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(models.path, tmp_path_factory.mktemp("served"), ray_cluster)
    yield running
    running.stop()


def test_service_and_evaluation_name_the_same_individual_for_every_query(served, models, roles):
    embedded = PhotoEmbedder(models, "fluke").embed(roles.photos, progress=False)
    comparison = make_comparison(roles, {one.photo: one for one in embedded}, by_embedding, seed=0)
    expected = evaluated_answers(comparison, REFERENCES)
    with Client(served.url) as client:
        answers = served_answers(client, roles, "fluke")
    assert answers == expected
    assert set(answers) == set(roles.queries)
    assert len(set(answers.values())) > 2  # not one name for all
    right = [photo for photo, answer in answers.items() if answer == photo.label]
    assert top_1(answers) == len(right) / len(roles.queries)

"""The command line over real photos, end to end, with light models of random weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.client.__main__ import main
from tests.e2e.running import Service, start_service

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def service(
    photos_dir: Path, ray_cluster: int, light_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The application with light models; not started where there are no real photos."""
    running = start_service(light_models, tmp_path_factory.mktemp("service"), ray_cluster)
    yield running
    running.stop()


def test_every_real_photo_is_answered(service, photos_dir, tmp_path, capsys):
    status = main(["identify", str(photos_dir), "--server", service.url, "--json"])
    answers = json.loads(capsys.readouterr().out)["photos"]
    photos = [path for path in photos_dir.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")]
    assert status == 0
    assert {Path(answer["path"]).name for answer in answers} == {path.name for path in photos}


def test_same_photos_uploaded_give_the_same_answers(service, photos_dir, capsys):
    folder = str(next(photos_dir.rglob("*catalog*")))
    answers = {}
    for options in ([], ["--upload"]):
        assert main(["identify", folder, "--server", service.url, "--json", *options]) == 0
        answers[bool(options)] = [entry["candidates"] for entry in json.loads(capsys.readouterr().out)["photos"]]
    assert answers[True] == answers[False]


def test_confirmed_real_photo_is_its_own_nearest(service, photos_dir, capsys):
    photo = str(next(photos_dir.rglob("*.jpg")))
    assert main(["confirm", photo, "REAL_ONE", "--server", service.url]) == 0
    capsys.readouterr()
    assert main(["identify", photo, "--server", service.url, "--json", "--top", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["photos"][0]["candidates"][0]["individual"] == "REAL_ONE"

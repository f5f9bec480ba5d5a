"""Models of random weights: usable, clearly labelled, the same for the same seed, clear in their answers."""

import csv
import json
import math

import numpy as np
import pytest
import torch

from pipeline.errors import ModelFilesError
from pipeline.model_files import ModelFolder, load_model_folder, short_hash
from pipeline.networks.embedding import EmbeddingNetwork
from pipeline.networks.segmentation import SegmentationNetwork
from pipeline.photos.images import box_in_photo, crop, detector_input
from tests.reference import rank, read_catalogue
from training.random_models import make_random_models
from training.random_models.__main__ import main
from training.random_models.pictures import draw_pictures

CALIBRATION = draw_pictures(3, seed=5)  # as the `narrow_folder` fixture has it


@pytest.fixture(scope="module")
def best(narrow_folder):
    network = SegmentationNetwork(narrow_folder, backend="torch")
    return network.detect([detector_input(photo) for photo in CALIBRATION])


def test_the_files_say_that_they_are_meaningless(narrow_folder):
    assert "MEANINGLESS" in (narrow_folder.path / "README.txt").read_text()
    assert "meaningless" in narrow_folder.provenance


def test_the_best_box_of_every_calibration_photo_leads_clearly(best):
    for detections in best:
        assert detections.items[0].score - detections.items[1].score > 1e-3


def test_no_crop_edge_of_a_calibration_photo_is_on_a_rounding_boundary(best):
    for photo, detections in zip(CALIBRATION, best, strict=True):
        width_px, height_px = photo.size_px
        left, top, right, bottom = box_in_photo(detections.items[0].box, photo.size_px).xyxy()
        grown = (
            max(left - 0.01 * (right - left), 0),
            max(top - 0.01 * (bottom - top), 0),
            min(right + 0.01 * (right - left), width_px),
            min(bottom + 0.01 * (bottom - top), height_px),
        )
        assert all(abs(edge - math.floor(edge) - 0.5) > 0.01 for edge in grown)


def test_every_body_part_is_found(best, narrow_folder):
    assert {detections.items[0].body_part for detections in best} == set(narrow_folder.body_part_names)


def test_distances_of_a_ranking_differ(best, narrow_folder):
    for photo, detections in zip(CALIBRATION, best, strict=True):
        detection = detections.items[0]
        part = detection.body_part
        pixels = crop(photo, box_in_photo(detection.box, photo.size_px))
        (embedding,) = EmbeddingNetwork(narrow_folder, part, backend="torch").embed([pixels])
        ranking = rank(read_catalogue(narrow_folder.catalogue_file(part)), embedding.values)
        assert len(ranking) == 13
        assert np.diff([distance for _, distance in ranking]).min() > 1e-5


def test_new_pictures_get_boxes_too(narrow_folder):
    network = SegmentationNetwork(narrow_folder, backend="torch")
    found = network.detect([detector_input(photo) for photo in draw_pictures(12, seed=99)])
    assert all(detections.items for detections in found)
    assert len({detections.items[0].box for detections in found}) == 12


def test_the_catalogue_has_the_originals_format(narrow_folder):
    with narrow_folder.catalogue_file("flank").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert {row[0] for row in rows} == {f"RANDOM_{number:02d}" for number in range(1, 13)}
    for _, path, numbers in rows:
        assert path.startswith("random/flank/RANDOM_")
        assert np.linalg.norm(json.loads(numbers)) == pytest.approx(1.0, abs=1e-5)


def test_the_same_seed_makes_the_same_models_and_another_does_not(tmp_path):
    once, again, other = (
        make_random_models(tmp_path / name, seed=seed, photos=CALIBRATION[:2], body_parts=("fin",))
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )
    hashes = [[short_hash(file) for file in folder.weight_files()] for folder in (once, again, other)]
    assert hashes[0] == hashes[1]
    assert not set(hashes[0]) & set(hashes[2])


def test_torchs_own_random_numbers_are_left_alone(tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    make_random_models(tmp_path / "models", photos=CALIBRATION[:2], body_parts=("fin",))
    assert torch.equal(torch.rand(3), expected)


def test_a_dolphin_folder_has_one_part_and_may_have_the_parallel_prefix(tmp_path):
    folder = make_random_models(tmp_path / "dolphins", photos=CALIBRATION[:2], body_parts=("fin",), module_prefix=True)
    assert folder.body_part_names == ("fin",)
    state = torch.load(folder.embedder_file("fin"), weights_only=True)
    assert all(key.startswith("module.") for key in state)
    assert EmbeddingNetwork(folder, "fin", backend="torch").dimension == 128


def test_a_folder_in_use_is_never_written_to(tmp_path):
    (tmp_path / "segmentation.pth").write_bytes(b"trained for weeks")
    with pytest.raises(ModelFilesError, match="is there already"):
        make_random_models(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["segmentation.pth"]


def test_a_failed_run_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("training.random_models.make.random_catalogue", lambda *arguments: [][0])
    with pytest.raises(IndexError):
        make_random_models(tmp_path / "models", photos=CALIBRATION[:2], body_parts=("fin",))
    assert list(tmp_path.iterdir()) == []


def test_the_command_makes_a_folder_from_drawn_pictures(tmp_path, capsys):
    assert main([str(tmp_path / "models"), "--seed", "3", "--body-parts", "fin"]) == 0
    assert "meaningless" in capsys.readouterr().out
    assert isinstance(load_model_folder(tmp_path / "models"), ModelFolder)


def test_the_command_fails_with_a_reason(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_drawn_pictures_are_varied_and_repeatable():
    once, twice = draw_pictures(4, seed=0), draw_pictures(4, seed=0)
    assert [photo.image.tobytes() for photo in once] == [photo.image.tobytes() for photo in twice]
    assert len({photo.size_px for photo in once}) == 4
    assert once[0].image.tobytes() != draw_pictures(1, seed=1)[0].image.tobytes()

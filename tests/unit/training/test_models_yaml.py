"""models.yaml as the trainers write it: each its own block, the service's reader as the judge."""

import pytest
import yaml

from pipeline.model_files import BodyPartSpec, ModelsSpec, SegmenterSpec
from training.errors import TrainingError
from training.models_yaml import read_detector_folder, write_part, write_segmenter


def part(name, **fields):
    return BodyPartSpec.model_validate({"name": name, "architecture": "narrow_resnet", **fields})


def written(folder):
    return ModelsSpec.model_validate(yaml.safe_load((folder / "models.yaml").read_text()))


def test_blocks_of_three_trainers_make_a_whole(tmp_path):
    detector = SegmenterSpec(
        architecture="fasterrcnn_narrow_resnet_fpn", labels=("fluke", "flank"), score_threshold=0.7
    )
    write_part(tmp_path, part("flank", input_size_px=128, dimension=64))
    write_segmenter(tmp_path, detector)
    write_part(tmp_path, part("fluke", input_size_px=96))
    spec = written(tmp_path)
    assert spec.segmenter == detector
    assert [(one.name, one.input_size_px, one.dimension) for one in spec.body_parts] == [
        ("flank", 128, 64),
        ("fluke", 96, 128),
    ]


def test_a_part_trained_again_keeps_its_place_and_the_rest_of_the_file(tmp_path):
    (tmp_path / "models.yaml").write_text("species: sperm whale\n")
    write_part(tmp_path, part("fluke"))
    write_part(tmp_path, part("flank"))
    write_part(tmp_path, part("fluke", input_size_px=96))
    spec = written(tmp_path)
    assert spec.species == "sperm whale"
    assert [(one.name, one.input_size_px) for one in spec.body_parts] == [("fluke", 96), ("flank", 224)]


def test_an_incomplete_file_is_written_and_said_to_be_so(tmp_path, caplog):
    write_segmenter(tmp_path, SegmenterSpec(labels=("fluke", "flank")))
    write_part(tmp_path, part("fluke"))
    assert "not complete yet" in caplog.text
    assert "flank" in caplog.text


@pytest.mark.parametrize("text", ["- a list", "body_parts: fluke", "a: b: c"])
def test_something_else_of_that_name_is_not_overwritten(tmp_path, text):
    (tmp_path / "models.yaml").write_text(text)
    with pytest.raises(TrainingError, match="repair or remove it"):
        write_part(tmp_path, part("fluke"))
    assert (tmp_path / "models.yaml").read_text() == text


def test_a_detector_is_found_without_embedders(tmp_path):
    write_segmenter(tmp_path, SegmenterSpec(labels=("fin",), input_size_px=320))
    with pytest.raises(TrainingError, match="train_segmenter"):
        read_detector_folder(tmp_path)
    (tmp_path / "segmentation.pth").write_bytes(b"")
    folder = read_detector_folder(tmp_path)
    assert folder.segmenter.labels == ("fin",)
    assert folder.segmenter.input_size_px == 320

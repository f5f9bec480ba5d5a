"""What a detector's training makes of its command line and its data."""

from pathlib import Path

import pytest

from pipeline.records import BoundingBox
from training.errors import TrainingDataError, TrainingError
from training.photos.records import BoxedPhoto, LabelledBox
from training.segmenter.card import describe_photos
from training.segmenter.training import body_parts_of, segmenter_of
from training.train_segmenter import main

BOX = BoundingBox(0.0, 0.0, 5.0, 5.0)


def photo(*parts: str, individual: str | None = None) -> BoxedPhoto:
    return BoxedPhoto(Path("a.jpg"), tuple(LabelledBox(BOX, part, individual) for part in parts))


def test_classes_are_flukes_first_as_in_the_original() -> None:
    assert body_parts_of([photo("head", "flank"), photo("fluke")]) == ("fluke", "flank", "head")


def test_a_detector_needs_boxes() -> None:
    with pytest.raises(TrainingDataError, match="no photo to train on has a box"):
        body_parts_of([photo(), photo()])


def test_category_that_is_no_name_of_a_body_part_says_how_to_rename_it() -> None:
    with pytest.raises(TrainingError, match=r"'Whale Tail'.*--category NAME=part"):
        segmenter_of("fasterrcnn_narrow_resnet_fpn", ["Whale Tail"], 224)


def test_input_size_out_of_range_is_said() -> None:
    with pytest.raises(TrainingError, match=r"16: Input should be greater than or equal to 32"):
        segmenter_of("fasterrcnn_narrow_resnet_fpn", ["fluke"], 16)


def test_summary_counts_photos_animals_and_individuals() -> None:
    photos = [photo("fluke", "fluke", individual="A"), photo("flank", individual="B"), photo()]
    assert describe_photos(photos) == "3 photos, 1 of them without an animal; 3 animals of 2 individuals"
    assert describe_photos([photo("fluke")]).endswith("1 animals (individuals not named)")


def test_missing_file_is_an_error_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.json"), "--out", str(tmp_path / "out")]) == 1
    assert "none.json: cannot be read as JSON" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--category", "tail"], "'tail' is not NAME=PART"),
        (["--validation-share", "1"], "1 is not between 0 and 1"),
        (["--architecture", "resnet18"], "invalid choice: 'resnet18'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--data", "a.json", "--out", "out", *arguments])
    assert reason in capsys.readouterr().err

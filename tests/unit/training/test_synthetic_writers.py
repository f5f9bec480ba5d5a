"""Data sets on disk: well-formed, loadable, true to the photos, and without anything shared between splits."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from training.synthetic.__main__ import main
from training.synthetic.writers import METADATA_COLUMNS

SMALL = ["--size", "160x107"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    main(["dataset", str(folder), "--individuals", "3", "--holdout", "2", "--photos", "4", "--encounters", "2", *SMALL])
    return folder


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    main(["coco", str(folder), "--individuals", "4", "--photos", "12", "--empty", "3", "--two", "0.5", *SMALL])
    return folder


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metadata.csv", keep_default_na=False)


def document(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "coco.json").read_text())
    return loaded


def test_folders_are_split_part_and_individual(dataset: Path) -> None:
    folders = sorted(path.relative_to(dataset).as_posix() for path in dataset.glob("*/*/*"))
    expected = [f"dataset/{part}/T0000{n}" for part in ("flank", "fluke") for n in range(3)]
    assert folders == expected + [f"holdout/{part}/H0000{n}" for part in ("flank", "fluke") for n in range(2)]
    assert all(len(list((dataset / folder).glob("*.jpg"))) == 4 for folder in folders)


def test_metadata_has_one_row_a_photo_with_a_box_inside_it(dataset: Path) -> None:
    rows = table(dataset)
    assert tuple(rows.columns) == METADATA_COLUMNS
    assert rows["image_id"].is_unique
    assert sorted(rows["path"]) == sorted(path.relative_to(dataset).as_posix() for path in dataset.rglob("*.jpg"))
    for path, text in zip(rows["path"], rows["bbox"], strict=True):
        x, y, width, height = json.loads(text)
        with Image.open(dataset / path) as picture:
            assert width > 0
            assert height > 0
            assert 0 <= x <= picture.width - width
            assert 0 <= y <= picture.height - height


def test_orientation_is_the_flanks_side_and_empty_for_flukes(dataset: Path) -> None:
    rows = table(dataset)
    assert set(rows.loc[rows["body_part"] == "flank", "orientation"]) == {"left"}
    assert set(rows.loc[rows["body_part"] == "fluke", "orientation"]) == {""}


@pytest.mark.parametrize("column", ["identity", "encounter", "path"])
def test_splits_share_nothing(dataset: Path, column: str) -> None:
    rows = table(dataset)
    inside, outside = (set(rows.loc[rows["split"] == split, column]) for split in ("dataset", "holdout"))
    assert inside
    assert outside
    assert not inside & outside


def test_no_two_photos_have_the_same_bytes(dataset: Path) -> None:
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in dataset.rglob("*.jpg")]
    assert len(set(hashes)) == len(hashes)


def test_every_individual_was_met_on_as_many_days_as_asked(dataset: Path) -> None:
    rows = table(dataset)
    days = rows.assign(day=rows["date"].str[:10]).groupby(["identity", "body_part"])
    assert set(days["day"].nunique()) == {2}
    assert set(days["encounter"].nunique()) == {2}


def test_coco_holds_photos_of_animals_and_of_empty_seas(coco: Path) -> None:
    content = document(coco)
    assert [image["id"] for image in content["images"]] == list(range(1, 13))
    assert [category["name"] for category in content["categories"]] == ["fluke", "flank"]
    annotated = {annotation["image_id"] for annotation in content["annotations"]}
    assert annotated == set(range(1, 10))
    assert len(content["annotations"]) > 9


def test_coco_annotations_lie_in_their_images_and_name_their_individual(coco: Path) -> None:
    content = document(coco)
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert 0 < annotation["area"] <= width * height
        assert x >= 0
        assert y >= 0
        assert x + width <= sizes[annotation["image_id"]][0]
        assert y + height <= sizes[annotation["image_id"]][1]
        assert annotation["category_id"] in {1, 2}
        assert len(annotation["individual_ids"]) == 1
        assert annotation["iscrowd"] == 0


def test_coco_files_have_the_size_it_says(coco: Path) -> None:
    for image in document(coco)["images"]:
        with Image.open(coco / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])


def test_two_animals_in_a_photo_are_two_individuals(coco: Path) -> None:
    names: dict[int, list[str]] = {}
    for annotation in document(coco)["annotations"]:
        names.setdefault(annotation["image_id"], []).extend(annotation["individual_ids"])
    pairs = [found for found in names.values() if len(found) == 2]
    assert pairs
    assert all(one != other for one, other in pairs)


def test_empty_command_writes_no_annotation(tmp_path: Path) -> None:
    main(["empty", str(tmp_path), "--photos", "2", *SMALL])
    content = document(tmp_path)
    assert len(content["images"]) == 2
    assert content["annotations"] == []


def test_demo_names_do_not_tell_who_it_is(tmp_path: Path) -> None:
    main(["demo", str(tmp_path), "--known", "2", "--unknown", "1", *SMALL])
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["IMG_0001.jpg", "IMG_0002.jpg", "IMG_0003.jpg"]
    with (tmp_path / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["known", "known", "unknown"]
    assert [row["identity"][0] for row in rows] == ["C", "C", "U"]


def test_demo_photos_are_not_among_the_catalogues(tmp_path: Path) -> None:
    main(["catalogue", str(tmp_path / "a"), "--individuals", "2", "--photos", "2", "--parts", "fluke", *SMALL])
    main(["demo", str(tmp_path / "b"), "--known", "2", "--unknown", "0", "--catalogue", "2", *SMALL])
    enrolled, shown = (set(table(tmp_path / name)["encounter"]) for name in ("a", "b"))
    assert not enrolled & shown
    assert set(table(tmp_path / "b")["identity"]) <= {"C00000", "C00001"}


def test_several_processes_write_the_same_files(tmp_path: Path) -> None:
    for name, jobs in (("one", "1"), ("two", "2")):
        main(["empty", str(tmp_path / name), "--photos", "3", "--jobs", jobs, *SMALL])
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.*")} for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_sheet_is_a_picture_of_so_many_tiles(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"sheet.{suffix}"
    main(["sheet", str(target), "--rows", "2", "--tile", "60", "--boxes"])
    with Image.open(target) as picture:
        assert picture.size == (300, 80)


@pytest.mark.parametrize(
    "arguments",
    [["--size", "9000x9000"], ["--size", "64x640"], ["--size", "10x10"], ["--photos", "0"], ["--seed", "-1"]],
)
def test_senseless_options_are_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["empty", str(tmp_path), *arguments])
    assert "error" in capsys.readouterr().err

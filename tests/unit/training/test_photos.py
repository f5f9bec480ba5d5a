"""Reading labelled photos: folders of individuals, metadata.csv, COCO; and the report of what is wrong with them."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from pipeline.records import BoundingBox
from training.errors import TrainingDataError
from training.photos.coco import read_coco
from training.photos.dates import date_taken
from training.photos.folders import read_folder
from training.photos.inspection import inspect_photos
from training.photos.metadata import read_metadata
from training.photos.problems import Kind, Problem, describe
from training.photos.records import BoxedPhoto, LabelledBox, LabelledPhoto, PhotoSet


def draw(path: Path, grey: int = 0, size: tuple[int, int] = (40, 30), taken: str | None = None, turn: int = 1) -> Path:
    """Write a small photo; two of the same grey and size are copies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (grey, grey, grey))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = turn
    if taken is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    image.save(path, exif=exif)
    return path


def table(path: Path, rows: str) -> Path:
    path.write_text(rows, encoding="utf-8")
    return path


def kinds(problems: tuple[Problem, ...]) -> list[Kind]:
    return [problem.kind for problem in problems]


# --- dates ---


def test_date_comes_from_exif(tmp_path: Path) -> None:
    assert date_taken(draw(tmp_path / "a.jpg", taken="2019:07:03 10:11:12")) == date(2019, 7, 3)


@pytest.mark.parametrize("taken", [None, "0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_no_date_where_the_camera_knew_none(tmp_path: Path, taken: str | None) -> None:
    assert date_taken(draw(tmp_path / "a.jpg", taken=taken)) is None


def test_no_date_of_what_is_no_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    assert date_taken(tmp_path / "a.jpg") is None


# --- folders ---


def test_folder_gives_individuals_by_sub_folder_and_days_as_encounters(tmp_path: Path) -> None:
    draw(tmp_path / "fluke" / "Dante" / "1.jpg", taken="2019:07:03 10:11:12")
    draw(tmp_path / "fluke" / "Dante" / "2.jpg", 1)
    draw(tmp_path / "fluke" / "Virgil" / "1.jpg", 2)
    read = read_folder(tmp_path / "fluke")
    assert read.problems == ()
    assert [(photo.individual, photo.path.name) for photo in read.photos] == [
        ("Dante", "1.jpg"),
        ("Dante", "2.jpg"),
        ("Virgil", "1.jpg"),
    ]
    assert {photo.body_part for photo in read.photos} == {"fluke"}
    assert [photo.encounter for photo in read.photos] == ["2019-07-03", None, None]
    assert read.photos[0].date == date(2019, 7, 3)


def test_folder_takes_what_a_metadata_above_says(tmp_path: Path) -> None:
    draw(tmp_path / "dataset" / "flank" / "Dante" / "1.jpg", taken="2019:07:03 10:11:12")
    table(
        tmp_path / "metadata.csv",
        "image_id,identity,path,bbox,date,encounter,orientation,body_part,split\n"
        '0,Dante,dataset/flank/Dante/1.jpg,"[1, 2, 10, 20]",2020-01-02T03:04:05,E7,left,flank,dataset\n',
    )
    (photo,) = read_folder(tmp_path / "dataset" / "flank").photos
    assert photo.box_px == BoundingBox(1, 2, 11, 22)
    assert (photo.encounter, photo.date, photo.side, photo.split) == ("E7", date(2020, 1, 2), "left", "dataset")
    assert photo.label == "Dante (left)"


def test_metadata_that_names_none_of_the_photos_is_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "fluke" / "Dante" / "1.jpg", taken="2019:07:03 10:11:12")
    table(tmp_path / "metadata.csv", "identity,path,encounter\nDante,elsewhere/1.jpg,E7\n")
    assert read_folder(tmp_path / "fluke").photos[0].encounter == "2019-07-03"


def test_metadata_that_contradicts_the_folder_is_a_problem(tmp_path: Path) -> None:
    draw(tmp_path / "fluke" / "Dante" / "1.jpg")
    table(tmp_path / "metadata.csv", "identity,path\nVirgil,fluke/Dante/1.jpg\n")
    read = read_folder(tmp_path / "fluke")
    assert kinds(read.problems) == [Kind.BAD_ROW]
    assert "Dante" in str(read.problems[0])
    assert "Virgil" in str(read.problems[0])


def test_folder_without_individuals_is_a_problem_not_an_exception(tmp_path: Path) -> None:
    draw(tmp_path / "1.jpg")
    read = read_folder(tmp_path)
    assert read.photos == ()
    assert kinds(read.problems) == [Kind.LAYOUT]


# --- metadata.csv ---


def test_metadata_keeps_the_rows_that_can_be_read_and_lists_the_others(tmp_path: Path) -> None:
    file = table(
        tmp_path / "metadata.csv",
        "identity,path,bbox,date\n"
        'Dante,1.jpg,"[0, 0, 5, 5]",2020-01-02\n'
        'Dante,2.jpg,"[0, 0, 5]",2020-01-02\n'
        "Dante,3.jpg,,last summer\n"
        ",4.jpg,,\n"
        "unknown,5.jpg,,\n"
        "Virgil,,,\n"
        "Virgil,7.jpg,nan,nan\n",
    )
    read = read_metadata(file, "fluke")
    assert [photo.path.name for photo in read.photos] == ["1.jpg", "7.jpg"]
    assert read.photos[0].encounter == "2020-01-02"
    assert read.photos[0].body_part == "fluke"
    assert read.photos[1].encounter is None
    assert kinds(read.problems) == [Kind.BAD_ROW, Kind.BAD_ROW, Kind.UNLABELLED, Kind.UNLABELLED, Kind.BAD_ROW]
    assert "row 3" in read.problems[0].where


def test_metadata_can_be_narrowed_to_a_part_and_a_split(tmp_path: Path) -> None:
    file = table(
        tmp_path / "metadata.csv",
        "identity,path,body_part,split\nA,1.jpg,fluke,dataset\nA,2.jpg,flank,dataset\nB,3.jpg,fluke,holdout\n",
    )
    assert [photo.path.name for photo in read_metadata(file, "fluke", "holdout").photos] == ["3.jpg"]
    assert len(read_metadata(file).photos) == 3


@pytest.mark.parametrize("content", ["path\n1.jpg\n", ""])
def test_metadata_without_its_columns_is_a_problem(tmp_path: Path, content: str) -> None:
    assert kinds(read_metadata(table(tmp_path / "metadata.csv", content)).problems) == [Kind.LAYOUT]


# --- COCO ---


def coco_document() -> dict[str, Any]:
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30},
            {"id": 2, "file_name": "sea.jpg"},
        ],
        "categories": [{"id": 1, "name": "fluke"}, {"id": 2, "name": "flank"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20], "individual_ids": ["Dante"]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [20, 2, 10, 20]},
        ],
    }


def coco_file(folder: Path, document: object) -> Path:
    file = folder / "coco.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_coco_gives_all_photos_with_all_their_boxes(tmp_path: Path) -> None:
    read = read_coco(coco_file(tmp_path, coco_document()), tmp_path / "images")
    assert read.problems == ()
    first, sea = read.photos
    assert first.path == tmp_path / "images" / "a.jpg"
    assert [box.body_part for box in first.boxes] == ["fluke", "flank"]
    assert first.boxes[0].box_px == BoundingBox(1, 2, 11, 22)
    assert [box.individual for box in first.boxes] == ["Dante", None]
    assert first.stated_size_px == (40, 30)
    assert sea.boxes == ()


def test_coco_lists_every_bad_annotation_and_keeps_the_good_ones(tmp_path: Path) -> None:
    document = coco_document()
    document["annotations"] += [
        {"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]},
        {"image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 1]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 1},
    ]
    read = read_coco(coco_file(tmp_path, document))
    assert len(read.photos[0].boxes) == 2
    assert set(kinds(read.problems)) == {Kind.BAD_ROW, Kind.UNKNOWN_CATEGORY, Kind.LEFT_OUT}
    assert len(read.problems) == 4


def test_coco_categories_are_translated_to_body_parts(tmp_path: Path) -> None:
    read = read_coco(coco_file(tmp_path, coco_document()), body_parts={"fluke": "tail"})
    assert [box.body_part for box in read.photos[0].boxes] == ["tail"]
    assert kinds(read.problems) == [Kind.UNKNOWN_CATEGORY]
    assert "'flank'" in str(read.problems[0])


@pytest.mark.parametrize("document", [[], {"images": []}, "text"])
def test_what_is_not_coco_is_a_problem(tmp_path: Path, document: object) -> None:
    assert kinds(read_coco(coco_file(tmp_path, document)).problems) == [Kind.LAYOUT]


# --- inspection ---


def labelled(path: Path, individual: str, box: BoundingBox | None = None, part: str = "fluke") -> LabelledPhoto:
    return LabelledPhoto(path, individual, part, box)


def found(**splits: list[LabelledPhoto]) -> dict[str, PhotoSet[LabelledPhoto]]:
    return {name: PhotoSet(Path(name), tuple(photos)) for name, photos in splits.items()}


def test_sound_data_has_no_problems(tmp_path: Path) -> None:
    photos = [labelled(draw(tmp_path / f"{n}.jpg", n), "Dante", BoundingBox(0, 0, 40, 30)) for n in range(2)]
    inspection = inspect_photos(found(dataset=photos), ["fluke"], progress=False)
    assert inspection.problems == ()
    inspection.require_sound()
    assert inspection.splits["dataset"] == tuple(photos)
    assert "2 photos of 1 individuals" in str(inspection)


Breaker = Callable[[Path], dict[str, list[LabelledPhoto]]]


def pair(folder: Path) -> list[LabelledPhoto]:
    return [labelled(draw(folder / f"good{n}.jpg", 200 + n), "Good") for n in range(2)]


def truncated(folder: Path) -> dict[str, list[LabelledPhoto]]:
    path = draw(folder / "bad.png")
    path.write_bytes(path.read_bytes()[:-30])
    return {"dataset": [*pair(folder), labelled(path, "Good")]}


def missing(folder: Path) -> dict[str, list[LabelledPhoto]]:
    return {"dataset": [*pair(folder), labelled(folder / "none.jpg", "Good")]}


def outside(folder: Path) -> dict[str, list[LabelledPhoto]]:
    return {"dataset": [*pair(folder), labelled(draw(folder / "a.jpg"), "Good", BoundingBox(0, 0, 50, 30))]}


def empty_box(folder: Path) -> dict[str, list[LabelledPhoto]]:
    return {"dataset": [*pair(folder), labelled(draw(folder / "a.jpg"), "Good", BoundingBox(5, 5, 5, 9))]}


def other_part(folder: Path) -> dict[str, list[LabelledPhoto]]:
    return {"dataset": [*pair(folder), labelled(draw(folder / "a.jpg"), "Good", part="fin")]}


def copied(folder: Path) -> dict[str, list[LabelledPhoto]]:
    other = [labelled(draw(folder / f"{n}.jpg", n), "Other") for n in range(2)]
    return {"dataset": [*pair(folder), labelled(draw(folder / "copy.jpg", 1), "Good")], "holdout": other}


def shared(folder: Path) -> dict[str, list[LabelledPhoto]]:
    return {"dataset": pair(folder), "holdout": [labelled(draw(folder / f"{n}.jpg", n), "Good") for n in range(2)]}


def nothing(folder: Path) -> dict[str, list[LabelledPhoto]]:
    return {"dataset": pair(folder), "holdout": []}


@pytest.mark.parametrize(
    ("make", "kind", "kept"),
    [
        (truncated, Kind.UNREADABLE, 2),
        (missing, Kind.UNREADABLE, 2),
        (outside, Kind.BOX_OUTSIDE, 2),
        (empty_box, Kind.BOX_OUTSIDE, 2),
        (other_part, Kind.UNKNOWN_CATEGORY, 2),
        (copied, Kind.COPY_ACROSS_SPLITS, 2),
        (shared, Kind.SHARED_INDIVIDUAL, 2),
        (nothing, Kind.NO_PHOTOS, 2),
    ],
)
def test_bad_data_stops_training_and_is_left_out(tmp_path: Path, make: Breaker, kind: Kind, kept: int) -> None:
    inspection = inspect_photos(found(**make(tmp_path)), ["fluke"], progress=False)
    fatal = [problem.kind for problem in inspection.problems if problem.kind.fatal]
    assert fatal == [kind]
    assert len(inspection.splits["dataset"]) == kept
    with pytest.raises(TrainingDataError, match=kind.heading):
        inspection.require_sound()


def test_bad_photos_can_be_skipped_but_not_a_whole_split(tmp_path: Path) -> None:
    inspect_photos(found(**truncated(tmp_path)), progress=False).require_sound(skip_bad=True)
    with pytest.raises(TrainingDataError):
        inspect_photos(found(**nothing(tmp_path)), progress=False).require_sound(skip_bad=True)


def test_boxes_are_measured_in_the_upright_photo(tmp_path: Path) -> None:
    turned = draw(tmp_path / "a.jpg", size=(40, 30), turn=6)
    tall, wide = BoundingBox(0, 0, 30, 40), BoundingBox(0, 0, 40, 30)
    for box, expected in ((tall, False), (wide, True)):
        inspection = inspect_photos(found(dataset=[labelled(turned, "Good", box)]), progress=False)
        assert (Kind.BOX_OUTSIDE in kinds(inspection.problems)) is expected


def test_one_report_lists_all_problems_at_once(tmp_path: Path) -> None:
    photos = [photo for make in (truncated, missing, outside, other_part) for photo in make(tmp_path)["dataset"]]
    inspection = inspect_photos(found(dataset=[*photos, labelled(draw(tmp_path / "one.jpg", 90), "Single")]), ["fluke"])
    with pytest.raises(TrainingDataError) as caught:
        inspection.require_sound()
    for kind in (Kind.UNREADABLE, Kind.BOX_OUTSIDE, Kind.UNKNOWN_CATEGORY, Kind.SINGLE_PHOTO):
        assert kind.heading in caught.value.message
    assert "unreadable photos: 2" in caught.value.message


def test_individual_with_one_photo_is_said_but_not_fatal(tmp_path: Path) -> None:
    inspection = inspect_photos(found(dataset=[labelled(draw(tmp_path / "a.jpg"), "Single")]), progress=False)
    assert kinds(inspection.problems) == [Kind.SINGLE_PHOTO]
    inspection.require_sound()
    assert len(inspection.splits["dataset"]) == 1


def test_detector_photos_are_checked_too(tmp_path: Path) -> None:
    document = coco_document()
    document["annotations"][1]["bbox"] = [35, 2, 10, 20]
    document["images"][1] |= {"width": 41, "height": 30}
    draw(tmp_path / "a.jpg")
    draw(tmp_path / "sea.jpg", 9)
    read = read_coco(coco_file(tmp_path, document))
    inspection = inspect_photos({"photos": read}, ["fluke", "flank"], progress=False)
    assert kinds(inspection.problems) == [Kind.BOX_OUTSIDE, Kind.OTHER_SIZE]
    assert inspection.splits["photos"] == ()


def test_same_file_under_two_names_is_said(tmp_path: Path) -> None:
    photos = [labelled(draw(tmp_path / f"{name}.jpg", 7), name) for name in ("Dante", "Virgil")]
    inspection = inspect_photos(found(dataset=photos), progress=False)
    assert Kind.TWO_NAMES in kinds(inspection.problems)


def test_long_lists_are_cut_but_counted() -> None:
    text = describe([Problem(Kind.UNREADABLE, f"{n}.jpg", "is empty") for n in range(30)])
    assert "unreadable photos: 30" in text
    assert "and 22 more" in text
    assert text.count("is empty") == 8


def test_individual_in_two_sets_of_detector_photos_is_a_problem(tmp_path: Path) -> None:
    box = BoundingBox(0.0, 0.0, 5.0, 5.0)
    sets = {
        split: PhotoSet(
            tmp_path, (BoxedPhoto(draw(tmp_path / f"{split}.png", grey), (LabelledBox(box, "fluke", "W1"),)),)
        )
        for grey, split in enumerate(("data", "holdout"))
    }
    problems = inspect_photos(sets, ["fluke"], progress=False).problems
    assert [(problem.kind, problem.where) for problem in problems] == [(Kind.SHARED_INDIVIDUAL, "W1")]
    assert inspect_photos(sets, ["fluke"], share_individuals=True, progress=False).problems == ()

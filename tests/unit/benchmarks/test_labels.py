"""The table of labelled photos: what is read from it, and what is said when it is wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.labels import read_labels
from training.errors import TrainingDataError
from training.evaluation.protocols import given_roles

HEAD = "path,individual_id,role"


def labels(folder: Path, rows: Sequence[str], head: str = HEAD) -> Path:
    file = folder / "labels.csv"
    file.write_text("\n".join([head, *rows]) + "\n")
    return file


def photo(folder: Path, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    (folder / name).parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("known/a.png", "known/b.png", "new/a.png", "new/b.png")):
        photo(tmp_path, name, seed)
    return tmp_path


SOUND = ("new/a.png,ANNA,query", "known/a.png,ANNA,catalogue", "known/b.png,BERT,catalogue", "new/b.png,BERT,query")


def test_roles_are_the_tables(folder: Path) -> None:
    roles = given_roles(read_labels(labels(folder, SOUND), "fin"), references=1)
    assert [(one.path, one.individual) for one in roles.references] == [
        (folder / "known/a.png", "ANNA"),
        (folder / "known/b.png", "BERT"),
    ]
    assert [(one.path, one.individual) for one in roles.queries] == [
        (folder / "new/a.png", "ANNA"),
        (folder / "new/b.png", "BERT"),
    ]
    assert (roles.unknown, roles.encounters) == ((), "not known")
    assert {one.body_part for one in roles.photos} == {"fin"}


def test_missing_columns_are_named(folder: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"labels\.csv: has no column individual_id and role"):
        read_labels(labels(folder, ["known/a.png,ANNA"], "path,name"), "fin")


def test_no_table_is_said(folder: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"other\.csv: cannot be read"):
        read_labels(folder / "other.csv", "fin")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("new/b.png,BERT,queries", r"labels\.csv, row 5: role 'queries' is none of: catalogue, query"),
        (",BERT,query", r"labels\.csv, row 5: has no path"),
        ("new/b.png,,query", r"labels\.csv, row 5: "),
        ("new/b.png,BERT", r"labels\.csv, row 5: role '' is none of"),
        ("new/c.png,BERT,query", r"new/c\.png"),
        ("known/b.png,BERT,query", r"copies of one photo in two splits: 1"),
    ],
)
def test_wrong_rows_are_named(folder: Path, row: str, expected: str) -> None:
    with pytest.raises(TrainingDataError, match=expected):
        read_labels(labels(folder, [*SOUND[:3], row]), "fin")


def test_everything_wrong_is_listed_at_once(folder: Path) -> None:
    rows = [*SOUND, "new/c.png,BERT,query", "new/d.png,BERT,other"]
    with pytest.raises(TrainingDataError) as raised:
        read_labels(labels(folder, rows), "fin")
    text = str(raised.value)
    assert "2 problems" in text
    assert "c.png" in text
    assert "role 'other'" in text
    assert "individuals with one photo" not in text


def test_a_table_without_queries_is_refused(folder: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"no photos: 1\n +query"):
        read_labels(labels(folder, SOUND[1:3]), "fin")

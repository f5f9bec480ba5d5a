import json

import numpy as np
import pytest

from pipeline.catalogue.csv_rows import parse_csv
from pipeline.errors import CatalogueFileError

GOOD = "[0.5, -1e-05, 2]"


def parse(text: str | bytes) -> list[tuple[int, str, str, list[float]]]:
    content = text if isinstance(text, bytes) else text.encode("utf-8")
    return [(row.line, row.individual, row.path, row.values.tolist()) for row in parse_csv(content, "fluke.csv", 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'A,a.jpg,"{GOOD}"\n', [(1, "A", "a.jpg", [0.5, -1e-05, 2.0])]),
        (f'\ufeffA,a.jpg,"{GOOD}"\n', [(1, "A", "a.jpg", [0.5, -1e-05, 2.0])]),
        (
            f'A,a.jpg,"{GOOD}"\r\nB,b.jpg,"[1,2,3]"\r\n',
            [(1, "A", "a.jpg", [0.5, -1e-05, 2.0]), (2, "B", "b.jpg", [1, 2, 3])],
        ),
        (f'A,a.jpg,"{GOOD}"\n\n  \n', [(1, "A", "a.jpg", [0.5, -1e-05, 2.0])]),
        (f'\nA,a.jpg,"{GOOD}"', [(2, "A", "a.jpg", [0.5, -1e-05, 2.0])]),
        ('A,a.jpg,"[1, 2, 3]"', [(1, "A", "a.jpg", [1.0, 2.0, 3.0])]),
        ('A,a.jpg,"[1E+2, 2.5e-3, -0]"', [(1, "A", "a.jpg", [100.0, 0.0025, 0.0])]),
        ('A,a.jpg," [1., .5, +3,] "', [(1, "A", "a.jpg", [1.0, 0.5, 3.0])]),
        ('"Smith, Jr. ""Nick""","a,b.jpg","[1,2,3]"', [(1, 'Smith, Jr. "Nick"', "a,b.jpg", [1, 2, 3])]),
        ('  Ōkami 鯨 🐋 ,C:\\Fotos\\Größe.jpg,"[1,2,3]"', [(1, "Ōkami 鯨 🐋", "C:\\Fotos\\Größe.jpg", [1, 2, 3])]),
        ('Jose\u0301,a.jpg,"[1,2,3]"', [(1, "Jos\u00e9", "a.jpg", [1, 2, 3])]),
        ('A,"a\nb.jpg","[1,2,3]"\nB,b.jpg,"[1,2,3]"', [(1, "A", "a\nb.jpg", [1, 2, 3]), (3, "B", "b.jpg", [1, 2, 3])]),
        ('A,,"[1,2,3]"', [(1, "A", "", [1, 2, 3])]),
        ("", []),
        ("\ufeff\r\n", []),
    ],
)
def test_good_files(text: str, expected: list[tuple[int, str, str, list[float]]]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A,a.jpg", "2 columns, not the 3"),
        ("A", "1 columns, not the 3"),
        ('A,a.jpg,"[1,2,3]",x', "4 columns, not the 3"),
        ("A,a.jpg,[1,2,3]", "5 columns, not the 3"),
        ('A,a.jpg,"[1,2]"', "has 2 numbers, not 3"),
        ('A,a.jpg,"[1,2,3,4]"', "has 4 numbers, not 3"),
        ('A,a.jpg,"[]"', "has 0 numbers, not 3"),
        ('A,a.jpg,"[1,2,NaN]"', "not finite"),
        ('A,a.jpg,"[1,2,Infinity]"', "not finite"),
        ('A,a.jpg,"[1,2,nan]"', "not a list of numbers"),
        ('A,a.jpg,"[1,2,1e999]"', "not finite"),
        ('A,a.jpg,"[1,2,1e300]"', "range of float32"),
        (f'A,a.jpg,"[1,2,{"9" * 400}]"', "not finite"),
        (f'A,a.jpg,"[1,2,{"9" * 5000}]"', "not a list of numbers"),
        ('A,a.jpg,"[1,2,true]"', "not a list of numbers"),
        ('A,a.jpg,"[1,2,None]"', "not a list of numbers"),
        ('A,a.jpg,"[[1,2,3]]"', "not a list of numbers"),
        ("A,a.jpg,\"['1','2','3']\"", "not a list of numbers"),
        ('A,a.jpg,"(1,2,3)"', "not a list of numbers"),
        ('A,a.jpg,"{}"', "not a list of numbers"),
        ('A,a.jpg,"[1,2,3"', "not a list of numbers"),
        ('A,a.jpg,""', "not a list of numbers"),
        ("A,a.jpg,\"__import__('os').getcwd()\"", "not a list of numbers"),
        (f'A,a.jpg,"{"[" * 5000}"', "not a list of numbers"),
        ('"",a.jpg,"[1,2,3]"', "identity is empty"),
        ('"  ",a.jpg,"[1,2,3]"', "identity is empty"),
        ('Unknown,a.jpg,"[1,2,3]"', "reserved"),
        ('"A\nB",a.jpg,"[1,2,3]"', "control character"),
        ('A,a.jpg,"[1,2,3]" x', "not readable as CSV"),
        ('A,a.jpg,"[1,2,3]', "not readable as CSV"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_and_reason(row: str, reason: str) -> None:
    with pytest.raises(CatalogueFileError) as caught:
        parse(f'A,a.jpg,"{GOOD}"\n\n{row}')
    assert "fluke.csv: line 3: " in caught.value.message
    assert reason in caught.value.message


def test_text_that_is_not_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(CatalogueFileError, match=r"fluke\.csv: line 2: not UTF-8"):
        parse(f'A,a.jpg,"{GOOD}"\n'.encode() + 'José,a.jpg,"[1,2,3]"'.encode("latin-1"))


def test_several_bad_rows_are_named_at_once() -> None:
    with pytest.raises(CatalogueFileError) as caught:
        parse("\n".join(['A,a.jpg,"[1]"'] * 9))
    assert [f"line {n}:" in caught.value.message for n in range(1, 10)] == [True] * 5 + [False] * 4


def test_every_digit_survives() -> None:
    values = np.random.default_rng(0).normal(size=3).tolist()
    assert parse(f'A,a.jpg,"{json.dumps(values)}"')[0][3] == values

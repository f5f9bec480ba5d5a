"""Reading and writing the original's catalogue files: no header, `name,path,"[128 floats]"`, one row a photo."""

import ast
import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.catalogue.vectors import Vector, embedding_problem, storable_text
from pipeline.errors import BadIdentityError, CatalogueFileError
from pipeline.names import normalise_new_identity

_REPORTED_ROWS = 5  # bad rows that an error names: enough to see a pattern


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One photo of a catalogue file.

    Attributes:
        line: where the row begins in the file, from 1.
        individual: its normalised name.
        path: of the photo, as the file has it.
        values: (d,) float64 embedding.
    """

    line: int
    individual: str
    path: str
    values: Vector


class _BadRowError(Exception):
    """Why one row cannot be taken."""


def parse_csv(content: bytes, file_name: str, dimension: int) -> tuple[CsvRow, ...]:
    """Read a whole catalogue file.

    A byte-order mark, blank lines and either line ending are accepted.

    Args:
        content: the file's bytes, UTF-8.
        file_name: named in errors.
        dimension: the length that every embedding must have.

    Raises:
        CatalogueFileError: names the file, and line and reason of its first bad rows.
    """
    rows: list[CsvRow] = []
    problems: list[str] = []
    for line, fields in _records(_decode(content, file_name), file_name):
        try:
            rows.append(_parse_row(line, fields, dimension))
        except _BadRowError as error:
            problems.append(f"line {line}: {error}")
            if len(problems) == _REPORTED_ROWS:
                break
    if problems:
        raise CatalogueFileError(f"{file_name}: {'; '.join(problems)}")
    return tuple(rows)


def format_csv(rows: Iterable[tuple[str, str, npt.NDArray[np.floating]]]) -> bytes:
    """Return the contents of a catalogue file; `parse_csv` reads the same numbers, to the last bit.

    Args:
        rows: (individual, path, (d,) embedding), one a photo.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows(
        [individual, storable_text(path), str([float(value) for value in values])] for individual, path, values in rows
    )
    return text.getvalue().encode("utf-8")


def _decode(content: bytes, file_name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogueFileError(f"{file_name}: line {line}: not UTF-8 text: save the file as UTF-8") from error


def _records(text: str, file_name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each record begins, and its fields; blank lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for fields in reader:
            if "".join(fields).strip() or len(fields) > 1:
                yield begins, fields
            begins = reader.line_num + 1
    except csv.Error as error:
        raise CatalogueFileError(f"{file_name}: line {begins}: not readable as CSV: {error}") from error


def _parse_row(line: int, fields: list[str], dimension: int) -> CsvRow:
    if len(fields) != 3:
        raise _BadRowError(f'{len(fields)} columns, not the 3 of name,path,"[embedding in quotes]"')
    name, path, numbers = fields
    try:
        individual = normalise_new_identity(name)
    except BadIdentityError as error:
        raise _BadRowError(error.message) from error
    values = _parse_numbers(numbers)
    problem = embedding_problem(values, dimension)
    if problem is not None:
        raise _BadRowError(f"the embedding {problem}")
    return CsvRow(line, individual, storable_text(path), values)


def _parse_numbers(text: str) -> Vector:
    numbers = _parse_list(text)
    if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
        raise _BadRowError("the embedding is not a list of numbers")
    try:
        return np.array([float(number) for number in numbers], dtype=np.float64)
    except OverflowError as error:
        raise _BadRowError("the embedding holds a number that is not finite") from error


def _parse_list(text: str) -> object:
    """Read a list as JSON, which is fast, or as Python writes it where that differs (`1.`, a trailing comma)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise _BadRowError("the embedding is not a list of numbers") from error

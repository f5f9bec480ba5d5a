"""Reading of `metadata.csv` in the form of wildlife-datasets: one row for each individual in each photo."""

import csv
import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import cast

from pipeline.errors import BadIdentityError
from pipeline.names import normalise_new_identity
from pipeline.records import BoundingBox
from training.photos.problems import Kind, Problem
from training.photos.records import LabelledPhoto, PhotoSet, Side

METADATA_FILE = "metadata.csv"
_REQUIRED = ("identity", "path")
_NOBODY = frozenset({"", "unknown", "nan"})
"""How wildlife-datasets (and pandas) write that a photo's individual is not known."""


class _BadRowError(Exception):
    """Why one row cannot be taken."""


def read_metadata(file: Path, body_part: str = "", split: str | None = None) -> PhotoSet[LabelledPhoto]:
    """Read a metadata.csv whole.

    Columns `identity` and `path` (relative to the file's folder) are needed; `bbox` ([x, y, width, height] in pixels of
    the upright photo), `date`, `encounter`, `orientation` (left, right), `body_part` and `split` are used where they
    are there. Without `encounter` the date is the encounter.

    Args:
        file: the CSV, UTF-8.
        body_part: only these rows; with a file that has no such column, what all rows show. Empty takes all.
        split: only rows of this split; None takes all.

    Returns:
        The photos in the file's order; rows that cannot be taken are problems.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            missing = [name for name in _REQUIRED if name not in (table.fieldnames or ())]
            rows = [] if missing else list(enumerate(table, start=2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return PhotoSet(file, (), (Problem(Kind.LAYOUT, str(file), f"cannot be read as UTF-8 CSV: {error}"),))
    if missing:
        return PhotoSet(file, (), (Problem(Kind.LAYOUT, str(file), f"has no column {' and '.join(missing)}"),))
    return _read_rows(file, rows, body_part, split)


def _read_rows(
    file: Path, rows: list[tuple[int, dict[str, str | None]]], body_part: str, split: str | None
) -> PhotoSet[LabelledPhoto]:
    photos: list[LabelledPhoto] = []
    problems: list[Problem] = []
    for number, raw in rows:
        row = {name: (text or "").strip() for name, text in raw.items() if isinstance(name, str)}
        if body_part and row.get("body_part", body_part) != body_part:
            continue
        if split is not None and row.get("split", split) != split:
            continue
        where = f"{file}, row {number}"
        if row["identity"].casefold() in _NOBODY:
            problems.append(Problem(Kind.UNLABELLED, where, row["path"]))
            continue
        try:
            photos.append(_as_photo(file.parent, row, body_part))
        except _BadRowError as error:
            problems.append(Problem(Kind.BAD_ROW, where, str(error)))
    return PhotoSet(file, tuple(photos), tuple(problems))


def _as_photo(folder: Path, row: Mapping[str, str], body_part: str) -> LabelledPhoto:
    if not row["path"]:
        raise _BadRowError("has no path")
    try:
        individual = normalise_new_identity(row["identity"])
    except BadIdentityError as error:
        raise _BadRowError(error.message) from error
    day = _as_date(row.get("date", ""))
    return LabelledPhoto(
        path=folder / row["path"],
        individual=individual,
        body_part=row.get("body_part", "") or body_part,
        box_px=_as_box(row.get("bbox", "")),
        encounter=row.get("encounter") or (None if day is None else day.isoformat()),
        date=day,
        side=_as_side(row.get("orientation", "")),
        split=row.get("split", ""),
    )


def _as_box(text: str) -> BoundingBox | None:
    if text.casefold() in {"", "nan"}:
        return None
    try:
        numbers = json.loads(text)
        x, y, width, height = (float(number) for number in numbers)
    except (ValueError, TypeError) as error:
        raise _BadRowError(f"bbox {text!r} is not [x, y, width, height]") from error
    if not all(map(math.isfinite, (x, y, width, height))):
        raise _BadRowError(f"bbox {text!r} holds a number that is not finite")
    return BoundingBox(x, y, x + width, y + height)


def _as_date(text: str) -> date | None:
    if text.casefold() in {"", "nan", "nat"}:
        return None
    try:
        return datetime.fromisoformat(text).date()
    except ValueError as error:
        raise _BadRowError(f"date {text!r} is not in the form 2026-11-23 or 2026-11-23T10:30:00") from error


def _as_side(text: str) -> Side | None:
    side = text.casefold()
    return cast(Side, side) if side in {"left", "right"} else None

"""Sightings for programs: CSV with a row for each candidate, JSON with everything."""

import csv
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from pipeline.client.sightings import Sighting

CSV_COLUMNS = (
    "path",
    "index",
    "animal",
    "body_part",
    "rank",
    "individual",
    "distance",
    "x_min_px",
    "y_min_px",
    "x_max_px",
    "y_max_px",
    "score",
    "model",
    "sha256",
    "error_code",
    "error_message",
)


def write_csv(file: Path, sightings: Sequence[Sighting]) -> None:
    """Write one row for each candidate, and one for each photo without any; the file appears whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        # Names of files that are not text keep their bytes.
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            _write_rows(out, sightings)
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(file.stat().st_mode & 0o777 if file.exists() else 0o666 & ~_umask())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_rows(out: TextIO, sightings: Sequence[Sighting]) -> None:
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for sighting in sightings:
        writer.writerows(_rows(sighting))


def _rows(sighting: Sighting) -> Iterator[tuple[object, ...]]:
    photo, failure = sighting.photo, sighting.failure
    head = (photo.path, photo.index, photo.animal, photo.body_part)
    tail = (*(photo.box_xyxy_px or (None,) * 4), photo.score, photo.model, photo.sha256)
    candidates = sighting.identification.candidates if sighting.identification else ()
    for rank, candidate in enumerate(candidates, 1):
        yield (*head, rank, candidate.individual, candidate.distance, *tail, None, None)
    if failure is not None or not candidates:
        reason = (failure.code, failure.message) if failure else (None, None)
        yield (*head, None, None, None, *tail, *reason)


def as_json(server: str, sightings: Sequence[Sighting]) -> str:
    """Return one JSON object: `server`, and `photos` with an element for each animal or failed photo."""
    return json.dumps({"server": server, "photos": [_json_of(sighting) for sighting in sightings]}, indent=1)


def _json_of(sighting: Sighting) -> dict[str, Any]:
    identification, failure = sighting.identification, sighting.failure
    candidates = [asdict(candidate) for candidate in identification.candidates] if identification else []
    return {
        **asdict(sighting.photo),
        "identity": identification.identity if identification else None,
        "candidates": candidates,
        "error": asdict(failure) if failure else None,
    }

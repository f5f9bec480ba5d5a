"""What made `layout2.sqlite`, a catalogue of the release that knew layout 2 (commit 5d28ebf).

Run in a checkout of that commit, since no later release writes that layout; the file is not made again:

    python -m tests.unit.catalogue.make_layout2 layout2.sqlite
"""

import sqlite3
import sys
from pathlib import Path

import numpy as np

from pipeline.catalogue.csv_import import CsvSource, import_csvs
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.records import LOCAL_USER, Actor, PhotoKey

MARIA = Actor("azores", "Maria")
CSV = """\
Dante,photos/1.jpg,"[0.25, 0.5]"
DANTE,photos/1.jpg,"[0.75, 0.5]"
PMOD002_VERGIL,photos/2.jpg,"[0.1234567890123456, -1e-300]"
"""


def word(photo: str, individual: str, values: tuple[float, float], model: str = "m1", path: str = "") -> Confirmation:
    """Return one statement about a fluke."""
    return Confirmation(PhotoKey(f"path:{photo}"), "fluke", individual, np.array(values), model, path or photo)


def main(file: Path) -> None:
    """Write the catalogue: a CSV with twins, corrections, keys and refusals, two models, two actors, another path."""
    catalogue = open_catalogue(f"sqlite:///{file}")
    csv = file.with_suffix(".csv")
    csv.write_text(CSV, encoding="utf-8")
    import_csvs(catalogue, [CsvSource(csv, "fluke", "m1", 2)])
    csv.unlink()
    catalogue.confirm([word("a", "Nova", (0.5, 0.25)), word("b", "dante", (0.0, 0.0))], MARIA, "k1")
    catalogue.confirm([word("a", "PMOD002_VERGIL", (0.5, 0.25), path="moved/a")], LOCAL_USER, "k2")
    catalogue.confirm([word("c", "Io", (0.3, 0.4))], MARIA)
    catalogue.confirm([word("c", "Io", (0.4, 0.3), "m2")], MARIA)
    catalogue.confirm([word("d", "Io", (0.6, 0.8)), word("e", "Dante", (1.0, 0.0))], LOCAL_USER, "k3")
    catalogue.confirm([word("c", "Io", (0.3, 0.4))], LOCAL_USER, "agrees")
    catalogue.confirm([word("d", "Io", (0.8, 0.6))], LOCAL_USER, "again, better cropped")
    flank = Confirmation(PhotoKey("sha256:" + "a" * 64, 2), "flank", "Io", np.array((0.0, 1.0)), "m3", "g.jpg")
    catalogue.confirm([flank], MARIA)
    other = open_catalogue(f"sqlite:///{file}", "other")
    other.confirm([word("a", "Elsewhere", (0.1, 0.2))], MARIA, "k1")
    other.close()
    catalogue.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What made `layout1.sqlite`, a catalogue of the release that knew layout 1 (commit 8696eb8).

Run in a checkout of that commit, since no later release writes that layout; the file is not made again:

    python make_layout1.py layout1.sqlite
"""

import sqlite3
import sys
from pathlib import Path

import numpy as np

from pipeline.catalogue.csv_import import CsvSource, import_csvs
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.records import PhotoKey

CSV = """\
PMOD001_DANTE,photos/1.jpg,"[0.25, 0.5]"
PMOD001_DANTE,photos/1.jpg,"[0.75, 0.5]"
PMOD002_VERGIL,photos/2.jpg,"[0.1234567890123456, -1e-300]"
"""


def word(photo: str, individual: str, values: tuple[float, float], model: str = "m1") -> Confirmation:
    """Return one statement about a fluke."""
    return Confirmation(PhotoKey(f"path:{photo}"), "fluke", individual, np.array(values), model, photo)


def main(file: Path) -> None:
    """Write the catalogue: a CSV, twin names, corrections, the same photos by two models, another body part."""
    catalogue = open_catalogue(f"sqlite:///{file}")
    csv = file.with_suffix(".csv")
    csv.write_text(CSV, encoding="utf-8")
    import_csvs(catalogue, [CsvSource(csv, "fluke", "m1", 2)])
    csv.unlink()
    for photo, name in (("a", "Dante"), ("b", "DANTE"), ("c", "Dan te"), ("d", "Jose\u0301"), ("e", "Inv\u200bisible")):
        catalogue.confirm([word(photo, name, (len(photo) / 4, ord(photo) / 100))])
    catalogue.confirm([word("a", "Nova", (0.25, 0.97)), word("f", "Nova", (0.5, -0.5))])
    catalogue.confirm([word("f", "PMOD002_VERGIL", (0.5, -0.5))])
    catalogue.confirm([word("b", "DANTE", (0.3, 0.98), "m2"), word("f", "PMOD002_VERGIL", (0.4, -0.4), "m2")])
    catalogue.confirm([word("g", "Dante", (1.0, 1.0))])
    flank = Confirmation(PhotoKey("sha256:" + "a" * 64, 2), "flank", "Nova", np.array((0.0, 1.0)), "m3", "g.jpg")
    catalogue.confirm([flank])
    open_catalogue(f"sqlite:///{file}", "empty").close()
    catalogue.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


if __name__ == "__main__":
    main(Path(sys.argv[1]))

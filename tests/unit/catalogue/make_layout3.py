"""What made `layout3.sqlite`, a catalogue of the release that knew layout 3 (commit 01346cb).

Run in a checkout of that commit, since no later release writes that layout; the file is not made again:

    python -m tests.unit.catalogue.make_layout3 layout3.sqlite
"""

import sqlite3
import sys
from pathlib import Path

from pipeline.catalogue.sql_store import open_catalogue
from pipeline.catalogue.verbs import Alias, Decide, Decision, Merge, Rename, Undo
from pipeline.catalogue.views import AnnotationFilter, IndividualFilter
from pipeline.records import LOCAL_USER
from tests.unit.catalogue.make_layout2 import MARIA, word


def main(file: Path) -> None:
    """Write the catalogue: keys, a rename, an alias, a merge that is undone, a verdict; and another catalogue."""
    catalogue = open_catalogue(f"sqlite:///{file}")
    catalogue.confirm([word("a", "Nova", (1.0, 0.0)), word("b", "Io", (0.0, 1.0))], MARIA, "k1")
    catalogue.confirm([word("c", "Europa", (0.6, 0.8))], LOCAL_USER)
    of_name = {entry.name: entry.id for entry in catalogue.individuals(IndividualFilter()).entries}
    catalogue.change(Rename(of_name["Nova"], "Nova Prima", keep=True), MARIA, "k2")
    catalogue.change(Alias(of_name["Io"], add=("Jupiter I",)), LOCAL_USER)
    merged = catalogue.change(Merge(of_name["Io"], (of_name["Europa"],)), MARIA, reason="looked alike")
    catalogue.change(Undo(merged.head.version), MARIA)
    (shown,) = catalogue.annotations(AnnotationFilter(individual=of_name["Europa"])).entries
    catalogue.change(Decide((Decision(shown.id, "unsure", of_name["Europa"]),)), LOCAL_USER)
    catalogue.close()
    other = open_catalogue(f"sqlite:///{file}", "other")
    other.confirm([word("a", "Elsewhere", (0.1, 0.2))], MARIA, "k1")
    other.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


if __name__ == "__main__":
    main(Path(sys.argv[1]))

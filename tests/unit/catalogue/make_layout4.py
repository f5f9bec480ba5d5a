"""What made `layout4.sqlite`, a catalogue of the release that knew layout 4 (commit 41063e3).

Run in a checkout of that commit, since no later release writes that layout; the file is not made again:

    python -m tests.unit.catalogue.make_layout4 layout4.sqlite
"""

import sqlite3
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pipeline.catalogue.giving import Gift
from pipeline.catalogue.people import open_people
from pipeline.catalogue.photos import open_photos
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.catalogue.verbs import Describe, Move
from pipeline.catalogue.views import AnnotationFilter
from pipeline.records import LOCAL_USER, OPERATOR, BoundingBox, PhotoKey
from pipeline.rights import Right
from pipeline.stored_photos import PhotoFacts, PhotoRecord, Taken
from tests.unit.catalogue.make_layout2 import MARIA, word

PHOTO = PhotoRecord("a" * 64, 9, PhotoFacts((4, 3), Taken(datetime(2026, 7, 1, 14, 5), 0, 38.53, -28.62)), "a.jpg")


def main(file: Path) -> None:
    """Write the catalogue: a grant, a role, a photo with its box, a sighting that is described."""
    url = f"sqlite:///{file}"
    catalogue = open_catalogue(url)
    people, photos = open_people(url), open_photos(url)
    people.add_user(MARIA)
    people.give(Gift("default", MARIA, Right.ADMIN), OPERATOR)
    people.give(Gift("default", MARIA.institution, Right.VIEW, "coarse"), OPERATOR)
    photos.add("default", PHOTO, LOCAL_USER)
    key = PhotoKey(f"sha256:{PHOTO.sha256}")
    stored = replace(word("a.jpg", "Nova", (1.0, 0.0)), key=key, box=BoundingBox(0.0, 0.0, 2.0, 2.0))
    catalogue.confirm([stored, word("b", "Io", (0.0, 1.0))], MARIA, "k1")
    (shown, _) = catalogue.annotations(AnnotationFilter()).entries
    made = catalogue.change(Move((shown.id,)), MARIA, "k2").made
    catalogue.change(Describe("sighting", made["sightings"][0], {"locality": "Faial", "latitude": 38.5}), LOCAL_USER)
    for opened in (catalogue, people, photos):
        opened.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


if __name__ == "__main__":
    main(Path(sys.argv[1]))

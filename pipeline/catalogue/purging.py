"""Purge, for the law: an event that ends all rows about a photo or an individual, and takes from them what they said.

The rows stay, blank, and so do the lists of them in the events' payloads: the log still tells how the tables came to be
as they are, readers hear of the end of what they hold as ever, and no number is given twice. Nothing brings back what
the rows said.
"""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, LargeBinary, String, Table, delete, select, update

from pipeline.catalogue.change import Change, Row, chunks, read_payload, standing, write_payload
from pipeline.catalogue.database import Database
from pipeline.catalogue.doomed import Doomed
from pipeline.catalogue.events import Header, commit, lock_catalogue
from pipeline.catalogue.photo_tables import boxes, photos
from pipeline.catalogue.rows import Head
from pipeline.catalogue.schema import VERSIONED, annotations, event_confirmations, events

PURGED = "(purged)"
"""In place of a text that may not be empty."""

_NUMBERS = frozenset(
    {"row", "id", "annotation", "individual", "merged_into", "encounter", "sighting", "animal", "twin"}
)
_KINDS = frozenset(
    {"catalogue_id", "version", "gone", "said_in", "body_part", "model", "is_alias", "reviewed", "verdict"}
)
_KEPT = _NUMBERS | _KINDS
"""Columns that stay: numbers by which rows name one another, and what kind of word a row was."""


def purge(
    database: Database, catalogue_id: int, find: Callable[[Connection, int], Doomed], header: Header
) -> tuple[Head, Doomed]:
    """Purge what is found, in one transaction, the photos' rows included; their files are the caller's.

    Args:
        database: with the catalogue.
        catalogue_id: of the catalogue.
        find: finds what is to go, while nobody else writes; see `pipeline.catalogue.doomed`.
        header: of the event.

    Returns:
        The state that the event left, and what was purged.

    Raises:
        CatalogueUnavailableError: the database cannot be written.
        NotInCatalogueError: nothing is found.
    """
    with database.writing() as connection:
        change = lock_catalogue(connection, catalogue_id)
        doomed = find(connection, catalogue_id)
        for table, rows in doomed.rows.items():
            change.close(table, [row["row"] for row in rows if row["gone"] is None])
        head = commit(change, header)
        _blank_rows(change, doomed)
        _blank_payloads(change, doomed)
        _note_rows(change, doomed)
        _forget_photos(change, doomed)
    return head, doomed


def _blanks(table: Table) -> Row:
    """Return the values that a purged row has, but for what stays."""
    return {column.name: _blank(column.nullable, column.type) for column in table.c if column.name not in _KEPT}


def _blank(nullable: bool | None, kind: Any) -> Any:
    if nullable:
        return None
    if isinstance(kind, String):
        return PURGED
    return b"" if isinstance(kind, LargeBinary) else 0


_BLANKS = {table.name: _blanks(table) for table in VERSIONED}


def _blank_rows(change: Change, doomed: Doomed) -> None:
    for table, rows in doomed.rows.items():
        blanks = _BLANKS[table.name]
        for some in chunks([row["row"] for row in rows]):
            if blanks:
                of_rows = (table.c.catalogue_id == change.catalogue_id, table.c.row.in_(some))
                change.connection.execute(update(table).where(*of_rows).values(blanks))


def _blank_payloads(change: Change, doomed: Doomed) -> None:
    """Take from the events what they said of the rows; one that was about nothing else loses its reason, too."""
    numbers = _numbers(doomed)
    ends = (row[column] for rows in doomed.rows.values() for row in rows for column in ("version", "gone"))
    versions = {version for version in ends if version is not None}
    of_event = (events.c.catalogue_id == change.catalogue_id, events.c.version < change.version)
    for some in chunks(sorted(versions)):
        query = select(events.c.version, events.c.payload).where(*of_event, events.c.version.in_(some))
        for version, payload in change.connection.execute(query).all():
            blank, is_all = _blank_payload(payload, numbers)
            values = {"payload": blank} | ({"reason": None} if is_all else {})
            change.connection.execute(update(events).where(*of_event, events.c.version == version).values(values))


def _note_rows(change: Change, doomed: Doomed) -> None:
    """Write the numbers of all blank rows into the purge's own payload: no undo may open copies of them."""
    of_event = (events.c.catalogue_id == change.catalogue_id, events.c.version == change.version)
    content = json.loads(change.payload()) | {"purged": sorted(_numbers(doomed))}
    written = json.dumps(content, separators=(",", ":"))
    change.connection.execute(update(events).where(*of_event).values(payload=written))


def _numbers(doomed: Doomed) -> set[int]:
    return {row["row"] for rows in doomed.rows.values() for row in rows}


def _blank_payload(payload: str, numbers: set[int]) -> tuple[str, bool]:
    """Return a payload without what it said of rows, by their numbers, and whether it said nothing else."""
    opened, closed = read_payload(payload)
    blank = {
        table: [row | _BLANKS[table] if row["row"] in numbers else row for row in rows]
        for table, rows in opened.items()
    }
    about = {row["row"] for rows in opened.values() for row in rows} | {row for rows in closed.values() for row in rows}
    return write_payload(blank, closed), about <= numbers


def _forget_photos(change: Change, doomed: Doomed) -> None:
    """Delete the rows of photos and boxes, and take names and paths from what confirmations were answered."""
    of_catalogue = change.catalogue_id
    for some in chunks(sorted(doomed.hashes)):
        listed = (photos.c.catalogue_id == of_catalogue, photos.c.sha256.in_(some))
        change.connection.execute(delete(photos).where(*listed))
    keys = {row["source_key"] for row in doomed.rows.get(annotations, ())}
    others = {_animal(row) for row in standing(*change.place, annotations, "source_key", keys)}
    for row in doomed.rows.get(annotations, ()):
        if _animal(row) not in others:
            of_animal = zip(("source_key", "animal", "body_part"), _animal(row), strict=True)
            where = (boxes.c[column] == value for column, value in of_animal)
            change.connection.execute(delete(boxes).where(boxes.c.catalogue_id == of_catalogue, *where))
    said = event_confirmations.c
    for text in (*doomed.names, *doomed.paths):
        holds = (said.catalogue_id == of_catalogue, said.refusal.contains(text, autoescape=True))
        change.connection.execute(update(event_confirmations).where(*holds).values(refusal=PURGED))


def _animal(row: Row) -> tuple[str, int, str]:
    return row["source_key"], row["animal"], row["body_part"]

"""One change of the catalogue: the rows that an event opens and closes, and its payload.

Every verb, every confirmation, every import and every undo comes down to this.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, insert, select, update

from pipeline.catalogue.schema import VERSIONED, embeddings

_KEYS_A_STATEMENT = 500  # bound parameters: SQLite took 999 at most for long, and a plan for more gains nothing

_HEADER = frozenset({"catalogue_id", "version", "gone"})  # columns that the event itself says
_DATA = {embeddings.name: frozenset({"vector"})}
"""Columns that no payload repeats: an embedding is data that a program made, not a person's word."""

_T = TypeVar("_T")

Row = dict[str, Any]
"""One row by its columns' names."""


@dataclass(slots=True)
class Change:
    """What one event does to the rows of one catalogue, put together while the catalogue's write lock is held.

    Attributes:
        connection: in the transaction.
        catalogue_id: whose rows.
        version: of the event.
        next_row: the number that the next opened row gets.
        opened: rows to insert, by table.
        closed: numbers of rows that stand no longer, by table.
    """

    connection: Connection
    catalogue_id: int
    version: int
    next_row: int
    opened: defaultdict[Table, list[Row]] = field(default_factory=lambda: defaultdict(list))
    closed: defaultdict[Table, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def place(self) -> tuple[Connection, int]:
        """The connection and the catalogue, which every query begins with."""
        return self.connection, self.catalogue_id

    @property
    def is_empty(self) -> bool:
        """Whether nothing comes and nothing ends."""
        return not any(self.opened.values()) and not any(self.closed.values())

    def open(self, table: Table, values: Row) -> int:
        """Add a row and return its number, which a new thing has as its `id`, too."""
        row = self.next_row
        self.next_row += 1
        if "id" in table.c:
            values.setdefault("id", row)
        self.opened[table].append(values | {"catalogue_id": self.catalogue_id, "row": row, "version": self.version})
        return row

    def close(self, table: Table, rows: Iterable[int]) -> None:
        """End rows that stand."""
        self.closed[table] += rows

    def replace(self, table: Table, row: Row, **values: Any) -> None:
        """End a row that stands and open one that differs from it in some columns."""
        self.close(table, [row["row"]])
        self.open(table, said(row) | values)

    def write(self) -> None:
        """Write the rows; those that end come first, since what is unique among standing rows may pass on."""
        for table in VERSIONED:
            for numbers in chunks(self.closed.get(table, ())):
                ended = update(table).where(table.c.catalogue_id == self.catalogue_id, table.c.row.in_(numbers))
                self.connection.execute(ended.values(gone=self.version))
        for table in VERSIONED:
            rows = self.opened.get(table)
            if rows:
                columns = dict.fromkeys(key for row in rows for key in row)
                if any(len(row) < len(columns) for row in rows):
                    rows = [columns | row for row in rows]
                self.connection.execute(insert(table), rows)

    def payload(self) -> str:
        """Return all of it as the JSON that the event keeps; "{}" where nothing changes."""
        return write_payload(
            {table.name: rows for table, rows in self.opened.items() if rows},
            {table.name: rows for table, rows in self.closed.items() if rows},
        )


def said(row: Mapping[str, Any]) -> Row:
    """Return what a row says, without its number and the versions that it has by its event."""
    return {column: value for column, value in row.items() if column not in _HEADER and column != "row"}


def write_payload(opened: Mapping[str, Sequence[Mapping[str, Any]]], closed: Mapping[str, Sequence[int]]) -> str:
    """Return an event's payload: columns once a table, one list a row, and the numbers of the rows that ended."""
    tables: dict[str, Any] = {}
    for name, rows in opened.items():
        columns = [column for column in _PAYLOAD_COLUMNS[name] if any(row.get(column) is not None for row in rows)]
        tables[name] = {"columns": columns, "rows": [list(map(row.get, columns)) for row in rows]}
    said = {part: content for part, content in (("opened", tables), ("closed", closed)) if content}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat)


def read_payload(payload: str) -> tuple[dict[str, list[Row]], dict[str, list[int]]]:
    """Return the rows that an event opened and the numbers of those that it closed, by the names of their tables.

    A column that has no value is left out, and times are text (ISO 8601).
    """
    content = json.loads(payload)
    opened = {
        name: [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        for name, table in content.get("opened", {}).items()
    }
    return opened, content.get("closed", {})


def standing(
    connection: Connection, catalogue_id: int, table: Table, column: str, values: Iterable[Any]
) -> Iterator[Row]:
    """Yield the standing rows that have one of these values in a column, in the order of their numbers."""
    return _rows(connection, catalogue_id, table, column, values, only_standing=True)


def numbered(connection: Connection, catalogue_id: int, table: Table, rows: Iterable[int]) -> Iterator[Row]:
    """Yield the rows of these numbers, whether they stand or not."""
    return _rows(connection, catalogue_id, table, "row", rows, only_standing=False)


def ever(connection: Connection, catalogue_id: int, table: Table, column: str, values: Iterable[Any]) -> Iterator[Row]:
    """Yield the rows that have one of these values in a column, whether they stand or not, as `standing` does."""
    return _rows(connection, catalogue_id, table, column, values, only_standing=False)


def _rows(
    connection: Connection, catalogue_id: int, table: Table, column: str, values: Iterable[Any], only_standing: bool
) -> Iterator[Row]:
    query = select(table).where(table.c.catalogue_id == catalogue_id).order_by(table.c.row)
    if only_standing:
        query = query.where(table.c.gone.is_(None))
    for some in chunks(sorted(set(values))):
        for row in connection.execute(query.where(table.c[column].in_(some))):
            yield dict(row._mapping)


def chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield parts of a sequence that one statement takes."""
    for start in range(0, len(items), _KEYS_A_STATEMENT):
        yield items[start : start + _KEYS_A_STATEMENT]


_PAYLOAD_COLUMNS = {
    table.name: [column.name for column in table.c if column.name not in _HEADER | _DATA.get(table.name, frozenset())]
    for table in VERSIONED
}

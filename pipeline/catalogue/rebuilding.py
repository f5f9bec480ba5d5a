"""The catalogue's rows rebuilt from the log of its events, and where the tables differ from them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from pipeline.catalogue.change import Row, read_payload
from pipeline.catalogue.schema import VERSIONED, embeddings, events

Rows = dict[int, Row]
"""Rows by their number, with the versions in which they came and ended; columns without a value are left out."""

_NOT_LOGGED = frozenset({"catalogue_id", embeddings.c.vector.name})


def rebuild(connection: Connection, catalogue_id: int) -> dict[str, Rows]:
    """Return the rows of every table as the events' payloads tell them, without the embeddings' numbers.

    Args:
        connection: in a transaction that sees one state.
        catalogue_id: whose events.
    """
    tables: dict[str, Rows] = {table.name: {} for table in VERSIONED}
    log = select(events.c.version, events.c.payload).where(events.c.catalogue_id == catalogue_id)
    for version, payload in connection.execute(log.order_by(events.c.version)):
        opened, closed = read_payload(payload)
        for name, numbers in closed.items():
            for number in numbers:
                tables[name].setdefault(number, {"row": number})["gone"] = version  # of a log with gaps
        for name, rows in opened.items():
            tables[name].update({row["row"]: _without_gaps(row) | {"version": version} for row in rows})
    return tables


def read_rows(connection: Connection, catalogue_id: int, table: Table) -> Rows:
    """Return a table's rows as `rebuild` does."""
    columns = [column for column in table.c if column.name not in _NOT_LOGGED]
    rows = connection.execute(select(*columns).where(table.c.catalogue_id == catalogue_id))
    return {row.row: _without_gaps(dict(row._mapping)) for row in rows}


def differences(connection: Connection, catalogue_id: int) -> list[str]:
    """Return where the tables say something else than the log, one line a row; empty where they agree."""
    log = rebuild(connection, catalogue_id)
    stored = {table.name: read_rows(connection, catalogue_id, table) for table in VERSIONED}
    return [
        f"{name} {number}: {stored[name].get(number)}, by the log {log[name].get(number)}"
        for name in log
        for number in sorted(stored[name].keys() | log[name].keys())
        if stored[name].get(number) != log[name].get(number)
    ]


def _without_gaps(row: Row) -> Row:
    return {column: _plain(value) for column, value in row.items() if value is not None}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

"""Pages of lists by keyset: a page begins after the last entry of the one before, whatever came or went meanwhile."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, and_, func, or_, select

from pipeline.catalogue.rows import Head
from pipeline.catalogue.vectors import storable_text
from pipeline.catalogue.views import MAX_PAGE, Entry, Page
from pipeline.errors import MalformedMessageError


def read_page(
    connection: Connection,
    head: Head,
    rows: Select[Any],
    keys: Sequence[Column[Any]],
    after: str | None,
    limit: int,
    entries_of: Callable[[Sequence[Any]], Sequence[Entry]],
    descending: bool = False,
) -> Page[Entry]:
    """Read one page.

    Args:
        connection: in a transaction that sees one state.
        head: of that state.
        rows: the whole list, without an order; it selects the keys.
        keys: columns that order the list, and of which no two rows share the values.
        after: `next` of the page before; None for the first.
        limit: how many entries; at most `MAX_PAGE` are given.
        entries_of: makes entries of rows.
        descending: by the keys.

    Raises:
        MalformedMessageError: `after` is none that a page gave.
    """
    limit = max(1, min(limit, MAX_PAGE))
    kinds = [key.type.python_type for key in keys]
    some = rows if after is None else rows.where(_beyond(keys, read_cursor(after, kinds), descending))
    some = some.order_by(*(key.desc() if descending else key for key in keys)).limit(limit + 1)
    found = connection.execute(some).all()
    count = select(func.count()).select_from(rows.subquery())
    total = int(connection.execute(count).scalar_one()) if after is None else None
    more = len(found) > limit
    page = found[:limit]
    cursor = write_cursor([getattr(page[-1], key.name) for key in keys]) if more else None
    return Page(head, tuple(entries_of(page)), cursor, total)


def _beyond(keys: Sequence[Column[Any]], values: Sequence[Any], descending: bool) -> Any:
    beyond = []
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        same = [earlier == known for earlier, known in zip(keys[:place], values[:place], strict=True)]
        beyond.append(and_(*same, key < value if descending else key > value))
    return or_(*beyond)


def write_cursor(values: Sequence[int | str]) -> str:
    """Return `next` of a page whose last entry has these keys."""
    return json.dumps(values)


def read_cursor(after: str, kinds: Sequence[type]) -> list[Any]:
    """Return the keys of `write_cursor`, of these types.

    Raises:
        MalformedMessageError: it is none that a page gave.
    """
    try:
        values = json.loads(after)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, list) and [type(value) for value in values] == list(kinds) and all(map(_is_storable, values)):
        return values
    raise MalformedMessageError("after: must be `next` of the page before")


def _is_storable(value: int | str) -> bool:
    """Tell whether every database can compare a column with it."""
    return storable_text(value) == value if isinstance(value, str) else 0 <= value < 2**31

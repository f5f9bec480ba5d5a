"""The tables that the step to layout 3 makes; later layouts change them in steps of their own."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

_WITH_ROWID = "embeddings"

# Each versioned table: its columns, those that no two standing rows share, and those by which all rows are found.
_TABLES: Mapping[str, tuple[tuple[sa.Column[object], ...], tuple[str, ...], tuple[str, ...]]] = {
    "individuals": (
        (
            sa.Column("id", sa.Integer, nullable=False),
            sa.Column("species", sa.String),
            sa.Column("sex", sa.String),
            sa.Column("note", sa.String),
            sa.Column("merged_into", sa.Integer),
        ),
        ("id",),
        ("id",),
    ),
    "names": (
        (
            sa.Column("individual", sa.Integer, nullable=False),
            sa.Column("name", sa.String, nullable=False),
            sa.Column("is_alias", sa.Boolean, nullable=False),
            sa.Column("key", sa.String, nullable=False),
            sa.Column("twin", sa.Integer, nullable=False),
        ),
        ("key", "twin"),
        ("individual", "key", "gone"),
    ),
    "sightings": (
        (
            sa.Column("id", sa.Integer, nullable=False),
            sa.Column("begins_at", sa.DateTime),
            sa.Column("ends_at", sa.DateTime),
            sa.Column("latitude", sa.Float),
            sa.Column("longitude", sa.Float),
            sa.Column("uncertainty_m", sa.Float),
            sa.Column("locality", sa.String),
            sa.Column("observer", sa.String),
        ),
        ("id",),
        ("id",),
    ),
    "encounters": (
        (sa.Column("id", sa.Integer, nullable=False), sa.Column("sighting", sa.Integer, nullable=False)),
        ("id",),
        ("id", "sighting"),
    ),
    "annotations": (
        (
            sa.Column("id", sa.Integer, nullable=False),
            sa.Column("source_key", sa.String, nullable=False),
            sa.Column("animal", sa.Integer, nullable=False),
            sa.Column("body_part", sa.String, nullable=False),
            sa.Column("path", sa.String, nullable=False),
            sa.Column("side", sa.String),
            sa.Column("quality", sa.String),
            sa.Column("encounter", sa.Integer),
        ),
        ("source_key", "animal", "body_part"),
        ("id", "encounter"),
    ),
    "embeddings": (
        (
            sa.Column("annotation", sa.Integer, nullable=False),
            sa.Column("model", sa.String, nullable=False),
            sa.Column("dimension", sa.Integer, nullable=False),
            sa.Column("vector", sa.LargeBinary, nullable=False),
        ),
        ("annotation", "model"),
        (),
    ),
    "assignments": (
        (
            sa.Column("annotation", sa.Integer, nullable=False),
            sa.Column("individual", sa.Integer, nullable=False),
            sa.Column("reviewed", sa.Boolean, nullable=False),
            sa.Column("path", sa.String),
            sa.Column("said_in", sa.Integer, nullable=False),
        ),
        ("annotation",),
        ("annotation", "individual", "version", "gone"),
    ),
    "decisions": (
        (
            sa.Column("annotation", sa.Integer, nullable=False),
            sa.Column("verdict", sa.String, nullable=False),
            sa.Column("individual", sa.Integer),
            sa.Column("confidence", sa.String),
            sa.Column("ranking", sa.Text),
        ),
        ("annotation",),
        ("annotation",),
    ),
    "imports": (
        (
            sa.Column("file_name", sa.String, nullable=False),
            sa.Column("body_part", sa.String, nullable=False),
            sa.Column("digest", sa.String(64), nullable=False),
            sa.Column("model", sa.String, nullable=False),
        ),
        ("body_part", "digest"),
        (),
    ),
}


def create_tables() -> dict[str, sa.Table]:
    """Make the versioned tables of layout 3 and return them by name; `events` has its new columns already."""
    made = {}
    for name, (columns, unique, by) in _TABLES.items():
        made[name] = op.create_table(
            name,
            sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("catalogue_id", sa.Integer, sa.ForeignKey("catalogues.id"), primary_key=True),
            *(column.copy() for column in columns),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("gone", sa.Integer),
            sqlite_with_rowid=name == _WITH_ROWID,
        )
        _index(f"{name}_standing", name, unique, only="gone IS NULL", unique=True)
        for column in by:
            _index(f"{name}_by_{column}", name, (column,), only="gone IS NOT NULL" if column == "gone" else None)
    _index("events_by_undoes", "events", ("undoes",), only="undoes IS NOT NULL")
    return made


def _index(name: str, table: str, columns: Sequence[str], only: str | None, unique: bool = False) -> None:
    where = None if only is None else sa.text(only)
    op.create_index(name, table, ["catalogue_id", *columns], unique=unique, sqlite_where=where, postgresql_where=where)

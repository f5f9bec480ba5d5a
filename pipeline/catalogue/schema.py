"""The catalogue's tables, for any database that SQLAlchemy speaks to, and the version of their layout.

Those of people and their rights are in `people_tables.py`; `pipeline/catalogue/migrations` brings older layouts to this
one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 5
"""Raised with every change of the tables; a release refuses a catalogue that a newer one has written."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, stored without its zone (SQLite has none)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store as naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

# One row. Alembic has a table of its own; this one stays because the releases before it look here.
schema_versions = Table("schema_versions", metadata, Column("version", Integer, primary_key=True))

# `next_row` numbers the rows of all versioned tables, each catalogue's by itself; a transaction takes what it needs
# while it holds this row's lock. `institution` is whose the catalogue is.
catalogues = Table(
    "catalogues",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("head", Integer, nullable=False),
    Column("next_row", Integer, nullable=False, server_default="1"),
    Column("institution", String, nullable=False, server_default="default"),
    Column("species", String),
)

actors = Table(
    "actors",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("institution", String, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    UniqueConstraint("institution", "name", "kind"),
)

# The header of each transaction that says something. `kind` is that of a verb, "confirm", "import" or "migrate"; `key`
# is the client's, of its request, and `digest` tells whether a repeat of a verb is the same; `nonce` tells this history
# from that of another copy; `reason` is free text; `payload` is JSON: every row that the event opened or closed
# (`change.py`); `undoes` is the version of the event that this one takes back.
events = Table(
    "events",
    metadata,
    Column("catalogue_id", ForeignKey("catalogues.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("nonce", String, nullable=False),
    Column("key", String),
    Column("digest", String(32)),
    Column("kind", String, nullable=False),
    Column("actor_id", ForeignKey("actors.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", String),
    Column("payload", Text, nullable=False, server_default="{}"),
    Column("undoes", Integer),
    UniqueConstraint("catalogue_id", "actor_id", "key"),
)

_undoes = events.c.undoes.is_not(None)
Index("events_by_undoes", events.c.catalogue_id, events.c.undoes, sqlite_where=_undoes, postgresql_where=_undoes)

# What a key of confirmations came with, for its repeat: a digest of each, and why one was refused.
event_confirmations = Table(
    "event_confirmations",
    metadata,
    Column("catalogue_id", Integer, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(32), primary_key=True),
    Column("refusal", String),
    ForeignKeyConstraint(["catalogue_id", "version"], ["events.catalogue_id", "events.version"]),
)


def _versioned(name: str, *columns: Column[Any], unique: tuple[str, ...], by: tuple[str, ...] = ()) -> Table:
    """Make a table whose rows are never changed: each stands from the event `version` until the event `gone`.

    Args:
        name: of the table.
        columns: what a row says; where `id` is among them the row is about a thing that later rows may be about, too,
            and that has the number of its first row.
        unique: columns that no two standing rows share.
        by: columns by which all rows, also those that are gone, are found.
    """
    table = Table(
        name,
        metadata,
        # In this order: with the catalogue first, SQLite would take the key for narrower than any index below.
        Column("row", Integer, primary_key=True, autoincrement=False),
        Column("catalogue_id", ForeignKey("catalogues.id"), primary_key=True),
        *columns,
        Column("version", Integer, nullable=False),
        Column("gone", Integer),
        sqlite_with_rowid=name == "embeddings",  # whose rows are too large to lie in an index
    )
    _index(f"{name}_standing", table, unique, only=table.c.gone.is_(None), unique=True)
    for column in by:  # that of `gone` is partial, since a planner would else look standing rows up by its absence
        _index(f"{name}_by_{column}", table, [column], only=table.c.gone.is_not(None) if column == "gone" else None)
    return table


def _index(
    name: str, table: Table, columns: Sequence[str], only: ColumnElement[bool] | None = None, unique: bool = False
) -> None:
    place = table.c.catalogue_id
    Index(name, place, *(table.c[c] for c in columns), unique=unique, sqlite_where=only, postgresql_where=only)


individuals = _versioned(
    "individuals",
    Column("id", Integer, nullable=False),
    Column("species", String),
    Column("sex", String),
    Column("note", String),
    Column("merged_into", Integer),
    unique=("id",),
    by=("id",),
)

# `key` is the name's fold (`pipeline.names.fold_name`); of individuals whose names share one, which older layouts and
# CSVs let in, each but the first has a `twin` of its own.
names = _versioned(
    "names",
    Column("individual", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("is_alias", Boolean, nullable=False),
    Column("key", String, nullable=False),
    Column("twin", Integer, nullable=False),
    unique=("key", "twin"),
    by=("individual", "key", "gone"),
)

sightings = _versioned(
    "sightings",
    Column("id", Integer, nullable=False),
    Column("begins_at", DateTime),
    Column("ends_at", DateTime),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("uncertainty_m", Float),
    Column("locality", String),
    Column("observer", String),
    unique=("id",),
    by=("id",),
)

encounters = _versioned(
    "encounters",
    Column("id", Integer, nullable=False),
    Column("sighting", Integer, nullable=False),
    unique=("id",),
    by=("id", "sighting"),
)

# `source_key` says which photo: "sha256:<hex>", "path:<path>" or "csv:<sha256 of the file>:<line>"; `path` is as it was
# named first.
annotations = _versioned(
    "annotations",
    Column("id", Integer, nullable=False),
    Column("source_key", String, nullable=False),
    Column("animal", Integer, nullable=False),
    Column("body_part", String, nullable=False),
    Column("path", String, nullable=False),
    Column("side", String),
    Column("quality", String),
    Column("encounter", Integer),
    unique=("source_key", "animal", "body_part"),
    by=("id", "encounter"),
)

embeddings = _versioned(
    "embeddings",
    Column("annotation", Integer, nullable=False),
    Column("model", String, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    unique=("annotation", "model"),
)

# Who an annotation shows. A row stands and falls with the embeddings that are ranked under it: whoever replaces or adds
# one opens the assignment anew, so that readers of galleries follow this table alone. `path` is as this word named the
# photo where that differs; `said_in` is the version of the event whose word it is, kept by copies.
assignments = _versioned(
    "assignments",
    Column("annotation", Integer, nullable=False),
    Column("individual", Integer, nullable=False),
    Column("reviewed", Boolean, nullable=False),
    Column("path", String),
    Column("said_in", Integer, nullable=False),
    unique=("annotation",),
    by=("annotation", "individual", "version", "gone"),
)

# The last word of a person about an annotation, by a verb; `individual` is who it was compared with. `ranking` is JSON.
decisions = _versioned(
    "decisions",
    Column("annotation", Integer, nullable=False),
    Column("verdict", String, nullable=False),
    Column("individual", Integer),
    Column("confidence", String),
    Column("ranking", Text),
    unique=("annotation",),
    by=("annotation",),
)

imports = _versioned(
    "imports",
    Column("file_name", String, nullable=False),
    Column("body_part", String, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("model", String, nullable=False),
    unique=("body_part", "digest"),
)

# How times of photos are read where sightings are proposed. Of one `camera`, as its photos name it: seconds that are
# added to what it wrote. Of "", the catalogue itself: the zone of local times, and the longest gap within a sighting.
settings = _versioned(
    "settings",
    Column("camera", String, nullable=False),
    Column("timezone", String),
    Column("gap_min", Integer),
    Column("clock_s", Integer),
    unique=("camera",),
    by=("camera",),
)

VERSIONED = (
    *(individuals, names, sightings, encounters, annotations, embeddings, assignments, decisions, imports, settings),
)
"""Every table of versioned rows, in the order in which rows are written."""

"""The catalogue's tables, for any database that SQLAlchemy speaks to, and the version of their layout.

`pipeline/catalogue/migrations` brings older layouts to this one.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    inspect,
    select,
)
from sqlalchemy.types import TypeDecorator

from pipeline.errors import CatalogueOpenError

SCHEMA_VERSION = 2
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

catalogues = Table(
    "catalogues",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("head", Integer, nullable=False),
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

# The header of each transaction that says something. `kind` is "confirm", "import" or "migrate"; `key` is the client's,
# of its request; `nonce` tells this history from that of another copy; `reason` is free text.
events = Table(
    "events",
    metadata,
    Column("catalogue_id", ForeignKey("catalogues.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("nonce", String, nullable=False),
    Column("key", String),
    Column("kind", String, nullable=False),
    Column("actor_id", ForeignKey("actors.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", String),
    UniqueConstraint("catalogue_id", "actor_id", "key"),
)

# What a key came with, for its repeat: a digest of each confirmation, and why one was refused.
event_confirmations = Table(
    "event_confirmations",
    metadata,
    Column("catalogue_id", Integer, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(32), primary_key=True),
    Column("refusal", String),
    ForeignKeyConstraint(["catalogue_id", "version"], ["events.catalogue_id", "events.version"]),
)

# `name_key` is the name's fold (`pipeline.names.fold_name`); not unique, since older layouts let twins in.
individuals = Table(
    "individuals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("catalogue_id", ForeignKey("catalogues.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("name_key", String, nullable=False, server_default=""),
    UniqueConstraint("catalogue_id", "name"),
    Index("individuals_by_name_key", "catalogue_id", "name_key"),
)

imports = Table(
    "imports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("catalogue_id", ForeignKey("catalogues.id"), nullable=False),
    Column("file_name", String, nullable=False),
    Column("body_part", String, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("model", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("catalogue_id", "body_part", "digest"),
)

# One row a statement about an animal in a photo. `origin` is "identify" or "csv:<sha256 of the file>"; `version` is
# that of the event that brought the row, `superseded_version` that of the one that replaced it (null while it stands).
annotations = Table(
    "annotations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("catalogue_id", ForeignKey("catalogues.id"), nullable=False),
    Column("individual_id", ForeignKey("individuals.id"), nullable=False),
    Column("photo", String, nullable=False),
    Column("animal", Integer, nullable=False),
    Column("body_part", String, nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("model", String, nullable=False),
    Column("path", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    Column("superseded_version", Integer),
    sqlite_autoincrement=True,
)

# Partial indexes: the planner would else look current rows up by their missing superseded_version, which all share.
_stands = annotations.c.superseded_version.is_(None)
_gone = annotations.c.superseded_version.is_not(None)


def _index(name: str, *columns: str, only: ColumnElement[bool], unique: bool = False) -> None:
    Index(name, *(annotations.c[column] for column in columns), unique=unique, sqlite_where=only, postgresql_where=only)


_index(
    "one_standing_row_a_photo",
    *("catalogue_id", "photo", "animal", "body_part", "model"),
    only=_stands,
    unique=True,
)
_index("standing_rows_by_individual", "catalogue_id", "individual_id", only=_stands)
_index("standing_rows_by_model", "catalogue_id", "body_part", "model", "photo", only=_stands)
_index("gone_rows_by_version", "catalogue_id", "superseded_version", only=_gone)
Index("rows_by_version", annotations.c.catalogue_id, annotations.c.version)


def read_layout(connection: Connection) -> int | None:
    """Return the layout of the tables; None for an empty database.

    Raises:
        CatalogueOpenError: a newer release has written this catalogue.
    """
    if not inspect(connection).has_table(schema_versions.name):
        return None
    found = int(connection.execute(select(schema_versions.c.version)).scalar_one())
    if found > SCHEMA_VERSION:
        raise CatalogueOpenError(
            f"the catalogue was written by a newer release (layout {found}, this release knows {SCHEMA_VERSION}): "
            "start that release, or restore a backup made before the upgrade"
        )
    return found


def no_catalogue(url: URL) -> CatalogueOpenError:
    """Return the error of whoever may not make the catalogue that is missing: replicas, and tools that read."""
    return CatalogueOpenError(
        f"there is no catalogue at {url!r}: put it back, or start the service with its start command "
        "(python -m deployments.launch), which makes one"
    )


def find_catalogue(connection: Connection, name: str) -> int | None:
    """Return the id of a catalogue; None where it, or the tables, are still to be made.

    Raises:
        CatalogueOpenError: the tables have the layout of another release.
    """
    found = read_layout(connection)
    if found is None:
        return None
    if found < SCHEMA_VERSION:
        raise CatalogueOpenError(
            f"the catalogue has the layout of an older release (layout {found}, this release needs {SCHEMA_VERSION}): "
            "start this release once with its start command (python -m deployments.launch), which brings it up to date"
        )
    return connection.execute(select(catalogues.c.id).where(catalogues.c.name == name)).scalar()

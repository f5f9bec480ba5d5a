"""The catalogue's tables, for any database that SQLAlchemy speaks to, and the version of their layout."""

from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.types import TypeDecorator

from pipeline.errors import CatalogueOpenError

SCHEMA_VERSION = 1
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

schema_versions = Table("schema_versions", metadata, Column("version", Integer, primary_key=True))

catalogues = Table(
    "catalogues",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("head", Integer, nullable=False),
)

individuals = Table(
    "individuals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("catalogue_id", ForeignKey("catalogues.id"), nullable=False),
    Column("name", String, nullable=False),
    UniqueConstraint("catalogue_id", "name"),
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

# One row a statement about an animal in a photo. `origin` is "identify" or "csv:<sha256 of the file>"; `version` is the
# head that the row came in with, `superseded_version` the one that replaced it (null while it stands).
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


def prepare_schema(connection: Connection) -> None:
    """Create the tables in an empty database, leave a known layout alone; find out now whether it can be written.

    Raises:
        CatalogueOpenError: a newer release has written this catalogue.
    """
    if not inspect(connection).has_table(schema_versions.name):
        metadata.create_all(connection)
        connection.execute(insert(schema_versions).values(version=SCHEMA_VERSION))
        return
    found = connection.execute(select(schema_versions.c.version)).scalar_one()
    if found > SCHEMA_VERSION:
        raise CatalogueOpenError(
            f"the catalogue was written by a newer release (layout {found}, this release knows {SCHEMA_VERSION}): "
            "start that release, or restore a backup made before the upgrade"
        )
    connection.execute(update(schema_versions).values(version=found))


def prepare_catalogue(connection: Connection, name: str) -> int:
    """Return the id of a catalogue, made where it does not exist."""
    found = connection.execute(select(catalogues.c.id).where(catalogues.c.name == name)).scalar()
    if found is not None:
        return int(found)
    inserted = connection.execute(insert(catalogues).values(name=name, head=0).returning(catalogues.c.id))
    return int(inserted.scalar_one())

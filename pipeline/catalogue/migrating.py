"""The layout of the catalogue's tables: made in an empty database, brought up to date in one that a release left."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select, update

from pipeline.catalogue import migrations
from pipeline.catalogue.database import open_database
from pipeline.catalogue.events import Header, write_event
from pipeline.catalogue.layout import read_layout
from pipeline.catalogue.people_tables import institutions
from pipeline.catalogue.schema import SCHEMA_VERSION, catalogues, metadata, schema_versions
from pipeline.catalogue.signing import make_signing_key
from pipeline.catalogue.sql_store import found_layout
from pipeline.errors import CatalogueOpenError
from pipeline.records import SERVICE

_log = logging.getLogger(__name__)


def migrate_catalogue(url: str, backup: str | None = None) -> None:
    """Bring the tables of an older release up to date, in one transaction, after a backup was made.

    Does nothing to an empty database, which is made at the newest layout, and to one that is up to date. Of several
    processes one migrates; the others wait and find it done.

    Args:
        url: of the database, as SQLAlchemy has it.
        backup: names the backup that the operator made of a database on a server; a SQLite file is copied here.

    Raises:
        CatalogueOpenError: the database cannot be opened or copied, names no backup, or a newer release has written
            it. It is as it was.
    """
    if found_layout(url) in (None, SCHEMA_VERSION):
        return
    database = open_database(url)
    try:
        with database.preparing() as connection:
            found = read_layout(connection)
            if found is None or found == SCHEMA_VERSION:
                return
            made = database.back_up(found) or backup
            if made is None:
                raise CatalogueOpenError(
                    f"the catalogue has the layout of an older release (layout {found}, this release needs "
                    f"{SCHEMA_VERSION}): make a backup (docs/catalogue.md says how), then start once with "
                    "--migrate and the name of that backup"
                )
            _log.info("the catalogue goes from layout %s to %s; its backup is %s", found, SCHEMA_VERSION, made)
            _upgrade(connection, found, made)
    finally:
        database.close()


def create_tables(connection: Connection) -> None:
    """Make the tables in an empty database."""
    metadata.create_all(connection)
    connection.execute(insert(schema_versions).values(version=SCHEMA_VERSION))
    connection.execute(insert(institutions).values(name=SERVICE.institution))
    make_signing_key(connection)
    command.stamp(_alembic(connection), "head")


def _upgrade(connection: Connection, found: int, backup: str) -> None:
    alembic = _alembic(connection)
    if found == 1:  # the releases of layout 1 did not know Alembic
        command.stamp(alembic, "layout_1")
    command.upgrade(alembic, "head")
    connection.execute(update(schema_versions).values(version=SCHEMA_VERSION))
    now = datetime.now(UTC)
    for catalogue_id, head in connection.execute(select(catalogues.c.id, catalogues.c.head)).all():
        reason = f"layout {found} to {SCHEMA_VERSION}; backup: {backup}"
        write_event(connection, catalogue_id, head + 1, Header("migrate", SERVICE, now, reason=reason))
    connection.execute(update(catalogues).values(head=catalogues.c.head + 1))


def _alembic(connection: Connection) -> Config:
    config = Config()
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

"""Which layout the tables of a database have, and where a catalogue is in them."""

from sqlalchemy import URL, Connection, inspect, select

from pipeline.catalogue.schema import SCHEMA_VERSION, catalogues, schema_versions
from pipeline.errors import CatalogueOpenError


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


def name_of(connection: Connection, catalogue_id: int) -> str:
    """Return what requests call a catalogue."""
    return str(connection.execute(select(catalogues.c.name).where(catalogues.c.id == catalogue_id)).scalar_one())

"""Layout 2: events (who spoke, the request's key, a nonce) and the fold of each individual's name.

The fold is that of the release which runs the step: one that folds otherwise has a later step, which folds all again.
"""

import secrets

import sqlalchemy as sa
from alembic import op

from pipeline.catalogue.vectors import storable_key
from pipeline.names import fold_name

revision = "layout_2"
down_revision = "layout_1"

UNKNOWN_PERSON = {"institution": "default", "name": "unknown (before layout 2)", "kind": "person"}
"""Who confirmed was not written down; nobody real is named in their place."""

THE_SERVICE = {"institution": "default", "name": "whale-vision", "kind": "program"}
"""Catalogue files were always taken in by the service."""


def upgrade() -> None:
    """Add the tables and the column, fold the names, and give every version that occurred its event."""
    _create_tables()
    op.add_column("individuals", sa.Column("name_key", sa.String, nullable=False, server_default=""))
    op.create_index("individuals_by_name_key", "individuals", ["catalogue_id", "name_key"])
    connection = op.get_bind()
    _fold_names(connection)
    _record_events(connection)


def _create_tables() -> None:
    op.create_table(
        "actors",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("institution", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.UniqueConstraint("institution", "name", "kind"),
    )
    op.create_table(
        "events",
        sa.Column("catalogue_id", sa.Integer, sa.ForeignKey("catalogues.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("nonce", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id"), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("reason", sa.String),
        sa.UniqueConstraint("catalogue_id", "actor_id", "key"),
    )
    op.create_table(
        "event_confirmations",
        sa.Column("catalogue_id", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(32), primary_key=True),
        sa.Column("refusal", sa.String),
        sa.ForeignKeyConstraint(["catalogue_id", "version"], ["events.catalogue_id", "events.version"]),
    )


def _fold_names(connection: sa.Connection) -> None:
    individuals = sa.table("individuals", sa.column("id"), sa.column("name"), sa.column("name_key"))
    names = connection.execute(sa.select(individuals.c.id, individuals.c.name)).all()
    fold = sa.update(individuals).where(individuals.c.id == sa.bindparam("of")).values(name_key=sa.bindparam("fold"))
    if names:
        connection.execute(fold, [{"of": row.id, "fold": storable_key(fold_name(row.name))} for row in names])


def _record_events(connection: sa.Connection) -> None:
    actors = sa.table("actors", sa.column("id"), *(sa.column(name) for name in THE_SERVICE))
    add_actor = sa.insert(actors).returning(actors.c.id)
    actor_of = {
        kind: connection.execute(add_actor.values(actor)).scalar_one()
        for kind, actor in (("confirm", UNKNOWN_PERSON), ("import", THE_SERVICE))
    }
    rows = sa.table(
        "annotations", *map(sa.column, ("catalogue_id", "version", "origin")), sa.column("created_at", sa.DateTime)
    )
    version = sa.select(
        rows.c.catalogue_id,
        rows.c.version,
        sa.func.min(rows.c.origin).label("origin"),
        sa.func.min(rows.c.created_at).label("at"),
    )
    columns = ("catalogue_id", "version", "nonce", "kind", "actor_id")
    events = sa.table("events", *map(sa.column, columns), sa.column("at", sa.DateTime))
    headers = []
    for row in connection.execute(version.group_by(rows.c.catalogue_id, rows.c.version)):
        kind = "import" if row.origin.startswith("csv:") else "confirm"
        headers.append(
            {
                "catalogue_id": row.catalogue_id,
                "version": row.version,
                "nonce": secrets.token_hex(16),
                "kind": kind,
                "actor_id": actor_of[kind],
                "at": row.at,
            }
        )
    if headers:
        connection.execute(sa.insert(events), headers)

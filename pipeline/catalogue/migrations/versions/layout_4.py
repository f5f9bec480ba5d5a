"""Layout 4: institutions, tokens, sessions, roles and grants; whose each catalogue is, and of which species."""

import sqlalchemy as sa
from alembic import op

revision = "layout_4"
down_revision = "layout_3"

DEFAULT_INSTITUTION = "default"
"""Whose every catalogue was, before there were others."""


def upgrade() -> None:
    """Add the tables and columns; every institution that an actor names becomes a row."""
    _create_tables()
    op.add_column("catalogues", sa.Column("institution", sa.String, nullable=False, server_default=DEFAULT_INSTITUTION))
    op.add_column("catalogues", sa.Column("species", sa.String))
    connection = op.get_bind()
    actors = sa.table("actors", sa.column("institution"))
    named = set(connection.execute(sa.select(actors.c.institution).distinct()).scalars())
    institutions = sa.table("institutions", sa.column("name"))
    rows = [{"name": name} for name in sorted(named | {DEFAULT_INSTITUTION})]
    connection.execute(sa.insert(institutions), rows)


def _create_tables() -> None:
    op.create_table("institutions", sa.Column("name", sa.String, primary_key=True))
    op.create_table(
        "tokens",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id"), nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("expires", sa.DateTime),
        sa.Column("revoked", sa.DateTime),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("expires", sa.DateTime, nullable=False),
    )
    _create_given("roles", sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id"), nullable=False), "role")
    _create_given(
        "grants",
        sa.Column("institution", sa.String, sa.ForeignKey("institutions.name"), nullable=False),
        "level",
        sa.Column("place", sa.String, nullable=False),
    )


def _create_given(name: str, to: "sa.Column[int] | sa.Column[str]", right: str, *more: "sa.Column[str]") -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("catalogue_id", sa.Integer, sa.ForeignKey("catalogues.id"), nullable=False),
        to,
        sa.Column(right, sa.String, nullable=False),
        *more,
        sa.Column("given", sa.DateTime, nullable=False),
        sa.Column("given_by", sa.Integer, sa.ForeignKey("actors.id"), nullable=False),
        sa.Column("revoked", sa.DateTime),
        sa.Column("revoked_by", sa.Integer, sa.ForeignKey("actors.id")),
    )
    stands = sa.text("revoked IS NULL")
    columns = ["catalogue_id", to.name]
    op.create_index(f"{name}_standing", name, columns, unique=True, sqlite_where=stands, postgresql_where=stands)

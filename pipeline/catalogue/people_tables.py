"""The tables of people and their rights: who may do what in which catalogue of the database.

They are no catalogue's content, so they have no events: a row keeps who gave a right and who took it away, and when.
"""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from pipeline.catalogue.schema import UtcDateTime, metadata

# Actors and catalogues name theirs as text, as they did before there was this table.
institutions = Table("institutions", metadata, Column("name", String, primary_key=True))

# `sha256` (hex) is of the secret, which is shown once and kept nowhere.
tokens = Table(
    "tokens",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("actor_id", ForeignKey("actors.id"), nullable=False),
    Column("label", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime),
    Column("revoked", UtcDateTime),
)

# Of browsers: `id` is the sha256 (hex) of what the cookie holds, `token` that of the token it was opened with, which
# may be one of the settings; a session is as good as its token.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("token", String(64), nullable=False),
    Column("expires", UtcDateTime, nullable=False),
)


def _given(name: str, to: Column[int] | Column[str], right: str, *more: Column[str]) -> Table:
    """Make a table of rights over catalogues: each stands until it is revoked, and one a catalogue and owner does."""
    table = Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("catalogue_id", ForeignKey("catalogues.id"), nullable=False),
        to,
        Column(right, String, nullable=False),
        *more,
        Column("given", UtcDateTime, nullable=False),
        Column("given_by", ForeignKey("actors.id"), nullable=False),
        Column("revoked", UtcDateTime),
        Column("revoked_by", ForeignKey("actors.id")),
    )
    stands = table.c.revoked.is_(None)
    standing = (table.c.catalogue_id, table.c[to.name])
    Index(f"{name}_standing", *standing, unique=True, sqlite_where=stands, postgresql_where=stands)
    return table


roles = _given("roles", Column("actor_id", ForeignKey("actors.id"), nullable=False), "role")

# To everybody of another institution. `place`: whether they see where a photo was taken: "exact", "coarse", "none".
grants = _given(
    "grants",
    Column("institution", ForeignKey("institutions.name"), nullable=False),
    "level",
    Column("place", String, nullable=False),
)

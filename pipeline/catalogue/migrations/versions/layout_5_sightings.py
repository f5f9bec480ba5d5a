"""Layout 5: which camera took a photo, and how the times of photos are read where sightings are proposed."""

import sqlalchemy as sa
from alembic import op

revision = "layout_5_sightings"
down_revision = "layout_4_signing"


def upgrade() -> None:
    """Add the column and the table, both empty: the camera of a photo that is there already is not known."""
    op.add_column("photos", sa.Column("camera", sa.String))
    op.create_table(
        "settings",
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("catalogue_id", sa.Integer, sa.ForeignKey("catalogues.id"), primary_key=True),
        sa.Column("camera", sa.String, nullable=False),
        sa.Column("timezone", sa.String),
        sa.Column("gap_min", sa.Integer),
        sa.Column("clock_s", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("gone", sa.Integer),
        sqlite_with_rowid=False,
    )
    stands, columns = sa.text("gone IS NULL"), ["catalogue_id", "camera"]
    op.create_index("settings_standing", "settings", columns, unique=True, sqlite_where=stands, postgresql_where=stands)
    op.create_index("settings_by_camera", "settings", columns)

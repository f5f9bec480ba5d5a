"""Layout 4, its other part: the database's id, the photos of each catalogue, and the boxes of annotations."""

import sqlalchemy as sa
from alembic import op

revision = "layout_4_photos"
down_revision = "layout_4"


def upgrade() -> None:
    """Add the tables, empty: nothing was known of photos but their hashes."""
    op.create_table("database_ids", sa.Column("id", sa.String(32), primary_key=True))
    op.create_table(
        "photos",
        sa.Column("catalogue_id", sa.Integer, sa.ForeignKey("catalogues.id"), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("utc_offset_min", sa.Integer),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("name", sa.String),
        sa.Column("added", sa.DateTime, nullable=False),
        sa.Column("added_by", sa.Integer, sa.ForeignKey("actors.id"), nullable=False),
    )
    op.create_table(
        "boxes",
        sa.Column("catalogue_id", sa.Integer, sa.ForeignKey("catalogues.id"), primary_key=True),
        sa.Column("source_key", sa.String, primary_key=True),
        sa.Column("animal", sa.Integer, primary_key=True),
        sa.Column("body_part", sa.String, primary_key=True),
        sa.Column("x_min_px", sa.Float, nullable=False),
        sa.Column("y_min_px", sa.Float, nullable=False),
        sa.Column("x_max_px", sa.Float, nullable=False),
        sa.Column("y_max_px", sa.Float, nullable=False),
    )

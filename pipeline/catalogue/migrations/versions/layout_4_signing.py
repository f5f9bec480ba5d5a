"""Layout 4, its last part: the key by which matchers sign what their rankings compared."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "layout_4_signing"
down_revision = "layout_4_photos"


def upgrade() -> None:
    """Add the table and draw the key."""
    key = sa.Column("key", sa.LargeBinary, nullable=False)
    keys = op.create_table("signing_keys", sa.Column("id", sa.Integer, primary_key=True), key)
    op.bulk_insert(keys, [{"id": 1, "key": secrets.token_bytes(32)}])

"""Layout 1: the tables of the first release, which made them without Alembic; a place to start from."""

revision = "layout_1"
down_revision = None


def upgrade() -> None:
    """Do nothing: the database is marked with this revision where it is found in this layout."""

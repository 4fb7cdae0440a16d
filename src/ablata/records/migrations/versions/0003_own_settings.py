"""Runs and arms keep settings of their own, and runs say in which launch they were trained."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; without a value, settings are those recorded for the recipe's hash."""
    op.add_column("runs", sa.Column("settings", sa.Text(), nullable=True))
    op.add_column("arms", sa.Column("settings", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("launch", sa.Text(), nullable=True))

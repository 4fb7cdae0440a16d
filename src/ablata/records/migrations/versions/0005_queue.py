"""Indexes that give a worker its next run: the queue in its order, and the runs that start from another."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put the queue's index in the queue's order, and add that of the parents."""
    op.drop_index("ix_runs_queue", table_name="runs")
    op.create_index("ix_runs_queue", "runs", ["state", sa.text("priority DESC"), "number"], unique=False)
    some = sa.text("parent IS NOT NULL")
    op.create_index("ix_runs_parent", "runs", ["parent"], unique=False, sqlite_where=some, postgresql_where=some)

"""Hand-written notes: whole files, and their trials, plans and remarks in place of trials alone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for whole files and for entries of every kind, and move the trials read so far over."""
    op.create_table(
        "note_files",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("source"),
    )
    op.create_table(
        "note_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("section", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("original", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('trial', 'plan', 'remark')", name="ck_note_entries_kind"),
        sa.PrimaryKeyConstraint("id"),
    )
    columns = "source, line, section, label, settings, scores, claim, remark, original"
    rows = f"SELECT line, 'trial', {columns} FROM imported_trials ORDER BY id"
    op.execute(f"INSERT INTO note_entries (last, kind, {columns}) {rows}")
    op.drop_index("ix_imported_trials_source", "imported_trials")
    op.drop_table("imported_trials")
    op.create_index("ix_note_entries_source", "note_entries", ["source", "line"], unique=False)

"""Adds how far a program was evaluated, what its evaluator said of it, and how it did on held-out inputs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds two columns and a table."""
    op.add_column("evaluations", sa.Column("stage", sa.Integer(), nullable=False, server_default=sa.text("1")))
    op.add_column("evaluations", sa.Column("feedback", sa.Text()))
    op.create_table(
        "heldout",
        sa.Column("run", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("program", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run", "program"], ["evaluations.run", "evaluations.program"]),
    )

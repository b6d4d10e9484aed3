"""Adds the totals of each run, counted from what is there."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

OWN = "duplicate_of IS NULL AND body IS NOT NULL"
"""Which evaluations the sandbox was asked for."""


def upgrade() -> None:
    """Adds a table and fills it."""
    op.create_table(
        "totals",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("prompts", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("evaluated", sa.Integer(), nullable=False),
        sa.Column("valid", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
    )

    def of(table: str, what: str, where: str = "") -> str:
        return f"(SELECT {what} FROM {table} WHERE {table}.run = runs.id AND {table}.prompt >= 0 {where})"

    columns = (
        of("prompts", "count(*)"),
        of("samples", "count(*)"),
        of("samples", "coalesce(sum(tokens), 0)"),
        of("evaluations", "count(*)", f"AND {OWN}"),
        of("evaluations", "count(*)", f"AND {OWN} AND status = 'OK'"),
        of("evaluations", "count(duplicate_of)"),
    )
    op.execute(f"INSERT INTO totals SELECT runs.id, {', '.join(columns)} FROM runs")

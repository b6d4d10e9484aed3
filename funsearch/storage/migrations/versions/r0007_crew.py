"""Adds how many samplers and evaluators were at work when a snapshot was taken; of before that is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds two columns."""
    for name in ("samplers", "evaluators"):
        op.add_column("snapshots", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))

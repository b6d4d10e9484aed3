"""Has the index that finds the best programs hold their order among equals, too: of many it need not read them all."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

SCORED = sa.text("score IS NOT NULL AND duplicate_of IS NULL")


def upgrade() -> None:
    """Puts one index in the place of another."""
    op.drop_index("evaluations_by_run_score", "evaluations")
    columns: list[str | sa.TextClause] = ["run", sa.text("score DESC"), "program"]
    op.create_index(
        "evaluations_by_run_score_program", "evaluations", columns, sqlite_where=SCORED, postgresql_where=SCORED
    )

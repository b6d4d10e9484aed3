"""Creates the tables of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SCORED = sa.text("score IS NOT NULL AND duplicate_of IS NULL")


def upgrade() -> None:
    """Creates all tables."""
    create_runs()
    create_prompts_and_samples()
    create_evaluations()


def create_runs() -> None:
    """Creates what belongs to a run as a whole."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sandbox", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("specification", sa.Text(), nullable=False),
        sa.Column("evaluator", sa.Text(), nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
    )
    op.create_table(
        "resets",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("reset", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("after_evaluations", sa.Integer(), nullable=False),
        sa.Column("islands", sa.Text(), nullable=False),
        sa.Column("founders", sa.Text(), nullable=False),
    )


def create_prompts_and_samples() -> None:
    """Creates what passes between engine and model."""
    op.create_table(
        "prompts",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("prompt", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("island", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("after_evaluations", sa.Integer(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_table(
        "samples",
        sa.Column("run", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("prompt", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("sample", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("model", sa.Integer(), sa.ForeignKey("models.id"), nullable=False),
        sa.Column("finish_reason", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run", "prompt"], ["prompts.run", "prompts.prompt"]),
    )


def create_evaluations() -> None:
    """Creates the evaluations, and the index that finds the best of them."""
    op.create_table(
        "evaluations",
        sa.Column("run", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("program", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("duplicate_of", sa.Integer()),
        sa.Column("score", sa.Double()),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("sandbox", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("preamble", sa.Text()),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run", "prompt", "sample"], ["samples.run", "samples.prompt", "samples.sample"]),
    )
    op.create_index("evaluations_by_run_prompt_sample", "evaluations", ["run", "prompt", "sample"], unique=True)
    op.create_index(
        "evaluations_by_run_score", "evaluations", ["run", "score"], sqlite_where=SCORED, postgresql_where=SCORED
    )

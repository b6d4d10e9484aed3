"""Creates the tables of the first release."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = None

SCORED = sa.text("score IS NOT NULL AND duplicate_of IS NULL")
ANSWER = ["training", "round", "phase", "task", "answer"]


def upgrade() -> None:
    """Creates all tables and indexes."""
    create_runs()
    create_prompts_and_samples()
    create_evaluations()
    create_snapshots()
    create_trainings()
    create_answers()
    create_rounds()


def create_runs() -> None:
    """Creates the tables of runs as a whole."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        text("name", unique=True),
        text("problem"),
        text("state"),
        text("stopped", server_default=""),
        text("sandbox"),
        number("created", sa.Double()),
        text("settings"),
        text("specification"),
        text("evaluator"),
    )
    op.create_table("models", sa.Column("id", sa.Integer(), primary_key=True), text("name", unique=True))
    op.create_table(
        "totals",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        number("prompts"),
        number("samples"),
        number("tokens", sa.BigInteger()),
        number("evaluated"),
        number("valid"),
        number("duplicates"),
    )


def create_prompts_and_samples() -> None:
    """Creates the tables of prompts and their completions."""
    op.create_table(
        "prompts",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        key("prompt"),
        number("island"),
        number("resets"),
        number("version"),
        number("after_evaluations"),
        text("parents"),
        text("text"),
    )
    op.create_table(
        "samples",
        key("run"),
        key("prompt"),
        key("sample"),
        sa.Column("model", sa.Integer(), sa.ForeignKey("models.id"), nullable=False),
        text("finish_reason"),
        number("prompt_tokens"),
        number("tokens"),
        text("text"),
        sa.ForeignKeyConstraint(["run", "prompt"], ["prompts.run", "prompts.prompt"]),
    )


def create_evaluations() -> None:
    """Creates the table of evaluations with the index that ranks them, and the table of held-out results."""
    op.create_table(
        "evaluations",
        key("run"),
        key("program"),
        number("prompt"),
        number("sample"),
        text("status"),
        sa.Column("duplicate_of", sa.Integer()),
        sa.Column("score", sa.Double()),
        number("stage"),
        text("key"),
        text("scores"),
        number("seconds", sa.Double()),
        text("sandbox"),
        sa.Column("body", sa.Text()),
        sa.Column("preamble", sa.Text()),
        text("error"),
        text("output"),
        sa.Column("feedback", sa.Text()),
        sa.ForeignKeyConstraint(["run", "prompt", "sample"], ["samples.run", "samples.prompt", "samples.sample"]),
    )
    op.create_index("evaluations_by_run_prompt_sample", "evaluations", ["run", "prompt", "sample"], unique=True)
    ranking: list[str | sa.TextClause] = ["run", sa.text("score DESC"), "program"]
    op.create_index(
        "evaluations_by_run_score_program", "evaluations", ranking, sqlite_where=SCORED, postgresql_where=SCORED
    )
    op.create_table(
        "heldout",
        key("run"),
        key("program"),
        text("status"),
        text("scores"),
        text("error"),
        sa.ForeignKeyConstraint(["run", "program"], ["evaluations.run", "evaluations.program"]),
    )


def create_snapshots() -> None:
    """Creates the tables of resets and snapshots."""
    op.create_table(
        "resets",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        key("reset"),
        number("after_evaluations"),
        text("islands"),
        text("founders"),
    )
    op.create_table(
        "snapshots",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id"), primary_key=True),
        key("evaluations"),
        number("at", sa.Double()),
        number("seconds", sa.Double()),
        number("prompts"),
        number("samples"),
        number("evaluated"),
        number("valid"),
        number("duplicates"),
        number("registered"),
        number("tokens", sa.BigInteger()),
        sa.Column("best_score", sa.Double()),
        number("sampling"),
        number("evaluating"),
        number("samplers"),
        number("evaluators"),
        text("statuses"),
        text("usage"),
        text("islands"),
    )


def create_trainings() -> None:
    """Creates the tables of trainings as a whole."""
    op.create_table(
        "trainings",
        sa.Column("id", sa.Integer(), primary_key=True),
        text("name", unique=True),
        text("state"),
        text("stopped", server_default=""),
        number("created", sa.Double()),
        text("tasks"),
        text("model"),
        text("settings"),
    )
    op.create_table(
        "training_tasks",
        sa.Column("training", sa.Integer(), sa.ForeignKey("trainings.id"), primary_key=True),
        key("task"),
        text("split"),
        text("family"),
        text("key"),
        text("prompt"),
        text("reference"),
    )
    op.create_table(
        "policies",
        sa.Column("training", sa.Integer(), sa.ForeignKey("trainings.id"), primary_key=True),
        key("round"),
        text("kind"),
        text("name"),
        text("base"),
        text("folder"),
        text("figures"),
    )


def create_answers() -> None:
    """Creates the tables of answers and their grades."""
    op.create_table(
        "answers",
        *answer_key(),
        sa.Column("policy", sa.Integer(), sa.ForeignKey("models.id"), nullable=False),
        number("prompt_tokens"),
        number("tokens"),
        text("finish_reason"),
        text("ending"),
        text("text"),
        sa.ForeignKeyConstraint(["training", "task"], ["training_tasks.training", "training_tasks.task"]),
    )
    op.create_table(
        "grades",
        *answer_key(),
        number("reward", sa.Double()),
        number("seconds", sa.Double()),
        text("keys"),
        text("value"),
        text("error"),
        sa.ForeignKeyConstraint(ANSWER, [f"answers.{name}" for name in ANSWER]),
    )


def create_rounds() -> None:
    """Creates the tables of the answers that a round selected and of how it ended."""
    op.create_table(
        "selections",
        sa.Column("training", sa.Integer(), sa.ForeignKey("trainings.id"), primary_key=True),
        key("round"),
        key("task"),
        key("answer"),
        sa.Column("rejected", sa.Integer()),
    )
    op.create_table(
        "rounds",
        key("training"),
        key("round"),
        number("samples"),
        number("correct"),
        number("selected"),
        sa.Column("published", sa.Boolean(), nullable=False),
        text("stop"),
        text("policy"),
        text("reason"),
        text("figures"),
        sa.Column("gain", sa.Text()),
        sa.ForeignKeyConstraint(["training", "round"], ["policies.training", "policies.round"]),
    )


def key(name: str) -> sa.Column[Any]:
    """Returns an integer column of the primary key."""
    return sa.Column(name, sa.Integer(), primary_key=True, autoincrement=False)


def answer_key() -> list[sa.Column[Any]]:
    """Returns the columns that identify an answer."""
    return [sa.Column(name, sa.Text(), primary_key=True) if name == "phase" else key(name) for name in ANSWER]


def text(name: str, *, unique: bool | None = None, server_default: str | None = None) -> sa.Column[Any]:
    """Returns a text column that is never NULL."""
    return sa.Column(name, sa.Text(), nullable=False, unique=unique, server_default=server_default)


def number(name: str, kind: sa.types.TypeEngine[Any] | None = None) -> sa.Column[Any]:
    """Returns a column of numbers, of integers by default, that is never NULL."""
    return sa.Column(name, kind or sa.Integer(), nullable=False)

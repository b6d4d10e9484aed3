"""Creates the tables of trainings (ReST^EM)."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ANSWER = ["training", "round", "phase", "task", "answer"]


def upgrade() -> None:
    """Creates them."""
    create_trainings()
    create_answers()
    create_rounds()


def create_trainings() -> None:
    """Creates what a training starts with."""
    op.create_table(
        "trainings",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("tasks", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
    )
    op.create_table(
        "training_tasks",
        sa.Column("training", sa.Integer(), sa.ForeignKey("trainings.id"), primary_key=True),
        sa.Column("task", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("training", sa.Integer(), sa.ForeignKey("trainings.id"), primary_key=True),
        sa.Column("round", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
    )


def create_answers() -> None:
    """Creates the answers and their grades."""
    op.create_table(
        "answers",
        *answer_key(),
        sa.Column("policy", sa.Integer(), sa.ForeignKey("models.id"), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("finish_reason", sa.Text(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["training", "task"], ["training_tasks.training", "training_tasks.task"]),
    )
    op.create_table(
        "grades",
        *answer_key(),
        sa.Column("reward", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(ANSWER, [f"answers.{name}" for name in ANSWER]),
    )


def create_rounds() -> None:
    """Creates what a round chose, and how it ended."""
    op.create_table(
        "selections",
        sa.Column("training", sa.Integer(), sa.ForeignKey("trainings.id"), primary_key=True),
        sa.Column("round", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("task", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("answer", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("rejected", sa.Integer()),
    )
    op.create_table(
        "rounds",
        sa.Column("training", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("round", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("correct", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Integer(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("stop", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.Column("gain", sa.Text()),
        sa.ForeignKeyConstraint(["training", "round"], ["policies.training", "policies.round"]),
    )


def answer_key() -> list[sa.Column[Any]]:
    """Returns the columns that tell answers apart."""
    return [
        sa.Column(name, sa.Text() if name == "phase" else sa.Integer(), primary_key=True, autoincrement=False)
        for name in ANSWER
    ]

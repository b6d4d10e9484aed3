"""The tables of trainings. Rows are added and never changed, except for `trainings.state` and `trainings.stopped`.

As in `funsearch.storage.tables`, texts come last in a row. Knows nothing about records.
"""

from sqlalchemy import Boolean, Column, Double, ForeignKey, ForeignKeyConstraint, Integer, Table, Text

from funsearch.storage.columns import ExactText, Json
from funsearch.storage.tables import metadata, models

trainings = Table(
    "trainings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", ExactText, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("stopped", Text, nullable=False, server_default=""),
    Column("created", Double, nullable=False),
    Column("tasks", ExactText, nullable=False),
    Column("model", ExactText, nullable=False),
    Column("settings", Json, nullable=False),
)

training_tasks = Table(
    "training_tasks",
    metadata,
    Column("training", ForeignKey(trainings.c.id), primary_key=True),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("split", Text, nullable=False),
    Column("family", ExactText, nullable=False),
    Column("key", ExactText, nullable=False),
    Column("prompt", ExactText, nullable=False),
    Column("reference", Json, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("training", ForeignKey(trainings.c.id), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("name", ExactText, nullable=False),
    Column("base", ExactText, nullable=False),
    Column("folder", ExactText, nullable=False),
    Column("figures", Json, nullable=False),
)

answers = Table(
    "answers",
    metadata,
    Column("training", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("phase", Text, primary_key=True),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("answer", Integer, primary_key=True, autoincrement=False),
    Column("policy", ForeignKey(models.c.id), nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("finish_reason", ExactText, nullable=False),
    Column("ending", ExactText, nullable=False),
    Column("text", ExactText, nullable=False),
    ForeignKeyConstraint(["training", "task"], [training_tasks.c.training, training_tasks.c.task]),
)

_ANSWER = ("training", "round", "phase", "task", "answer")

grades = Table(
    "grades",
    metadata,
    Column("training", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("phase", Text, primary_key=True),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("answer", Integer, primary_key=True, autoincrement=False),
    Column("reward", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("keys", Json, nullable=False),
    Column("value", ExactText, nullable=False),
    Column("error", ExactText, nullable=False),
    ForeignKeyConstraint(_ANSWER, [answers.c[name] for name in _ANSWER]),
)

selections = Table(
    "selections",
    metadata,
    Column("training", ForeignKey(trainings.c.id), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("answer", Integer, primary_key=True, autoincrement=False),
    Column("rejected", Integer),
)

rounds = Table(
    "rounds",
    metadata,
    Column("training", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("samples", Integer, nullable=False),
    Column("correct", Integer, nullable=False),
    Column("selected", Integer, nullable=False),
    Column("published", Boolean, nullable=False),
    Column("stop", Text, nullable=False),
    Column("policy", ExactText, nullable=False),
    Column("reason", ExactText, nullable=False),
    Column("figures", Json, nullable=False),
    Column("gain", Json),
    ForeignKeyConstraint(["training", "round"], [policies.c.training, policies.c.round]),
)

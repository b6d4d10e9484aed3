"""The tables of runs. Rows are added and never changed, except for `runs.state`, `runs.stopped` and `totals`.

In a row, small columns come first and texts last, so that counting and sorting skip the texts. Knows nothing about
records, nor about how the tables are created (see `funsearch.storage.schema`).
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
)

from funsearch.storage.columns import ExactText, Json

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_N_name)s",
        "uq": "%(table_name)s_unique_%(column_0_N_name)s",
        "fk": "%(table_name)s_to_%(referred_table_name)s_by_%(column_0_N_name)s",
        "pk": "%(table_name)s_key",
    }
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", ExactText, nullable=False, unique=True),
    Column("problem", ExactText, nullable=False),
    Column("state", Text, nullable=False),
    Column("stopped", Text, nullable=False, server_default=""),
    Column("sandbox", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("settings", Json, nullable=False),
    Column("specification", ExactText, nullable=False),
    Column("evaluator", ExactText, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", ExactText, nullable=False, unique=True),
)

prompts = Table(
    "prompts",
    metadata,
    Column("run", ForeignKey(runs.c.id), primary_key=True),
    Column("prompt", Integer, primary_key=True, autoincrement=False),
    Column("island", Integer, nullable=False),
    Column("resets", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("after_evaluations", Integer, nullable=False),
    Column("parents", Json, nullable=False),
    Column("text", ExactText, nullable=False),
)

samples = Table(
    "samples",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("prompt", Integer, primary_key=True, autoincrement=False),
    Column("sample", Integer, primary_key=True, autoincrement=False),
    Column("model", ForeignKey(models.c.id), nullable=False),
    Column("finish_reason", ExactText, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("text", ExactText, nullable=False),
    ForeignKeyConstraint(["run", "prompt"], [prompts.c.run, prompts.c.prompt]),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("program", Integer, primary_key=True, autoincrement=False),
    Column("prompt", Integer, nullable=False),
    Column("sample", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("duplicate_of", Integer),
    Column("score", Double),
    Column("stage", Integer, nullable=False),
    Column("key", ExactText, nullable=False),
    Column("scores", Json, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("sandbox", Text, nullable=False),
    Column("body", ExactText),
    Column("preamble", ExactText),
    Column("error", ExactText, nullable=False),
    Column("output", ExactText, nullable=False),
    Column("feedback", Json),
    ForeignKeyConstraint(["run", "prompt", "sample"], [samples.c.run, samples.c.prompt, samples.c.sample]),
)

scored = and_(evaluations.c.score.is_not(None), evaluations.c.duplicate_of.is_(None))
"""The condition of the evaluations that are ranked: they have a score and are not duplicates."""
Index(None, evaluations.c.run, evaluations.c.prompt, evaluations.c.sample, unique=True)
Index(
    "evaluations_by_run_score_program",
    evaluations.c.run,
    evaluations.c.score.desc(),
    evaluations.c.program,
    sqlite_where=scored,
    postgresql_where=scored,
)

resets = Table(
    "resets",
    metadata,
    Column("run", ForeignKey(runs.c.id), primary_key=True),
    Column("reset", Integer, primary_key=True, autoincrement=False),
    Column("after_evaluations", Integer, nullable=False),
    Column("islands", Json, nullable=False),
    Column("founders", Json, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("run", ForeignKey(runs.c.id), primary_key=True),
    Column("evaluations", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("prompts", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("evaluated", Integer, nullable=False),
    Column("valid", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("registered", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("best_score", Double),
    Column("sampling", Integer, nullable=False),
    Column("evaluating", Integer, nullable=False),
    Column("samplers", Integer, nullable=False),
    Column("evaluators", Integer, nullable=False),
    Column("statuses", Json, nullable=False),
    Column("usage", Json, nullable=False),
    Column("islands", Json, nullable=False),
)

heldout = Table(
    "heldout",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("program", Integer, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("scores", Json, nullable=False),
    Column("error", ExactText, nullable=False),
    ForeignKeyConstraint(["run", "program"], [evaluations.c.run, evaluations.c.program]),
)

totals = Table(
    "totals",
    metadata,
    Column("run", ForeignKey(runs.c.id), primary_key=True),
    Column("prompts", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("evaluated", Integer, nullable=False),
    Column("valid", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
)
"""Counts of `Tally`, updated in the transactions that add the rows: counting a million rows takes seconds."""

"""Converts a database that was written before the first release, at schema revision 0007.

Delete this module, its call in `funsearch.storage.schema` and its test some time after the first release.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, column, select, table, text, update

from funsearch.storage.columns import Json
from funsearch.storage.migrations import FIRST_RELEASE, VERSION_TABLE

PRERELEASE = "0007"
"""The only revision before the first release that can be converted."""

_STATEMENTS = (
    "ALTER TABLE prompts RENAME COLUMN generation TO resets",
    """UPDATE snapshots SET islands = replace(islands, '"generation":', '"resets":')""",
    "ALTER TABLE snapshots RENAME COLUMN asking TO sampling",
    "ALTER TABLE snapshots ADD COLUMN prompts INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE snapshots ADD COLUMN registered INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE snapshots ADD COLUMN tokens BIGINT DEFAULT 0 NOT NULL",
    "UPDATE training_tasks SET split = 'heldout' WHERE split = 'held'",
    """UPDATE rounds SET figures = replace(replace(replace(figures,
       '"held":', '"heldout":'), '"pass_k":', '"pass_at_k":'), '"majority_k":', '"majority_at_k":')""",
)
"""Renames. Where keys of JSON objects are replaced in their text, the objects hold numbers and names of fields only."""
_STATES = (
    "ALTER TABLE {table} ADD COLUMN stopped TEXT DEFAULT '' NOT NULL",
    "UPDATE {table} SET stopped = state WHERE state NOT IN ('running', 'failed')",
    "UPDATE {table} SET state = 'finished' WHERE state NOT IN ('running', 'failed', 'interrupted')",
)
"""For runs and trainings, whose state used to be the reason why they stopped."""
_SETTINGS = {
    ("tasks", "held"): "heldout",
    ("gate", "pass_one"): "pass_at_1",
    ("trainer", "accumulate"): "gradient_accumulation_steps",
}
"""New names of settings of a training, by section and old name; a run has them in its section `train`."""


def convert(connection: Connection) -> None:
    """Converts the database to the schema of the first release, in the transaction that the caller opened."""
    for statement in _STATEMENTS:
        connection.execute(text(statement))
    for name in ("runs", "trainings"):
        for statement in _STATES:
            connection.execute(text(statement.format(table=name)))
        _convert_settings(connection, name)
    connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{FIRST_RELEASE}'"))


def _convert_settings(connection: Connection, name: str) -> None:
    rows = table(name, column("id"), column("settings", Json))
    for id, settings in connection.execute(select(rows.c.id, rows.c.settings)).all():
        converted = _renamed(settings)
        if name == "runs" and "train" in settings:
            converted = {**settings, "train": _renamed(settings["train"])}
        connection.execute(update(rows).where(rows.c.id == id).values(settings=converted))


def _renamed(settings: Mapping[str, object]) -> dict[str, object]:
    """Returns the settings of a training with their new names, in the same order."""
    return {
        section: {_SETTINGS.get((section, key), key): value for key, value in values.items()}
        if isinstance(values, Mapping)
        else values
        for section, values in settings.items()
    }

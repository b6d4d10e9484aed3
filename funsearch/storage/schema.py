"""Sees to it that a database has the tables this version of funsearch works with.

Knows nothing about what is in them.
"""

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from funsearch.errors import StorageError
from funsearch.storage.migrations import HEAD, VERSION_TABLE

MIGRATION_LOCK = 0x66756E73
"""Key of the PostgreSQL advisory lock under which the schema is changed."""


def ensure_schema(engine: Engine, label: str, create: bool) -> None:
    """Creates the tables or brings them up to date; does nothing when they are, which is all it does in most cases.

    Raises:
        StorageError: the database is of a newer funsearch or of another program, or is empty and `create` is false.
    """
    with engine.connect() as connection:
        revision = _revision(connection)
        foreign = revision is None and engine.dialect.name == "sqlite" and inspect(connection).get_table_names()
    if revision == HEAD:
        return
    if foreign:
        raise StorageError(f"{label} is the database of another program: name another file with --db.")
    if revision is None and not create:
        raise StorageError(no_database(label))
    if revision is not None and revision > HEAD:
        raise StorageError(
            f"{label} has schema revision {revision}, this funsearch knows up to {HEAD}: upgrade funsearch."
        )
    _upgrade(engine)


def no_database(label: str) -> str:
    """Returns what a reader is told when there is nothing to read."""
    return f"no database at {label}: start a run with `funsearch run`, or name one with --db."


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return revision


def _upgrade(engine: Engine) -> None:
    # Alembic takes longer to import than everything else here, and is needed once in the life of a database.
    from alembic import command
    from alembic.config import Config

    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        # Another process may have been faster; it held the lock meanwhile.
        if _revision(connection) == HEAD:
            return
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "funsearch.storage:migrations")
        command.upgrade(config, "head")

"""Brings the tables of a database to the schema that this version of funsearch works with.

Knows nothing about what the tables hold.
"""

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from funsearch.errors import StorageError
from funsearch.storage import training_tables  # noqa: F401  (adds its tables to the metadata)
from funsearch.storage.migrations import FIRST_RELEASE, HEAD, VERSION_TABLE
from funsearch.storage.prerelease import PRERELEASE, convert
from funsearch.storage.tables import metadata

SCHEMA_LOCK = 0x66756E73
"""Key of the PostgreSQL advisory lock under which the schema is changed."""
_VERSION_DDL = f"""CREATE TABLE {VERSION_TABLE} (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)
)"""
"""The table in which Alembic keeps the revision, as it creates it."""


def ensure_schema(engine: Engine, label: str, create: bool) -> None:
    """Creates the tables or upgrades them to the current revision; usually finds that there is nothing to do.

    Args:
        engine: opens connections to the database.
        label: what messages call the database.
        create: whether to create the tables of an empty database.

    Raises:
        StorageError: the database is of a version that cannot be upgraded or of another program, or it is empty and
            `create` is false.
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
            f"{label} was written by a newer version of funsearch (schema revision {revision}; this version supports "
            f"up to {HEAD}): upgrade funsearch."
        )
    if revision is not None and revision < PRERELEASE:
        raise StorageError(
            f"{label} was written by a version of funsearch before the first release (schema revision {revision}) that "
            "can no longer be converted: name another database with --db."
        )
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK})
        _upgrade(connection)


def no_database(label: str) -> str:
    """Returns the message for a reader of a database that does not exist."""
    return f"no database at {label}: start a run with `funsearch run`, or name a database with --db."


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return revision


def _upgrade(connection: Connection) -> None:
    # Read again: another process may have upgraded the database while this one waited for the lock.
    revision = _revision(connection)
    if revision == PRERELEASE:
        convert(connection)
        revision = FIRST_RELEASE
    if revision is None:
        create_tables(connection)
    elif revision != HEAD:
        migrate(connection)


def create_tables(connection: Connection) -> None:
    """Creates the tables of an empty database without Alembic, which takes longer to import than all of this does."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text(_VERSION_DDL))
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:revision)"), {"revision": HEAD})


def migrate(connection: Connection) -> None:
    """Runs the migrations from the revision of the database to the newest; on an empty database, all of them."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "funsearch.storage:migrations")
    command.upgrade(config, "head")

"""The migrations create the tables that the code works with, and other databases are refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from funsearch.errors import StorageError
from funsearch.storage import SqlStorage, open_storage
from funsearch.storage.migrations import HEAD, VERSION_TABLE
from funsearch.storage.schema import migrate
from funsearch.storage.tables import metadata


def test_migrations_end_at_the_revision_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", "funsearch.storage:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_of_an_empty_database_create_the_tables_of_the_code(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection)
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    open_storage(url).close()


def test_migrations_create_the_tables_of_a_new_sqlite_database_word_for_word(tmp_path: Path) -> None:
    def definitions(path: Path) -> dict[str, str]:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {name: " ".join(sql.split()).replace("( ", "(").replace(" )", ")") for name, sql in rows}

    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()
    open_storage(str(tmp_path / "created.db")).close()
    assert definitions(tmp_path / "created.db") == definitions(tmp_path / "migrated.db")


def test_a_new_database_has_the_newest_revision(url: str) -> None:
    storage = open_storage(url)
    with storage.engine.connect() as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == HEAD
    storage.close()


def set_revision(storage: SqlStorage, revision: str) -> None:
    with storage.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("9876", rf"newer version of funsearch \(schema revision 9876; .* up to {HEAD}\): upgrade funsearch"),
        ("0006", r"before the first release \(schema revision 0006\) .*: name another database with --db"),
    ],
)
def test_a_database_of_an_unsupported_revision_is_refused(url: str, revision: str, message: str) -> None:
    storage = open_storage(url)
    set_revision(storage, revision)
    storage.close()
    for create in (True, False):
        with pytest.raises(StorageError, match=message):
            open_storage(url, create)


def test_a_reader_of_an_empty_database_is_told_what_to_do(url: str) -> None:
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).touch()
    with pytest.raises(StorageError, match="no database at"):
        open_storage(url, create=False)

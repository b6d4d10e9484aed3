"""Migrations lead to the tables the code works with."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from funsearch.errors import StorageError
from funsearch.storage import open_storage
from funsearch.storage.migrations import HEAD, VERSION_TABLE
from funsearch.storage.tables import metadata


def test_migrations_end_at_the_revision_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", "funsearch.storage:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_from_nothing_give_the_tables_of_the_code(url: str) -> None:
    storage = open_storage(url)
    with storage.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    storage.close()


def test_migrations_give_sqlite_word_for_word_what_the_tables_say(tmp_path: Path) -> None:
    def definitions(path: Path) -> dict[str, list[str]]:
        connection = sqlite3.connect(path)
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != ?"
        # A column that was added later stands at the end.
        found = {
            name: sorted(" ".join(sql.split()).rstrip(" )").split(", "))
            for name, sql in connection.execute(query, [VERSION_TABLE])
        }
        connection.close()
        return found

    open_storage(str(tmp_path / "migrated.db")).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert definitions(tmp_path / "migrated.db") == definitions(tmp_path / "created.db")


def test_a_database_of_a_newer_funsearch_is_refused(url: str) -> None:
    storage = open_storage(url)
    with storage.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9876'"))
    storage.close()
    for create in (True, False):
        with pytest.raises(StorageError, match=rf"revision 9876, this funsearch knows up to {HEAD}: upgrade"):
            open_storage(url, create)


def test_a_reader_is_told_that_a_schema_is_empty(url: str) -> None:
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).touch()
    with pytest.raises(StorageError, match="no database at"):
        open_storage(url, create=False)


def test_totals_of_an_older_database_are_counted(url: str, make) -> None:
    storage = open_storage(url)
    storage.create_run(make.run())
    storage.create_run(make.run("empty"))
    storage.append("demo", [*make.judged(0), *make.judged(1, None), *make.judged(2, duplicate_of=0), make.prompt(3)])
    counts = storage.counts("demo")
    with storage.engine.begin() as connection:
        connection.execute(text("DROP TABLE totals"))
        for column in ("samplers", "evaluators"):
            connection.execute(text(f"ALTER TABLE snapshots DROP COLUMN {column}"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0005'"))
    storage.close()
    again = open_storage(url)
    assert again.counts("demo") == counts
    assert (counts.prompts, counts.samples, counts.evaluated, counts.valid, counts.duplicates) == (4, 3, 2, 1, 1)
    assert again.counts("empty").samples == 0
    again.close()

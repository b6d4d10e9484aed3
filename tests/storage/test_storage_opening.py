"""Opening a database: which URLs are accepted, and the messages when it cannot be opened."""

import os
import socket
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from funsearch.errors import StorageError
from funsearch.storage import open_storage

not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite+pysqlite:///{}", "{}"])
def test_a_file_is_opened_by_url_or_path(tmp_path: Path, make, form: str) -> None:
    path = tmp_path / "runs.db"
    for _ in range(2):
        storage = open_storage(form.format(path))
        storage.close()
    storage = open_storage(str(path), create=False)
    storage.create_run(make.run())
    assert storage.run("demo") == make.run()
    storage.close()


def test_a_relative_path_is_resolved_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_storage("here.db").close()
    open_storage("sqlite:///there.db").close()
    assert {"here.db", "there.db"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_keeps_its_leases_in_the_process(url: str, make) -> None:
    storage = open_storage(url)
    storage.create_run(make.run())
    with storage.lease("demo"), pytest.raises(StorageError, match="is being written by process"):
        storage.lease("demo").__enter__()
    storage.append("demo", make.evaluated(0))
    assert len(list(storage.evaluations("demo"))) == 1
    storage.close()


def test_databases_in_memory_are_independent_and_threads_share_one(make) -> None:
    storage, other = open_storage("sqlite://"), open_storage("sqlite://")
    storage.create_run(make.run())

    def write(index: int) -> None:
        storage.append("demo", make.evaluated(index))
        assert storage.counts("demo").samples > 0

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(100)))
    assert storage.counts("demo").samples == 100
    assert other.runs() == []
    storage.close()
    other.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_reader_of_a_database_in_memory_finds_none(url: str) -> None:
    with pytest.raises(StorageError, match="no database at :memory:"):
        open_storage(url, create=False)


def test_a_reader_of_a_missing_database_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "funsearch.db"
    message = r"no database at .*funsearch.db: start a run with `funsearch run`, or name a database with --db"
    with pytest.raises(StorageError, match=message):
        open_storage(f"sqlite:///{path}", create=False)
    assert not path.exists()
    path.touch()
    with pytest.raises(StorageError, match=message):
        open_storage(f"sqlite:///{path}", create=False)


@pytest.mark.parametrize("url", ["mysql://root:hunter2@db/x", "runs", "oracle+x:y", "sqlite", "postgresql://h:port/x"])
def test_an_unknown_url_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="is not the URL of a database") as error:
        open_storage(url)
    assert "hunter2" not in str(error.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"pip install funsearch\[postgres\]"):
        open_storage("postgresql://user@localhost/name")


def test_an_unreachable_server_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(StorageError, match=rf"127.0.0.1:{port}/name: .*is the server running") as error:
            open_storage(f"postgresql://user:hunter2@127.0.0.1:{port}/name")
    assert "hunter2" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"There is no folder .*missing for the database runs.db: create it"):
        open_storage(str(tmp_path / "missing" / "runs.db"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.db").mkdir()
    with pytest.raises(StorageError, match="is a folder"):
        open_storage(str(tmp_path / "runs.db"))


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("My diary, " * 200)
    with pytest.raises(StorageError, match=r"notes.db: it is not a database: name another file with --db"):
        open_storage(str(path))
    assert path.read_text() == "My diary, " * 200


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (id)")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match=r"other.db is the database of another program"):
        open_storage(str(path))


@not_root
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_without_permission_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "runs.db"
    open_storage(str(path)).close()
    path.chmod(mode)
    with pytest.raises(StorageError, match=r"You do not have permission to read and write .*runs.db"):
        open_storage(str(path))


@not_root
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StorageError, match=r"You do not have permission to read and write .*closed"):
        open_storage(str(folder / "runs.db"))


def test_a_locked_database_is_named(tmp_path: Path, make) -> None:
    path = tmp_path / "runs.db"
    storage = open_storage(f"sqlite:///{path}?timeout=0")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="another process keeps it locked: wait for that process"):
        storage.create_run(make.run())
    other.close()
    storage.create_run(make.run())
    storage.close()


def test_a_full_disk_loses_no_committed_data(tmp_path: Path, make) -> None:
    storage = open_storage(str(tmp_path / "runs.db"))
    storage.create_run(make.run())
    storage.append("demo", make.evaluated(0))

    def limit(pages: int) -> None:
        with storage.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit(1)
    large = make.evaluated(1, output="x" * 100_000)
    with pytest.raises(StorageError, match="the disk is full and this step was not written: free some space"):
        storage.append("demo", large)
    assert list(storage.evaluations("demo")) == [make.evaluated(0)[2]]
    assert [prompt.index for prompt in storage.prompts("demo")] == [0]
    limit(1_000_000)
    storage.append("demo", large)
    assert storage.program("demo", 1) == large[2]
    storage.close()

"""A database that becomes unavailable for a while: events are written exactly once, and the lease is taken again."""

from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from funsearch.errors import RunBusyError, StorageUnavailable
from funsearch.storage import SqlStorage, open_storage
from funsearch.testing.postgres import PostgresServer


def programs(storage: SqlStorage) -> list[int]:
    return [evaluation.sample.prompt.index for evaluation in storage.evaluations("demo")]


def test_writing_resumes_when_the_server_is_available_again(postgres_server: PostgresServer, make) -> None:
    storage = open_storage(postgres_server.url)
    storage.create_run(make.run())
    with storage.lease("demo"):
        storage.append("demo", make.evaluated(0))
        postgres_server.stop()
        events = make.evaluated(1)
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match=r"is the server running|closed the connection"):
                storage.append("demo", events)
        postgres_server.start()
        storage.append("demo", [*events, *make.evaluated(2)])
        assert programs(storage) == [0, 1, 2]
        assert storage.runs()[0].state == "starting"
    storage.close()


def test_commit_whose_confirmation_was_lost_is_not_repeated(postgres_server: PostgresServer, make) -> None:
    storage = open_storage(postgres_server.url)
    storage.create_run(make.run())
    psycopg = pytest.importorskip("psycopg")

    def crash(connection) -> None:  # type: ignore[no-untyped-def]
        server = connection.connection.dbapi_connection
        server.commit()
        server.close()
        connection.invalidate()
        raise OperationalError("COMMIT", None, psycopg.OperationalError("server closed the connection"))

    with storage.lease("demo"):
        event.listen(storage.engine, "commit", crash)
        with pytest.raises(StorageUnavailable):
            storage.append("demo", events := make.evaluated(0))
        event.remove(storage.engine, "commit", crash)
        storage.append("demo", [*events, *make.evaluated(1)])
        assert programs(storage) == [0, 1]
    storage.close()


def test_writer_that_lost_its_lease_to_another_writes_nothing(postgres_server: PostgresServer, make) -> None:
    storage, other = open_storage(postgres_server.url), open_storage(postgres_server.url)
    storage.create_run(make.run())
    with storage.lease("demo"):
        storage.append("demo", make.evaluated(0))
        lease = key(storage)
        with other.engine.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
            )
            connection.execute(text("SET application_name = 'another holder'"))
            connection.execute(text("SELECT pg_advisory_lock(:space, :run)"), lease)
            with pytest.raises(StorageUnavailable):
                storage.append("demo", events := make.evaluated(1))
            with pytest.raises(RunBusyError, match="demo is being written by another holder"):
                storage.append("demo", events)
        other.close()
    assert programs(storage) == [0]
    storage.close()


def key(storage: SqlStorage) -> dict[str, int]:
    with storage.engine.connect() as connection:
        query = "SELECT classid AS space, objid AS run FROM pg_locks WHERE locktype = 'advisory'"
        return dict(connection.execute(text(query)).mappings().one())


def fill(file: Path) -> None:
    """Fills the disk."""
    with suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(b"\0" * 4096)


def test_full_disk_takes_the_same_events_once_there_is_space_again(small_disk: Path, make) -> None:
    storage = open_storage(f"sqlite:///{small_disk / 'runs.db'}")
    storage.create_run(make.run())
    filler = small_disk / "filler"
    with storage.lease("demo"):
        storage.append("demo", make.evaluated(0))
        fill(filler)
        events = [event for index in range(1, 400) for event in make.evaluated(index)]
        with pytest.raises(StorageUnavailable, match="disk is full"):
            storage.append("demo", events)
        assert programs(storage) == [0]
        filler.unlink()
        storage.append("demo", events)
    assert programs(storage) == list(range(400))
    storage.close()

"""Several processes that use one database: leases, readers beside a writer, and a writer that is killed."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support_files import SUPPORT

from funsearch.errors import RunBusyError
from funsearch.storage import open_storage

WRITER = SUPPORT / "writing_process.py"


@contextmanager
def writer(url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs the writing process and ends it."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), url, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        process.wait()


def output_line(process: subprocess.Popen[str]) -> str:
    """Returns the next line that the writing process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_lease_names_the_holder_and_ends_with_its_process(url: str, make) -> None:
    storage = open_storage(url)
    storage.create_run(make.run())
    with writer(url, "hold") as process:
        assert output_line(process) == "holding"
        assert storage.runs()[0].state == "starting"
        with pytest.raises(RunBusyError, match=rf"demo is being written by process {process.pid} on .+: wait"):
            storage.lease("demo").__enter__()
        process.kill()
        process.wait()
    with storage.lease("demo"):
        assert storage.runs()[0].state == "starting"
    assert storage.runs()[0].state == "interrupted"
    storage.close()


def test_readers_see_whole_transactions_while_another_process_writes(url: str, make) -> None:
    storage = open_storage(url)
    storage.create_run(make.run())
    with writer(url, "write", "40", "5") as process:
        for group in range(1, 41):
            assert output_line(process) == f"wrote {group}"
            seen = [e.sample.prompt.index for e in storage.evaluations("demo")]
            assert seen == list(range(len(seen)))
            assert len(seen) >= 5 * group
            assert storage.counts("demo").samples % 5 == 0
    assert len(list(storage.evaluations("demo"))) == 200
    storage.close()


def test_a_killed_writer_leaves_whole_transactions(url: str, make) -> None:
    storage = open_storage(url)
    storage.create_run(make.run())
    with writer(url, "write", "100000", "5") as process:
        for group in range(1, 31):
            assert output_line(process) == f"wrote {group}"
        process.kill()
    seen = [e.sample.prompt.index for e in storage.evaluations("demo")]
    assert len(seen) >= 150
    assert len(seen) % 5 == 0
    assert seen == list(range(len(seen)))
    assert list(storage.unevaluated("demo")) == list(storage.unanswered("demo")) == []
    with storage.lease("demo"):
        storage.append("demo", make.evaluated(len(seen)))
    storage.close()


def test_processes_can_open_a_new_database_at_the_same_time(url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, str(WRITER), url, "open"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == [b"0 runs\n"] * 4


def test_opening_a_new_file_waits_for_another_process_that_has_just_opened_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ended = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    ended.start()
    with closing(open_storage(str(path))) as storage:
        assert storage.runs() == []
    ended.join()
    other.close()

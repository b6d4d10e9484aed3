"""A database written before the first release is converted when it is opened."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from support_files import SUPPORT

from funsearch.core.records import IslandView, Reset
from funsearch.rest_em.records import Estimate, Figures, Split
from funsearch.storage import SqlStorage, open_storage
from funsearch.storage.migrations import VERSION_TABLE
from funsearch.storage.tables import metadata

WRITER = SUPPORT / "writing_process.py"


@pytest.fixture
def old_url(url: str) -> str:
    """The URL of a database at revision 0007 with five runs and three trainings."""
    statements = (SUPPORT / "revision_0007.sql").read_text()
    engine = create_engine(url)
    if engine.dialect.name == "postgresql":
        statements = statements.replace("id INTEGER NOT NULL", "id SERIAL NOT NULL").replace(
            "DOUBLE", "DOUBLE PRECISION"
        )
    with engine.begin() as connection:
        for statement in statements.split(";\n"):
            if statement:
                connection.exec_driver_sql(statement)
        if engine.dialect.name == "postgresql":
            for table in ("runs", "models", "trainings"):
                connection.execute(text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"))
    engine.dispose()
    return url


def states(storage: SqlStorage) -> list[tuple[str, str, str]]:
    runs = [(run.run, run.state, run.stopped) for run in storage.runs()]
    return runs + [(training.name, training.state, training.stopped) for training in storage.trainings()]


@pytest.mark.parametrize("create", [True, False])
def test_states_become_states_and_reasons(old_url: str, create: bool) -> None:
    storage = open_storage(old_url, create)
    assert states(storage) == [
        ("done", "finished", "samples"),
        ("dry", "finished", "exhausted"),
        ("stopped", "interrupted", "interrupted"),
        ("broken", "failed", ""),
        ("killed", "interrupted", ""),
        ("full", "finished", "rounds"),
        ("gated", "finished", "no gain"),
        ("halted", "interrupted", "interrupted"),
    ]
    storage.close()


def test_records_of_a_run_are_kept_and_it_can_be_continued(old_url: str, make) -> None:
    open_storage(old_url).close()
    storage = open_storage(old_url)
    assert [prompt.resets for prompt in storage.prompts("done")] == [0, 3]
    assert [evaluation.score for evaluation in storage.evaluations("done")] == [1.0, 2.0]
    assert list(storage.resets("done")) == [Reset(0, 2, (0,), (1,))]
    assert storage.snapshots("done")[0].islands == (IslandView(1, 1, 3, 2.0), IslandView(0, 0, 0, None))
    assert storage.heldout("done", [1])[1].scores == {"h": 0.5}
    assert storage.run("done").settings == {
        "seed": 7,
        "train": {
            "tasks": {"heldout": 100, "config": {"held": 1}},
            "gate": {"pass_at_1": "sampled"},
            "trainer": {"gradient_accumulation_steps": 2},
            "every": None,
        },
        "inputs": [],
    }
    storage.append("done", make.evaluated(1))
    storage.create_run(make.run("new"))
    assert (storage.counts("done").samples, len(storage.runs())) == (2, 6)
    storage.close()


def test_records_of_a_training_are_kept(old_url: str) -> None:
    storage = open_storage(old_url)
    assert [task.split for task in storage.tasks("full")] == [Split.TRAIN, Split.HELDOUT]
    figures = Figures(*[Estimate(0.5, 0.25, 2)] * 4, 4)
    assert storage.rounds("full")[0].figures == {"heldout": figures, "train": figures}
    assert storage.training("full").settings == {
        "seed": 3,
        "tasks": {"heldout": 200},
        "gate": {"pass_at_1": "greedy"},
        "trainer": {"gradient_accumulation_steps": 1, "rank": 8},
    }
    storage.close()


def test_converted_tables_are_those_of_the_first_release(old_url: str) -> None:
    storage = open_storage(old_url)
    with storage.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    storage.close()


def test_processes_can_open_it_at_the_same_time(old_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, str(WRITER), old_url, "open"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"open\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == [b"5 runs\n"] * 3

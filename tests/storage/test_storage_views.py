"""What the web page reads of runs, on each kind of database."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from funsearch.core.records import ALL_ISLANDS, HeldOut, Snapshot, Status
from funsearch.errors import StorageError
from funsearch.storage import SqlStorage, open_storage
from funsearch.storage.views import WINDOW, ClusterView, Views


@pytest.fixture
def storage(url: str, make) -> Iterator[SqlStorage]:
    """A storage with one run, `demo`, without evaluations."""
    opened = open_storage(url)
    opened.create_run(make.run())
    yield opened
    opened.close()


def test_runs_are_listed_newest_first_with_their_samples(storage: SqlStorage, make) -> None:
    storage.create_run(make.run("later"))
    storage.append("later", [event for index in range(3) for event in make.evaluated(index, float(index))])
    storage.append(
        "demo", [Snapshot(evaluations=9, at=1.0, seconds=1.0, samples=77, sampling=0, evaluating=0, islands=())]
    )
    later, demo = Views(storage).runs()
    assert (later.name, later.state, later.samples, later.best_score) == ("later", "interrupted", 2, 2.0)
    assert (demo.name, demo.samples, demo.best_score) == ("demo", 77, None)
    assert Views(storage).run(demo.id) == demo
    with pytest.raises(StorageError, match="no run number 99"):
        Views(storage).run(99)


def test_leaders_are_distinct_and_the_oldest_first_on_ties(storage: SqlStorage, make) -> None:
    histories = [make.evaluated(index, score) for index, score in enumerate([1.0, 3.0, None, 3.0, 2.0, 3.0])]
    same = [(p, s, replace(e, key="same") if p.index in (1, 5) else e) for p, s, e in histories]
    storage.append("demo", [event for history in same for event in history])
    storage.add_heldout("demo", {3: HeldOut(Status.OK, {"h": 0.5})})
    leaders = Views(storage).leaders(1, 3)
    assert [(leader.program, leader.score) for leader in leaders] == [(1, 3.0), (3, 3.0), (4, 2.0)]
    assert [leader.heldout for leader in leaders] == [None, HeldOut(Status.OK, {"h": 0.5}), None]


def test_an_excerpt_is_the_text_that_was_written(storage: SqlStorage, make) -> None:
    prompt, sample, evaluation = make.evaluated(0)
    body = "    x = '\x00\x1a\ud800'\n"
    storage.append("demo", [prompt, sample, replace(evaluation, function=replace(evaluation.function, body=body))])
    assert Views(storage).leaders(1, 1)[0].excerpt == body


def test_lines_are_read_backwards_and_by_status(storage: SqlStorage, make) -> None:
    storage.append("demo", [event for index in range(6) for event in make.evaluated(index, 1.0 if index % 2 else None)])
    views = Views(storage)
    assert views.newest(1) == 5
    assert [line.program for line in views.lines(1, 5, 3)] == [4, 3, 2]
    assert [line.program for line in views.lines(1, 6, 9, "RUNTIME_ERROR")] == [4, 2, 0]
    assert views.lines(1, 6 + WINDOW, 9) == []
    line = views.named(1, [3, 99])[3]
    assert (line.parents, line.island, line.model) == ((0, 3), 0, "model-a")


def test_clusters_hold_the_programs_that_are_still_on_their_island(storage: SqlStorage, make) -> None:
    events = []
    places = [(-1, ALL_ISLANDS, 0), (0, 0, 1), (1, 0, 1), (2, 1, 0), (3, 1, 1)]
    for index, island, resets in places:
        prompt = replace(make.prompt(index), island=island, resets=resets)
        sample = make.sample(prompt)
        events += [prompt, sample, make.evaluation(sample, 1.0 if index < 1 else 2.0)]
    storage.append("demo", events)
    assert Views(storage).clusters(1, [1, 0]) == [
        ClusterView(0, 2.0, 1, 2),
        ClusterView(1, 2.0, 1, 3),
        ClusterView(0, 1.0, 1, 1),
        ClusterView(1, 1.0, 1, 0),
    ]

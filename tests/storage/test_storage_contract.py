"""The promises of `funsearch.core.ports.RunStorage`, on every kind of database."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from funsearch.core.ports import RunStorage
from funsearch.core.records import (
    ALL_ISLANDS,
    Evaluation,
    HeldOut,
    IslandView,
    Point,
    Prompt,
    Reset,
    RunSummary,
    Sample,
    Snapshot,
    Status,
    Tally,
    Usage,
)
from funsearch.errors import RunBusyError, StorageError

Reopen = Callable[[], RunStorage]


def test_run_comes_back_equal_after_reopening(storage: RunStorage, reopen: Reopen, make) -> None:
    other = make.run("other ünï/code", created=0.1 + 0.2, settings={"z": 1, "a": [1.5, {"k": None}]})
    storage.create_run(other)
    assert reopen().run("other ünï/code") == other
    assert list(reopen().run("other ünï/code").settings) == ["z", "a"]
    assert reopen().run("demo") == make.run()


def test_name_of_a_run_is_unique(storage: RunStorage, make) -> None:
    with pytest.raises(StorageError, match="there is already a run called demo"):
        storage.create_run(make.run(created=1.0))
    assert len(storage.runs()) == 1


def test_unknown_run_is_refused_with_the_closest_name(storage: RunStorage) -> None:
    for method in (storage.run, storage.evaluations, storage.samples, storage.counts, storage.lease):
        with pytest.raises(StorageError, match=r"no run called demq.*did you mean demo"):
            method("demq")
    with pytest.raises(StorageError, match="no run called demq"):
        storage.append("demq", [])


def test_events_come_back_equal_after_reopening(storage: RunStorage, reopen: Reopen, make) -> None:
    prompt = make.prompt(0)
    first, second = make.sample(prompt, 0), replace(make.sample(prompt, 1), model="model-b", finish_reason="length")
    good = make.evaluation(first, -0.1)
    bad = Evaluation(sample=second, status=Status.COMPILE_ERROR, function=None, error="no function in it", sandbox="L2")
    reset = Reset(0, 2, (0, 2), (1, 0))
    storage.append("demo", [prompt, first, second])
    storage.append("demo", [good, bad, reset])
    again = reopen()
    assert list(again.prompts("demo")) == [prompt]
    assert list(again.samples("demo")) == [first, second]
    assert list(again.evaluations("demo")) == [good, bad]
    assert list(again.resets("demo")) == [reset]


def test_snapshots_come_back_equal_in_order_and_are_written_once(storage: RunStorage, reopen: Reopen) -> None:
    islands = (IslandView(3, 2, 1, -0.1), IslandView(0, 0, 0, None))
    usage = {"model a": Usage(8, 800, 160), "b": Usage()}
    early = Snapshot(
        evaluations=2,
        at=1e9 + 0.1,
        seconds=0.5,
        prompts=3,
        samples=4,
        evaluated=3,
        valid=2,
        duplicates=1,
        registered=2,
        tokens=77,
        sampling=5,
        evaluating=6,
        statuses={"OK": 2, "TIMEOUT": 1},
        usage=usage,
        islands=islands,
    )
    later = replace(early, evaluations=9, best_score=0.1 + 0.2, samplers=3, evaluators=150)
    storage.append("demo", [later])
    storage.append("demo", [early])
    assert reopen().snapshots("demo") == [early, later]
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append("demo", [early])


def test_scores_keep_the_order_of_the_inputs(storage: RunStorage, make) -> None:
    prompt, sample, evaluation = make.evaluated(0)
    scores = {"zebra": 1.0, "apple": 2.0, "mango": 3.0}
    storage.append("demo", [prompt, sample, replace(evaluation, scores=scores)])
    assert list(storage.program("demo", 0).scores) == ["zebra", "apple", "mango"]


def test_evaluations_keep_the_order_in_which_they_were_appended(storage: RunStorage, make) -> None:
    histories = [make.evaluated(index) for index in range(4)]
    storage.append("demo", [event for prompt, sample, _ in histories for event in (prompt, sample)])
    for index in (2, 0):
        storage.append("demo", [histories[index][2]])
    storage.append("demo", [histories[3][2], histories[1][2]])
    assert [e.sample.prompt.index for e in storage.evaluations("demo")] == [2, 0, 3, 1]
    assert [storage.program("demo", id).sample.prompt.index for id in range(4)] == [2, 0, 3, 1]


def test_prompts_and_samples_come_in_the_order_of_their_index(storage: RunStorage, make) -> None:
    first = replace(make.prompt(0), index=-1, island=ALL_ISLANDS, resets=0)
    for prompt in (make.prompt(10), make.prompt(2), first):
        storage.append("demo", [prompt, make.sample(prompt, 1), make.sample(prompt, 0)])
    assert [p.index for p in storage.prompts("demo")] == [-1, 2, 10]
    places = [(s.prompt.index, s.index) for s in storage.samples("demo")]
    assert places == [(-1, 0), (-1, 1), (2, 0), (2, 1), (10, 0), (10, 1)]


def test_resets_come_in_order(storage: RunStorage) -> None:
    resets = [Reset(index, 10 * index, (1, 0), (index, 3)) for index in range(3)]
    for reset in resets:
        storage.append("demo", [reset])
    assert list(storage.resets("demo")) == resets


def test_streams_are_complete_beyond_a_page(storage: RunStorage, make) -> None:
    histories = [make.evaluated(index) for index in range(2300)]
    storage.append("demo", [event for events in histories for event in events])
    storage.append("demo", [sample := make.sample(make.prompt(5), 1), unasked := make.prompt(9000)])
    assert [e.sample.prompt.index for e in storage.evaluations("demo")] == list(range(2300))
    assert [p.index for p in storage.prompts("demo")] == [*range(2300), 9000]
    assert sum(1 for _ in storage.samples("demo")) == 2301
    assert list(storage.unevaluated("demo")) == [sample]
    assert list(storage.unanswered("demo")) == [unasked]


def test_runs_do_not_mix(storage: RunStorage, make) -> None:
    storage.create_run(make.run("second"))
    storage.append("second", [*make.evaluated(0, 9.0), Reset(0, 1, (0,), (0,))])
    storage.append("demo", [*make.evaluated(0, 2.0), make.prompt(4)])
    assert [e.score for e in storage.evaluations("demo")] == [2.0]
    assert [e.score for e in storage.evaluations("second")] == [9.0]
    assert list(storage.resets("demo")) == []
    assert [p.index for p in storage.prompts("demo")] == [0, 4]
    assert [(s.run, s.best_score) for s in storage.runs()] == [("demo", 2.0), ("second", 9.0)]


@pytest.mark.parametrize("kind", ["prompt", "sample", "evaluation", "reset"])
def test_appending_twice_is_refused(storage: RunStorage, make, kind: str) -> None:
    prompt, sample, evaluation = make.evaluated(0)
    events = {"prompt": prompt, "sample": sample, "evaluation": evaluation, "reset": Reset(0, 1, (0,), (0,))}
    storage.append("demo", list(events.values()))
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append("demo", [events[kind]])
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append("demo", [new := make.prompt(1), new])
    assert [list(storage.prompts("demo")), list(storage.samples("demo"))] == [[prompt], [sample]]
    assert [list(storage.evaluations("demo")), len(list(storage.resets("demo")))] == [[evaluation], 1]


def test_events_need_what_they_refer_to(storage: RunStorage, make) -> None:
    prompt, sample, evaluation = make.evaluated(0)
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append("demo", [sample])
    storage.append("demo", [prompt])
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append("demo", [evaluation])
    assert list(storage.samples("demo")) == []


def test_an_invalid_last_event_writes_nothing(storage: RunStorage, reopen: Reopen, make) -> None:
    storage.append("demo", make.evaluated(0))
    prompt, sample, evaluation = make.evaluated(1)
    new_model = replace(sample, model="never seen before")
    orphan = make.evaluated(7)[2]
    with pytest.raises(StorageError):
        storage.append("demo", [prompt, new_model, evaluation, Reset(0, 1, (0,), (0,)), orphan])
    again = reopen()
    assert [p.index for p in again.prompts("demo")] == [0]
    assert len(list(again.samples("demo"))) == len(list(again.evaluations("demo"))) == 1
    assert list(again.resets("demo")) == []
    storage.append("demo", [prompt, new_model, evaluation])
    assert [s.model for s in reopen().samples("demo")] == ["model-a", "never seen before"]


def test_unanswered_prompts_and_unevaluated_samples_are_found(storage: RunStorage, make) -> None:
    assert list(storage.unanswered("demo")) == list(storage.unevaluated("demo")) == []
    unanswered, answered = make.prompt(3), make.prompt(1)
    samples = [make.sample(answered, 0), make.sample(answered, 1)]
    storage.append("demo", [unanswered, answered, *samples, make.evaluation(samples[0])])
    assert list(storage.unanswered("demo")) == [unanswered]
    assert list(storage.unevaluated("demo")) == [samples[1]]


def test_unknown_program_is_refused(storage: RunStorage, make) -> None:
    storage.append("demo", make.evaluated(0))
    for id in (-1, 1):
        with pytest.raises(StorageError, match=f"run demo has no program {id}"):
            storage.program("demo", id)


def test_best_are_distinct_and_the_oldest_first_on_ties(storage: RunStorage, make) -> None:
    scores = [1.0, 3.0, None, 3.0, 3.0, 2.0]
    keys = ["a", "b", "c", "d", "b", "e"]
    for index, (score, key) in enumerate(zip(scores, keys, strict=True)):
        storage.append("demo", make.evaluated(index, score, key=key, duplicate_of=1 if index == 4 else None))
    assert [(id, e.key) for id, e in storage.best("demo", 10)] == [(1, "b"), (3, "d"), (5, "e"), (0, "a")]
    assert [id for id, _ in storage.best("demo", 2)] == [1, 3]
    assert storage.best("demo", 1)[0][1] == storage.program("demo", 1)
    assert storage.best("demo", 0) == []


def test_best_of_a_key_evaluated_twice_is_its_better_score(storage: RunStorage, make) -> None:
    for index, score in enumerate([1.0, 5.0, 5.0, 3.0]):
        storage.append("demo", make.evaluated(index, score, key="same" if index < 3 else "other"))
    assert [(id, e.score) for id, e in storage.best("demo", 5)] == [(1, 5.0), (3, 3.0)]


def test_counts_exclude_the_first_program(storage: RunStorage, make) -> None:
    assert storage.counts("demo") == Tally()
    first = Prompt(index=-1, island=ALL_ISLANDS, resets=0, text="", version=0, parents=(), after=0)
    sample = Sample(prompt=first, index=0, text="    return 0.0\n", model="specification", finish_reason="stop")
    storage.append("demo", [first, sample, make.evaluation(sample, 4.0)])
    assert storage.counts("demo") == Tally(best_score=4.0)
    storage.append("demo", [*make.evaluated(0, 2.0), *make.evaluated(1, None), *make.evaluated(2, 2.0, duplicate_of=1)])
    prompt = make.prompt(3)
    unreadable, waiting = make.sample(prompt, 0), make.sample(prompt, 1, tokens=100)
    storage.append(
        "demo", [prompt, unreadable, waiting, Evaluation(sample=unreadable, status=Status.COMPILE_ERROR, function=None)]
    )
    assert storage.counts("demo") == Tally(
        samples=5, evaluated=2, valid=1, duplicates=1, tokens=120, best_score=4.0, prompts=4
    )
    assert storage.runs()[0] == RunSummary(
        run="demo", problem="cap_set", samples=5, best_score=4.0, state="interrupted"
    )


@pytest.mark.parametrize("state", ["starting", "running", "waiting"])
def test_unfinished_run_without_a_lease_is_interrupted(storage: RunStorage, reopen: Reopen, state: str) -> None:
    storage.set_state("demo", state)
    with storage.lease("demo"):
        assert reopen().runs()[0].state == state
    assert reopen().runs()[0].state == "interrupted"


def test_new_run_is_starting(storage: RunStorage, reopen: Reopen) -> None:
    with storage.lease("demo"):
        assert (reopen().runs()[0].state, reopen().runs()[0].stopped) == ("starting", "")


def test_state_comes_back_with_the_reason_why_the_run_stopped(storage: RunStorage, reopen: Reopen) -> None:
    storage.set_state("demo", "finished", "target")
    assert (reopen().runs()[0].state, reopen().runs()[0].stopped) == ("finished", "target")
    with storage.lease("demo"):
        assert reopen().runs()[0].state == "finished"
        storage.set_state("demo", "running")
        assert (reopen().runs()[0].state, reopen().runs()[0].stopped) == ("running", "")


def test_lease_is_held_once_for_each_run(storage: RunStorage, reopen: Reopen, make) -> None:
    storage.create_run(make.run("second"))
    with storage.lease("demo"), reopen().lease("second"):
        with pytest.raises(RunBusyError, match=r"run demo is being written by .*: wait for it, or stop it"):
            reopen().lease("demo").__enter__()
        reopen().append("second", [make.prompt(0)])
    with reopen().lease("demo"):
        pass


def test_lease_ends_with_an_exception(storage: RunStorage, reopen: Reopen) -> None:
    with pytest.raises(ValueError, match="in the middle"), storage.lease("demo"):
        raise ValueError("in the middle")
    with reopen().lease("demo"):
        pass


def test_a_lease_is_not_held_before_its_context_is_entered(storage: RunStorage) -> None:
    storage.lease("demo")
    with storage.lease("demo"):
        pass


def test_points_are_the_evaluations_without_their_texts(storage: RunStorage, make) -> None:
    storage.append("demo", [event for index in range(3) for event in make.evaluated(index, index * 0.5)])
    prompt, sample, evaluation = make.evaluated(3, None, duplicate_of=1)
    storage.append("demo", [prompt, sample, evaluation])
    assert list(storage.points("demo")) == [
        *(Point(index, index % 3, Status.OK, index * 0.5, False) for index in range(3)),
        Point(3, 0, Status.RUNTIME_ERROR, None, True),
    ]


def test_held_out_scores_are_written_once_and_without_a_lease(storage: RunStorage, reopen: Reopen, make) -> None:
    storage.append("demo", [event for index in range(3) for event in make.evaluated(index)])
    first = HeldOut(Status.OK, {"z": 0.1 + 0.2, "a": -1.0})
    with storage.lease("demo"):
        reopen().add_heldout("demo", {1: first})
    second = HeldOut(Status.TIMEOUT, {}, "too \ud800 slow")
    storage.add_heldout("demo", {1: second, 2: second})
    results = reopen().heldout("demo", [0, 1, 2])
    assert results == {1: first, 2: second}
    assert list(results[1].scores) == ["z", "a"]


def test_held_out_scores_of_an_unknown_program_are_refused(storage: RunStorage) -> None:
    with pytest.raises(StorageError):
        storage.add_heldout("demo", {7: HeldOut(Status.OK, {})})

"""The promises of `funsearch.rest_em.ports.TrainingStorage`, on every kind of database."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from funsearch.core.completions import Policy
from funsearch.errors import RunBusyError, StorageError
from funsearch.rest_em.ports import TrainingStorage
from funsearch.rest_em.records import (
    Answer,
    Difference,
    Estimate,
    Figures,
    Grade,
    Graded,
    Phase,
    RoundRecord,
    Selected,
    Split,
    Task,
    TrainingRecord,
    TrainingSummary,
)
from funsearch.storage import open_storage

Reopen = Callable[[], TrainingStorage]
TASKS = [
    Task(
        index=0,
        key="a/1",
        family="sums",
        split=Split.TRAIN,
        prompt="1+1=",
        reference={"answer": "2", "more": [1.5, None]},
    ),
    Task(index=1, key="a/2", family="sums", split=Split.HELDOUT, prompt="1+2=\x00\ud800", reference={"answer": "3"}),
    Task(index=2, key="b/1", family="products", split=Split.TRANSFER, prompt="1*2=", reference=["x"]),
]
DEMO = TrainingRecord("demo", "exact:sums.jsonl", "models/tiny", {"seed": 3, "sft": {"rank": 8}}, 1.5)
BASE = Policy(name="demo@0", round=0, base="models/tiny")
FIRST = Policy(
    name="demo@1",
    round=1,
    base="models/tiny",
    folder="policies/demo/1",
    kind="lora",
    figures={"loss": 0.1 + 0.2, "steps": 7.0},
)
FIGURES = Figures(Estimate(0.5, 0.1, 3), Estimate(0.25, 0.01, 3), Estimate(0.9, 0.0, 3), Estimate(1 / 3, 0.1, 3), 4)


def answer(task: int = 0, index: int = 0, round: int = 1, phase: Phase = Phase.GENERATE) -> Answer:
    return Answer(
        round=round,
        phase=phase,
        task=task,
        index=index,
        policy="demo@0",
        text=f"{task}/{index}\x00",
        finish_reason="stop",
        ending="\n",
        prompt_tokens=7,
        tokens=3,
    )


def graded(answer: Answer, reward: float = 1.0) -> Graded:
    return Graded(answer, Grade(reward, "2", ("k1", "k2"), "no \ud800", 0.25))


@pytest.fixture
def storage(reopen: Reopen) -> TrainingStorage:
    """A storage with one training, `demo`, and its base policy."""
    storage = reopen()
    storage.create_training(DEMO, TASKS)
    storage.append_round("demo", [BASE])
    return storage


def test_training_comes_back_equal_with_its_tasks(storage: TrainingStorage, reopen: Reopen) -> None:
    assert reopen().training("demo") == DEMO
    assert reopen().tasks("demo") == TASKS


def test_name_is_unique_and_nothing_of_a_second_training_is_written(storage: TrainingStorage) -> None:
    with pytest.raises(StorageError, match="there is already a training called demo"):
        storage.create_training(replace(DEMO, model="other"), TASKS[:1])
    assert storage.tasks("demo") == TASKS
    assert len(storage.trainings()) == 1


def test_unknown_training_is_refused_with_the_closest_name(storage: TrainingStorage) -> None:
    for method in (storage.training, storage.tasks, storage.policies, storage.rounds, storage.lease_training):
        with pytest.raises(StorageError, match=r"no training called demq.*did you mean demo"):
            method("demq")


def test_answers_are_ungraded_until_their_grade_is_appended(storage: TrainingStorage, reopen: Reopen) -> None:
    answers = [answer(0, 1), answer(0, 0), answer(2, 0)]
    storage.append_round("demo", answers)
    assert list(reopen().ungraded("demo", 1, Phase.GENERATE)) == [answer(0, 0), answer(0, 1), answer(2, 0)]
    assert list(reopen().graded("demo", 1, Phase.GENERATE)) == []
    storage.append_round("demo", [graded(answer(0, 1), 0.0)])
    assert list(reopen().ungraded("demo", 1, Phase.GENERATE)) == [answer(0, 0), answer(2, 0)]
    assert list(reopen().graded("demo", 1, Phase.GENERATE)) == [graded(answer(0, 1), 0.0)]
    assert storage.answered("demo", 1, Phase.GENERATE) == {0: 2, 2: 1}


def test_rounds_and_phases_do_not_mix(storage: TrainingStorage) -> None:
    storage.append_round("demo", [answer(), answer(phase=Phase.GREEDY), answer(round=2)])
    assert storage.answered("demo", 1, Phase.GENERATE) == {0: 1}
    assert storage.answered("demo", 1, Phase.SAMPLED) == {}
    assert list(storage.ungraded("demo", 2, Phase.GENERATE)) == [answer(round=2)]


def test_streams_are_complete_beyond_a_page(storage: TrainingStorage) -> None:
    answers = [answer(task, index) for task in range(3) for index in range(700)]
    storage.append_round("demo", [*answers, *(graded(each) for each in answers[:1500])])
    assert [(g.answer.task, g.answer.index) for g in storage.graded("demo", 1, Phase.GENERATE)] == [
        (each.task, each.index) for each in answers[:1500]
    ]
    assert list(storage.ungraded("demo", 1, Phase.GENERATE)) == answers[1500:]


def test_rounds_policies_and_selections_come_back_equal(storage: TrainingStorage, reopen: Reopen) -> None:
    base = RoundRecord(
        round=0,
        policy="demo@0",
        samples=0,
        correct=0,
        selected=0,
        figures={"heldout": FIGURES},
        published=True,
        stop="",
        reason="the base model",
    )
    first = RoundRecord(
        round=1,
        policy="demo@1",
        samples=9,
        correct=5,
        selected=2,
        figures={"heldout": FIGURES, "train": FIGURES},
        published=False,
        stop="no gain",
        reason="why",
        gain=Difference(0.1, -0.2, 0.3),
    )
    chosen = [Selected(1, 0, 4), Selected(1, 2, 0, 3)]
    storage.append_round("demo", [base])
    storage.append_round("demo", [*reversed(chosen), FIRST, first])
    assert reopen().rounds("demo") == [base, first]
    assert reopen().policies("demo") == reopen().policies() == [BASE, FIRST]
    assert reopen().selected("demo", 1) == chosen
    assert reopen().selected("demo", 2) == []
    assert storage.trainings() == [
        TrainingSummary(name="demo", tasks="exact:sums.jsonl", model="models/tiny", rounds=1, state="interrupted")
    ]


def test_trainings_do_not_mix(storage: TrainingStorage) -> None:
    storage.create_training(replace(DEMO, name="second"), TASKS[:1])
    storage.append_round("second", [replace(BASE, name="second@0"), answer(), Selected(1, 0, 0)])
    assert storage.answered("demo", 1, Phase.GENERATE) == {}
    assert storage.selected("demo", 1) == []
    assert [policy.name for policy in storage.policies()] == ["demo@0", "second@0"]


EVENTS = [
    answer(),
    graded(answer()),
    Selected(1, 0, 0),
    FIRST,
    RoundRecord(
        round=1, policy="demo@1", samples=0, correct=0, selected=0, figures={}, published=True, stop="", reason=""
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_appending_twice_is_refused_and_writes_nothing(storage: TrainingStorage, event) -> None:
    storage.append_round("demo", EVENTS)
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append_round("demo", [new := answer(2, 5), event])
    assert new.task not in storage.answered("demo", 1, Phase.GENERATE)


@pytest.mark.parametrize("event", [graded(answer(1)), answer(9), EVENTS[-1]], ids=lambda event: type(event).__name__)
def test_events_need_what_they_refer_to(storage: TrainingStorage, event) -> None:
    with pytest.raises(StorageError, match="nothing was written"):
        storage.append_round("demo", [answer(), event])
    assert storage.answered("demo", 1, Phase.GENERATE) == {}


def test_training_is_running_only_while_its_lease_is_held(storage: TrainingStorage, reopen: Reopen) -> None:
    def summary() -> TrainingSummary:
        return reopen().trainings()[0]

    with storage.lease_training("demo"):
        assert summary().state == "starting"
        storage.set_training_state("demo", "running")
        assert summary().state == "running"
        with pytest.raises(RunBusyError, match="demo is being written by"):
            reopen().lease_training("demo").__enter__()
    assert summary().state == "interrupted"
    storage.set_training_state("demo", "finished", "rounds")
    assert (summary().state, summary().stopped) == ("finished", "rounds")


def test_a_run_and_a_training_with_the_same_id_have_different_leases(sqlite_url: str, make) -> None:
    storage = open_storage(sqlite_url)
    storage.create_training(DEMO, TASKS)
    storage.create_run(make.run("demo"))
    with storage.lease_training("demo"), open_storage(sqlite_url).lease("demo"):
        pass
    storage.close()

"""The supervisor, with actors that only pretend to live and die."""

from collections.abc import Callable

import pytest
from pretend_actors import CRASH, NODE_LOSS, Call, Worker, Workers
from ray.exceptions import RayTaskError

from funsearch.cluster.supervisor import Done, Failed, Lost, Supervisor
from funsearch.errors import SamplerError

Make = Callable[..., tuple[Workers, "Supervisor[Worker, str, str]"]]  # type: ignore[type-var]


@pytest.fixture
def make(pretend_ray: None) -> Make:
    def make(count: int, *starts: object) -> tuple[Workers, "Supervisor[Worker, str, str]"]:  # type: ignore[type-var]
        replicas = Workers(count, list(starts))
        supervisor: Supervisor[Worker, str, str] = Supervisor(  # type: ignore[type-var]
            replicas,
            "worker",
            max_failed_starts=3,
            start_error=lambda deaths, reason: SamplerError(f"died {deaths} times: {reason}"),
        )
        turn(supervisor)
        return replicas, supervisor

    return make


def turn(supervisor: Supervisor) -> list[object]:  # type: ignore[type-arg]
    """Reconciles and takes what has ended."""
    supervisor.reconcile()
    return [event for call in supervisor.awaited if (event := supervisor.take(call)) is not None]


def test_as_many_actors_run_as_are_wanted(make: Make) -> None:
    replicas, supervisor = make(3)
    assert supervisor.ready == len(supervisor.available) == 3
    replicas.count = 4
    turn(supervisor)
    assert (len(replicas.started), supervisor.ready, replicas.stopped) == (4, 4, [])
    replicas.count = 1
    turn(supervisor)
    assert (supervisor.ready, len(replicas.stopped)) == (1, 3)


def test_busy_actors_finish_their_work_before_they_are_stopped_and_may_stay_after_all(make: Make) -> None:
    replicas, supervisor = make(2)
    for member in supervisor.available:
        supervisor.send(member, Call("answer"), "task")  # type: ignore[arg-type]
    replicas.count = 0
    supervisor.reconcile()
    assert (supervisor.ready, supervisor.available, replicas.stopped) == (2, [], [])
    replicas.count = 1
    supervisor.reconcile()
    (staying,) = supervisor.available
    events = turn(supervisor)
    assert [(event.task, event.result) for event in events if isinstance(event, Done)] == [("task", "answer")] * 2
    supervisor.reconcile()
    assert supervisor.members == [staying]


def test_work_of_an_actor_that_dies_is_handed_back_and_the_actor_is_replaced(make: Make) -> None:
    replicas, supervisor = make(1)
    (member,) = supervisor.available
    for task in ("first", "second"):
        supervisor.send(member, Call(CRASH), task)  # type: ignore[arg-type]
    assert turn(supervisor) == [Lost("first", CRASH, False), Lost("second", CRASH, False)]
    assert replicas.stopped == [member.actor]
    turn(supervisor)
    assert supervisor.ready == 1
    assert len(replicas.started) == 2


def test_loss_of_a_node_is_told_apart(make: Make) -> None:
    _, supervisor = make(1)
    (member,) = supervisor.available
    supervisor.send(member, Call(NODE_LOSS), "task")  # type: ignore[arg-type]
    assert turn(supervisor) == [Lost("task", NODE_LOSS, True)]


def test_exception_of_a_method_leaves_the_actor_alone(make: Make) -> None:
    _, supervisor = make(1)
    (member,) = supervisor.available
    error = ValueError("no")
    supervisor.send(member, Call(RayTaskError("work", "traceback", error)), "task")  # type: ignore[arg-type]
    assert turn(supervisor) == [Failed("task", error)]
    assert supervisor.available == [member]


def test_actors_that_die_in_a_row_while_they_start_are_an_error(make: Make) -> None:
    _, supervisor = make(1, CRASH, CRASH, "n", CRASH, CRASH, CRASH)
    turn(supervisor)
    turn(supervisor)
    assert supervisor.ready == 1, "two failed starts are no error yet"
    for _ in range(2):
        supervisor.report_loss(supervisor.members[0], CRASH) if supervisor.ready else None
        turn(supervisor)
    with pytest.raises(SamplerError, match="died 3 times: The actor died of a segmentation fault"):
        turn(supervisor)


def test_actors_lost_with_their_node_while_they_start_are_not_counted(make: Make) -> None:
    _, supervisor = make(1, *[NODE_LOSS] * 10)
    for _ in range(10):
        turn(supervisor)
    assert supervisor.ready == 1


def test_pause_stops_all_actors_until_it_ends(make: Make) -> None:
    replicas, supervisor = make(2)
    supervisor.paused = True
    turn(supervisor)
    assert (supervisor.members, len(replicas.stopped)) == ([], 2)
    supervisor.paused = False
    turn(supervisor)
    assert supervisor.ready == 2


def test_abandoned_calls_leave_the_actors_free(make: Make) -> None:
    _, supervisor = make(1)
    (member,) = supervisor.available
    supervisor.send(member, Call("answer"), "task")  # type: ignore[arg-type]
    supervisor.abandon()
    assert (supervisor.awaited, list(supervisor.tasks), member.calls) == ([], [], 0)

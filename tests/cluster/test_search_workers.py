"""Workers on Ray: what an actor was doing when it died is done again, and a poisonous program is given up on."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from funsearch.cluster.search_workers import RayWorkers, hire
from funsearch.core.records import Function, Limits, Status
from funsearch.errors import ProblemError
from funsearch.loading import Problem
from funsearch.search.ledger import Ledger
from funsearch.search.workers import Job, Sampled, Scored, WorkResult
from funsearch.settings.search import Settings
from funsearch.storage import open_storage

pytestmark = pytest.mark.ray


def collect(workers: RayWorkers, count: int) -> list[WorkResult]:
    results: list[WorkResult] = []
    for _ in range(600):
        results += workers.wait(0.1)
        if len(results) >= count:
            return results
    raise AssertionError(f"only {len(results)} of {count} results came")


def pid_of(actor: object) -> int:
    return int(ray.get(actor.__ray_call__.remote(lambda self: os.getpid())))  # type: ignore[attr-defined]


@pytest.fixture
def scripted(tmp_path: Path) -> Settings:
    """Settings with a sampler that needs no model."""
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"text": "    return x"}\n' * 40)
    return Settings.load(None, ["prompts_in_flight=4"], samplers=(f"scripted:{answers}",))


def test_work_of_actors_that_die_is_done_again(ray_here: None, problem: Problem, scripted: Settings) -> None:
    workers = hire(problem.source, scripted, Limits(), "none")
    database = problem.database()
    ledger = Ledger("run", problem.specification, database, open_storage("sqlite://"), "none")
    first = ledger.first_job()
    workers.evaluate([first], None)
    (judged,) = collect(workers, 1)
    assert isinstance(judged, Scored)
    assert judged.outcome.status is Status.OK

    slow = Function("    import time\n    time.sleep(1.0)\n    return x\n")
    workers.evaluate([Job(first.sample, slow, "slow")], None)
    os.kill(pid_of(workers.sampler_actors[0]), signal.SIGKILL)
    for actor in workers.evaluator_actors:
        os.kill(pid_of(actor), signal.SIGKILL)
    ledger.register_first(first, judged.outcome)
    prompt = ledger.draw()
    workers.ask(prompt, 4)
    results = collect(workers, 2)
    assert {type(result) for result in results} == {Sampled, Scored}
    assert all(r.outcome.status is Status.OK for r in results if isinstance(r, Scored))
    workers.close()


def test_program_that_kills_its_evaluator_every_time_is_named(
    ray_here: None, problem: Problem, scripted: Settings
) -> None:
    deadly = problem.source.evaluator.replace("answer = ", "answer = __import__('os')._exit(1) if value == 3.0 else ")
    source = replace(problem.source, evaluator=deadly)
    workers = hire(source, scripted, Limits(seconds=5.0), "none")
    database = problem.database()
    workers.evaluate(
        [Ledger("run", problem.specification, database, open_storage("sqlite://"), "none").first_job()], None
    )
    (judged,) = collect(workers, 1)
    assert isinstance(judged, Scored)
    assert judged.outcome.status is Status.INFRA
    assert "killed its evaluator twice" in judged.outcome.error
    workers.close()


def test_evaluator_that_hangs_is_the_problems_fault_by_name(
    ray_here: None, problem: Problem, scripted: Settings
) -> None:
    hanging = problem.source.evaluator.replace("answer = ", "__import__('time').sleep(99)\n        answer = ")
    settings = scripted.model_copy(update={"evaluator_seconds": 1.0})
    workers = hire(replace(problem.source, evaluator=hanging), settings, Limits(seconds=0.5), "none", inputs=2)
    database = problem.database()
    workers.evaluate(
        [Ledger("run", problem.specification, database, open_storage("sqlite://"), "none").first_job()], None
    )
    with pytest.raises(ProblemError, match=r"evaluator of closeness has not come back for \d+ s: its own code hangs"):
        collect(workers, 1)
    workers.close()

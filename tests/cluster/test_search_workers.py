"""Workers on Ray: the work of an actor that dies is redone, and a program that kills evaluators is set aside."""

from dataclasses import replace
from pathlib import Path

import pytest
from faults import kill

from funsearch.cluster.search_workers import RayWorkers, make_workers
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
    raise AssertionError(f"only {len(results)} of {count} results arrived")


@pytest.fixture
def scripted(tmp_path: Path) -> Settings:
    """Settings with a sampler that needs no model."""
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"text": "    return x"}\n' * 40)
    return Settings.load(None, ["prompts_in_flight=4"], samplers=(f"scripted:{answers}",))


def test_work_of_actors_that_die_is_redone(ray_here: None, problem: Problem, scripted: Settings) -> None:
    workers = make_workers(problem.source, scripted, Limits(), "none")
    database = problem.database()
    ledger = Ledger("run", problem.specification, database, open_storage("sqlite://"), "none")
    first = ledger.first_job()
    workers.evaluate([first], None)
    (scored,) = collect(workers, 1)
    assert isinstance(scored, Scored)
    assert scored.outcome.status is Status.OK

    slow = Function("    import time\n    time.sleep(1.0)\n    return x\n")
    workers.evaluate([Job(first.sample, slow, "slow")], None)
    kill("SamplerActor")
    kill("EvaluatorActor")
    ledger.record_first(first, scored.outcome)
    workers.sample(ledger.draw_prompt(), 4)
    results = collect(workers, 2)
    assert {type(result) for result in results} == {Sampled, Scored}
    assert all(r.outcome.status is Status.OK for r in results if isinstance(r, Scored))
    workers.close()


def test_program_that_kills_its_evaluator_twice_is_set_aside_by_name(
    ray_here: None, problem: Problem, scripted: Settings
) -> None:
    deadly = problem.source.evaluator.replace("answer = ", "answer = __import__('os')._exit(1) if value == 3.0 else ")
    source = replace(problem.source, evaluator=deadly)
    workers = make_workers(source, scripted, Limits(seconds=5.0), "none")
    database = problem.database()
    workers.evaluate(
        [Ledger("run", problem.specification, database, open_storage("sqlite://"), "none").first_job()], None
    )
    (scored,) = collect(workers, 1)
    assert isinstance(scored, Scored)
    assert scored.outcome.status is Status.INFRA
    assert "killed its evaluator twice" in scored.outcome.error
    workers.close()


def test_hanging_evaluator_is_an_error_of_the_problem(ray_here: None, problem: Problem, scripted: Settings) -> None:
    hanging = problem.source.evaluator.replace("answer = ", "__import__('time').sleep(99)\n        answer = ")
    settings = scripted.model_copy(update={"evaluator_seconds": 1.0})
    workers = make_workers(replace(problem.source, evaluator=hanging), settings, Limits(seconds=0.5), "none", inputs=2)
    database = problem.database()
    workers.evaluate(
        [Ledger("run", problem.specification, database, open_storage("sqlite://"), "none").first_job()], None
    )
    with pytest.raises(ProblemError, match=r"evaluator of closeness has not returned for \d+ s: its own code hangs"):
        collect(workers, 1)
    workers.close()

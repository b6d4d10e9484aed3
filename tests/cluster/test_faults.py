"""Faults of long runs, provoked within seconds: nothing is lost or recorded twice, and the run replays."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from faults import Trial, kill, script, texts

from funsearch.cluster.session import start_ray
from funsearch.loading import Problem
from funsearch.search.loop import Budget
from funsearch.settings.search import Settings
from funsearch.testing.endpoint import FakeEndpoint
from funsearch.testing.postgres import PostgresServer

pytestmark = pytest.mark.ray

SAMPLES = 400
SETTINGS = ["database.islands=3", "database.reset_period=100", "prompts_in_flight=6", "evaluators=2"]


@pytest.fixture(scope="module", autouse=True)
def ray_here() -> Iterator[None]:
    """Ray for this module alone."""
    start_ray(None)
    yield
    ray.shutdown()


@pytest.fixture
def slow_problem(problem: Problem) -> Problem:
    """The problem, with an evaluator that takes ten milliseconds, except when a run is replayed here."""
    pause = "__import__('time').sleep(0.005 * ('faults' not in __import__('sys').modules))"
    slow = problem.source.evaluator.replace("answer = ", f"{pause}\n        answer = ")
    assert slow != problem.source.evaluator
    return replace(problem, source=replace(problem.source, evaluator=slow))


@pytest.fixture
def trial(slow_problem: Problem, tmp_path: Path) -> Trial:
    """A search over recorded answers that takes a few seconds."""
    settings = Settings.load(None, SETTINGS, samplers=(script(tmp_path, texts(SAMPLES)),))
    return Trial(slow_problem, f"sqlite:///{tmp_path / 'run.db'}", settings)


def test_killed_evaluators_are_replaced(trial: Trial) -> None:
    trial.events += [(100, lambda: kill("EvaluatorActor")), (200, lambda: kill("EvaluatorActor"))]
    assert trial.run(Budget(samples=SAMPLES)).samples == SAMPLES
    trial.check(SAMPLES)
    assert trial.set_aside() == []


def test_killed_driver_is_replaced_and_resumes(trial: Trial) -> None:
    trial.events += [(100, lambda: kill("SearchActor")), (200, lambda: kill("SearchActor"))]
    assert trial.run(Budget(samples=SAMPLES)).samples == SAMPLES
    trial.check(SAMPLES)


def test_prompts_of_a_killed_sampler_are_sent_again(slow_problem: Problem, tmp_path: Path) -> None:
    answers = iter(texts(10_000))
    busy = threading.Event()

    def answer(_prompt: str, count: int) -> list[str]:
        busy.set()
        time.sleep(0.2)
        return [next(answers) for _ in range(count)]

    def kill_busy() -> None:
        busy.clear()
        assert busy.wait(30)
        kill("SamplerActor")

    with FakeEndpoint(answer) as endpoint:
        settings = Settings.load(
            None, [*SETTINGS, "sampler_replicas=2", f"openai.base_url={endpoint.url}"], samplers=("openai:fake",)
        )
        trial = Trial(slow_problem, f"sqlite:///{tmp_path / 'run.db'}", settings, events=[(40, kill_busy)])
        assert trial.run(Budget(samples=200)).samples == 200
    trial.check(200)


def test_failures_of_the_endpoint_cost_nothing_but_time(slow_problem: Problem, tmp_path: Path) -> None:
    answers = iter(texts(10_000))
    with FakeEndpoint(lambda _prompt, count: [next(answers) for _ in range(count)]) as endpoint:
        settings = Settings.load(None, [*SETTINGS, f"openai.base_url={endpoint.url}"], samplers=("openai:fake",))
        trial = Trial(slow_problem, f"sqlite:///{tmp_path / 'run.db'}", settings)
        for samples in (20, 60, 120):
            trial.events.append((samples, lambda: endpoint.failures.extend([503, 0, 429, "<html>", 500, 0])))
        assert trial.run(Budget(samples=200)).samples == 200
        assert not endpoint.failures
    trial.check(200)


def test_only_programs_that_kill_evaluators_are_set_aside(slow_problem: Problem, tmp_path: Path) -> None:
    source = slow_problem.source
    death = "__import__('os')._exit(1) if answer == 13.0 + value else None"
    deadly = source.evaluator.replace("if not", f"{death}\n        if not")
    assert deadly != source.evaluator
    poison = "    return x + 13.0\n"
    answers = [poison if i in (30, 90) else text for i, text in enumerate(texts(160)) if "13.0\n" not in text]
    settings = Settings.load(None, SETTINGS, samplers=(script(tmp_path, answers),))
    problem = replace(slow_problem, source=replace(source, evaluator=deadly))
    trial = Trial(problem, f"sqlite:///{tmp_path / 'run.db'}", settings)
    progress = trial.run(Budget(samples=len(answers)))
    assert progress.statuses["INFRA"] == 2
    assert trial.set_aside() == [poison, poison]
    trial.problem = slow_problem
    trial.check(len(answers))


def test_search_waits_for_a_database_that_is_down(
    slow_problem: Problem, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    def outage() -> None:
        postgres_server.stop()
        threading.Timer(3.0, postgres_server.start).start()

    settings = Settings.load(None, SETTINGS, samplers=(script(tmp_path, texts(SAMPLES)),))
    trial = Trial(slow_problem, postgres_server.url, settings, events=[(100, outage), (200, outage)])
    assert trial.run(Budget(samples=SAMPLES)).samples == SAMPLES
    assert any("is the server running" in (progress.trouble or "") for progress in trial.seen)
    trial.check(SAMPLES)


@pytest.mark.faults
def test_search_waits_for_a_database_that_is_down_for_a_minute(
    slow_problem: Problem, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    def outage() -> None:
        postgres_server.stop()
        threading.Timer(60.0, postgres_server.start).start()

    settings = Settings.load(None, SETTINGS, samplers=(script(tmp_path, texts(200)),))
    trial = Trial(slow_problem, postgres_server.url, settings, events=[(100, outage)])
    assert trial.run(Budget(samples=200)).samples == 200
    trial.check(200)


@pytest.mark.faults
def test_driver_killed_while_the_database_is_down_is_replaced_and_waits(
    slow_problem: Problem, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    def outage() -> None:
        postgres_server.stop()
        kill("SearchActor")
        threading.Timer(4.0, postgres_server.start).start()

    settings = Settings.load(None, SETTINGS, samplers=(script(tmp_path, texts(200)),))
    trial = Trial(slow_problem, postgres_server.url, settings, events=[(100, outage)])
    assert trial.run(Budget(samples=200)).samples == 200
    trial.check(200)


def test_search_waits_for_a_full_disk(trial: Trial, small_disk: Path) -> None:
    filler = small_disk / "filler"

    def fill() -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as out:
            while True:
                out.write(b"\0" * 4096)
        threading.Timer(3.0, filler.unlink).start()

    trial.url = f"sqlite:///{small_disk / 'run.db'}"
    trial.events = [(100, fill)]
    assert trial.run(Budget(samples=SAMPLES)).samples == SAMPLES
    assert any("disk is full" in (progress.trouble or "") for progress in trial.seen)
    trial.check(SAMPLES)

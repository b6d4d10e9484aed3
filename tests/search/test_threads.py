"""Workers as threads: concurrency, failures, and closing while work is unfinished."""

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from funsearch.core.code.identity import key
from funsearch.core.completions import Completion, Request
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import CandidateProcess
from funsearch.core.records import Function, Limits, Prompt, Sample
from funsearch.errors import SamplerError, SandboxError
from funsearch.loading import Problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.threads import ThreadWorkers
from funsearch.search.workers import Exhausted, Job, Sampled, Scored, WorkResult
from funsearch.testing import InProcessSandbox

LIMIT_SECONDS = 30.0
"""After which a test that blocks fails."""
TEXTS = [f"    return x + {n}\n" for n in range(20)]
MakeWorkers = Callable[..., ThreadWorkers]


def prompt(index: int) -> Prompt:
    return Prompt(index=index, island=0, resets=0, text="", version=1, parents=(0,), after=0)


def job(body: str) -> Job:
    function = Function(body)
    return Job(
        Sample(prompt=prompt(0), index=0, text=body, model="scripted", finish_reason="stop"), function, key(function)
    )


def collect(workers: ThreadWorkers, count: int) -> list[WorkResult]:
    """Returns the next `count` results."""
    results: list[WorkResult] = []
    while len(results) < count:
        new = workers.wait(LIMIT_SECONDS)
        assert new, "the workers block each other"
        results += new
    return results


class BlockingSampler(ScriptedSampler):
    """Blocks on the prompt with index `block_on` until it is released or closed."""

    def __init__(self, block_on: int = 0) -> None:
        super().__init__(TEXTS, samples_per_prompt=1)
        self.block_on = block_on
        self.blocked = threading.Event()
        self.released = threading.Event()
        self.indices: list[int] = []
        self.closed = False

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.indices += [request.index for request in requests]
        if requests[0].index == self.block_on:
            self.blocked.set()
            assert self.released.wait(LIMIT_SECONDS)
        return super().complete(requests)

    def close(self) -> None:
        self.closed = True
        self.released.set()


class ClosingSandbox(InProcessSandbox):
    """Adds itself to a list when it is closed."""

    def __init__(self, closed: list[InProcessSandbox]) -> None:
        super().__init__()
        self._closed = closed

    def close(self) -> None:
        self._closed.append(self)
        super().close()


@pytest.fixture
def make_workers(problem: Problem) -> Iterator[MakeWorkers]:
    opened: list[ThreadWorkers] = []

    def make(
        sampler: ScriptedSampler,
        evaluators: int = 1,
        prompts: int = 1,
        sandbox: Callable[[], InProcessSandbox] = InProcessSandbox,
    ) -> ThreadWorkers:
        workers = ThreadWorkers(sampler, lambda: problem.scorer(sandbox()), evaluators, prompts)
        opened.append(workers)
        return workers

    yield make
    for workers in opened:
        workers.close()


def test_several_prompts_are_with_the_sampler_at_once(make_workers: MakeWorkers) -> None:
    barrier = threading.Barrier(3)

    class MeetingSampler(ScriptedSampler):
        def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
            barrier.wait(LIMIT_SECONDS)
            return super().complete(requests)

    workers = make_workers(MeetingSampler(TEXTS, samples_per_prompt=2), prompts=3)
    for index in range(3):
        workers.sample(prompt(index), 2)
    assert workers.sampling == 3
    results = collect(workers, 3)
    assert {result.prompt.index: [sample.text for sample in result.samples] for result in results} == {
        index: TEXTS[2 * index : 2 * index + 2] for index in range(3)
    }
    assert workers.sampling == 0


def test_several_evaluators_work_at_once(make_workers: MakeWorkers) -> None:
    barrier = threading.Barrier(2)

    class MeetingSandbox(InProcessSandbox):
        def start(self, source: str, limits: Limits) -> CandidateProcess:
            barrier.wait(LIMIT_SECONDS)
            return super().start(source, limits)

    workers = make_workers(ScriptedSampler([]), evaluators=2, sandbox=MeetingSandbox)
    workers.evaluate([job("    return x\n"), job("    return x + 1\n")], best=math.inf)
    assert (workers.evaluating, workers.evaluators) == (2, 2)
    results = collect(workers, 2)
    assert {result.job.function.body: result.outcome.score for result in results} == {
        "    return x\n": 0.0,
        "    return x + 1\n": -1.0,
    }
    assert workers.evaluating == 0


def test_more_jobs_than_evaluators_are_queued(make_workers: MakeWorkers) -> None:
    workers = make_workers(ScriptedSampler([]), evaluators=2)
    workers.evaluate([job(text) for text in TEXTS], best=math.inf)
    results = collect(workers, len(TEXTS))
    assert all(isinstance(result, Scored) for result in results)
    assert {result.job.function.body for result in results} == set(TEXTS)


def test_wait_without_work_returns_nothing(make_workers: MakeWorkers) -> None:
    assert make_workers(ScriptedSampler([])).wait(0.0) == []


def test_error_of_the_sampler_is_raised_by_wait(make_workers: MakeWorkers) -> None:
    class FailingSampler(ScriptedSampler):
        def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
            raise SamplerError("the endpoint is gone")

    workers = make_workers(FailingSampler([]))
    workers.sample(prompt(0), 1)
    with pytest.raises(SamplerError, match="the endpoint is gone"):
        workers.wait(LIMIT_SECONDS)
    assert workers.sampling == 0
    assert workers.wait(0.0) == []


def test_finished_work_is_returned_before_an_error_is_raised(make_workers: MakeWorkers) -> None:
    class FailingSampler(BlockingSampler):
        def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
            if requests[0].index == 1:
                raise SamplerError("the endpoint is gone")
            return super().complete(requests)

    sampler = FailingSampler(block_on=2)
    workers = make_workers(sampler)
    for index in range(3):
        workers.sample(prompt(index), 1)
    assert sampler.blocked.wait(LIMIT_SECONDS), "with one thread, prompts 0 and 1 are done when prompt 2 is sampled"
    assert [result.prompt.index for result in workers.wait(LIMIT_SECONDS)] == [0]
    with pytest.raises(SamplerError, match="the endpoint is gone"):
        workers.wait(LIMIT_SECONDS)
    sampler.released.set()
    assert [result.prompt.index for result in workers.wait(LIMIT_SECONDS)] == [2]


def test_exhausted_sampler_gives_exhausted(make_workers: MakeWorkers) -> None:
    workers = make_workers(ScriptedSampler(TEXTS[:1], samples_per_prompt=1))
    workers.sample(prompt(0), 1)
    workers.sample(prompt(1), 1)
    sampled, exhausted = collect(workers, 2)
    assert isinstance(sampled, Sampled)
    assert exhausted == Exhausted(prompt(1))


def test_abandoned_prompts_are_not_sampled_and_not_returned(make_workers: MakeWorkers) -> None:
    sampler = BlockingSampler()
    workers = make_workers(sampler)
    for index in range(3):
        workers.sample(prompt(index), 1)
    assert sampler.blocked.wait(LIMIT_SECONDS)
    workers.abandon_prompts()
    assert workers.sampling == 0
    sampler.released.set()
    workers.sample(prompt(5), 1)
    (result,) = collect(workers, 1)
    assert isinstance(result, Sampled)
    assert result.prompt == prompt(5)
    assert sampler.indices == [0, 5]


def test_close_ends_threads_and_evaluators_while_a_prompt_is_being_answered(make_workers: MakeWorkers) -> None:
    threads = set(threading.enumerate())
    closed: list[InProcessSandbox] = []
    sampler = BlockingSampler()
    workers = make_workers(sampler, evaluators=2, prompts=2, sandbox=lambda: ClosingSandbox(closed))
    workers.evaluate([job(TEXTS[0]), job(TEXTS[1])], best=math.inf)
    workers.sample(prompt(0), 1)
    assert sampler.blocked.wait(LIMIT_SECONDS)
    workers.close()
    assert sampler.closed
    assert len(closed) == 2
    assert set(threading.enumerate()) <= threads
    workers.close()
    assert len(closed) == 2, "closing again does nothing"


def test_process_can_exit_although_the_sampler_never_answers() -> None:
    script = """
import threading
from funsearch.core.records import Prompt
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.threads import ThreadWorkers

blocked = threading.Event()

class StuckSampler(ScriptedSampler):
    def complete(self, requests):
        blocked.set()
        threading.Event().wait()

workers = ThreadWorkers(StuckSampler([]), None, evaluators=0, prompts=1)
workers.sample(Prompt(index=0, island=0, resets=0, text="", version=1, parents=(0,), after=0), 1)
blocked.wait()
workers.close()
print("closed")
"""
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert (process.stdout, process.stderr, process.returncode) == ("closed\n", "", 0)


def test_sampler_and_evaluators_are_closed_if_an_evaluator_cannot_be_opened(problem: Problem) -> None:
    closed: list[InProcessSandbox] = []
    sampler = BlockingSampler()
    sandboxes = iter([ClosingSandbox(closed)])

    def make_evaluator() -> Evaluator:
        sandbox = next(sandboxes, None)
        if sandbox is None:
            raise SandboxError("no user namespaces")
        return problem.scorer(sandbox)

    with pytest.raises(SandboxError, match="no user namespaces"):
        ThreadWorkers(sampler, make_evaluator, evaluators=2, prompts=1)
    assert sampler.closed
    assert len(closed) == 1

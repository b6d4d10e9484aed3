"""The workers of a search as threads of this process: several prompts with the model and several evaluators at once.

For notebooks and scripts whose sampler may be called from many threads; on a cluster, see
`funsearch.cluster.search_workers`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue

from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sampler
from funsearch.core.records import Prompt
from funsearch.errors import SamplerExhausted
from funsearch.search.sampling import PortSampler
from funsearch.search.workers import Exhausted, Job, Sampled, Scored, WorkResult

CLOSING_SECONDS = 2.0
"""Time for prompts that are with the sampler to end after it was closed; those still running are abandoned."""


class ThreadWorkers:
    """Calls the sampler from one thread per prompt in flight, and evaluates in one thread per evaluator."""

    def __init__(
        self, sampler: Sampler, make_evaluator: Callable[[], Evaluator], evaluators: int, prompts: int
    ) -> None:
        """Opens the evaluators.

        Args:
            sampler: may be called from many threads; closed with the workers.
            make_evaluator: opens an evaluator with a sandbox of its own.
            evaluators: number of evaluators.
            prompts: how many prompts may be with the sampler at once.
        """
        self._sampler = sampler
        self._evaluators = evaluators
        self._idle: SimpleQueue[Evaluator] = SimpleQueue()
        self._prompts: set[Future[WorkResult]] = set()
        self._jobs: set[Future[WorkResult]] = set()
        self._best: float | None = None
        self._sampling_threads = _DaemonThreads(prompts, "sampler")
        self._evaluating_threads = _DaemonThreads(evaluators, "evaluator")
        with ExitStack() as stack:  # closed from the last to the first
            stack.callback(self._sampling_threads.end, CLOSING_SECONDS)
            stack.callback(sampler.close)
            for _ in range(evaluators):
                evaluator = make_evaluator()
                stack.callback(evaluator.close)
                self._idle.put(evaluator)
            stack.callback(self._evaluating_threads.end, None)
            self._resources = stack.pop_all()

    @property
    def sampling(self) -> int:
        return len(self._prompts)

    @property
    def evaluating(self) -> int:
        return len(self._jobs)

    @property
    def samplers(self) -> int:
        return 1

    @property
    def evaluators(self) -> int:
        return self._evaluators

    @property
    def capacity(self) -> int:
        return 2 * self._evaluators

    def queued(self) -> int | None:
        stats = self._sampler.stats()
        return None if stats is None else stats.waiting

    def sample(self, prompt: Prompt, count: int) -> None:
        self._prompts.add(self._sampling_threads.submit(partial(self._sample, prompt, count)))

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        self._best = best
        self._jobs |= {self._evaluating_threads.submit(partial(self._evaluate, job)) for job in jobs}

    def wait(self, seconds: float) -> list[WorkResult]:
        done, _ = wait(self._prompts | self._jobs, seconds, FIRST_COMPLETED)
        # Failures wait for the next call, so that work which was finished at the same time is not lost.
        finished = {future for future in done if future.exception() is None} or done
        self._prompts -= finished
        self._jobs -= finished
        return [future.result() for future in finished]

    def abandon_prompts(self) -> None:
        for future in self._prompts:
            future.cancel()
        self._prompts.clear()

    def close(self) -> None:
        """Drops queued work, closes the evaluators and the sampler, and ends the threads.

        Jobs that are being evaluated are finished first. A prompt that the sampler is still answering soon after it was
        closed is abandoned with its thread.
        """
        self.abandon_prompts()
        for future in self._jobs:
            future.cancel()
        self._jobs.clear()
        self._resources.close()

    def _sample(self, prompt: Prompt, count: int) -> WorkResult:
        try:
            return Sampled(prompt, PortSampler(self._sampler).sample(prompt, count))
        except SamplerExhausted:
            return Exhausted(prompt)

    def _evaluate(self, job: Job) -> WorkResult:
        evaluator = self._idle.get()
        try:
            return Scored(job, evaluator.score_confirmed(job.function, self._best))
        finally:
            self._idle.put(evaluator)


class _DaemonThreads:
    """Runs calls in up to `size` daemon threads.

    The interpreter waits at exit for the threads of a `ThreadPoolExecutor`, so one slow request would keep the process
    alive; it does not wait for these.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._calls: SimpleQueue[tuple[Future[WorkResult], Callable[[], WorkResult]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], WorkResult]) -> Future[WorkResult]:
        """Queues a call; returns the future of its result."""
        future: Future[WorkResult] = Future()
        self._calls.put((future, call))
        if len(self._threads) < self._size:
            name = f"{self._name}-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
            self._threads[-1].start()
        return future

    def end(self, timeout: float | None) -> None:
        """Ends the threads after the calls that are queued, waiting at most `timeout` seconds; None: without limit."""
        for _ in self._threads:
            self._calls.put(None)
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            # Whatever the call raises is raised by `Future.result`.
            except BaseException as error:
                future.set_exception(error)

"""The workers of a search as threads of this process: several prompts with the model and several evaluators at once.

For notebooks and scripts with a sampler that may be called from many threads; on a cluster, see
`funsearch.cluster.search_workers`.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue

from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sampler
from funsearch.core.records import Prompt
from funsearch.errors import SamplerExhausted
from funsearch.search.sampling import PortSampler
from funsearch.search.workers import Exhausted, Job, Sampled, Scored, WorkResult


class ThreadWorkers:
    """Asks the sampler from one thread per prompt in flight, and evaluates in one thread per evaluator."""

    def __init__(
        self, sampler: Sampler, make_evaluator: Callable[[], Evaluator], evaluators: int, prompts: int
    ) -> None:
        """Opens the evaluators.

        Args:
            sampler: may be called from many threads; closed with the workers.
            make_evaluator: opens an evaluator with a sandbox of its own.
            evaluators: how many to open.
            prompts: how many prompts may be with the sampler at once.
        """
        self._sampler = sampler
        self._evaluators = [make_evaluator() for _ in range(evaluators)]
        self._idle: SimpleQueue[Evaluator] = SimpleQueue()
        for evaluator in self._evaluators:
            self._idle.put(evaluator)
        self._sampling_threads = ThreadPoolExecutor(prompts, "sampler")
        self._evaluating_threads = ThreadPoolExecutor(evaluators, "evaluator")
        self._prompts: set[Future[WorkResult]] = set()
        self._jobs: set[Future[WorkResult]] = set()
        self._best: float | None = None

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
        return len(self._evaluators)

    @property
    def capacity(self) -> int:
        return 2 * len(self._evaluators)

    def queued(self) -> int | None:
        stats = self._sampler.stats()
        return None if stats is None else stats.waiting

    def sample(self, prompt: Prompt, count: int) -> None:
        self._prompts.add(self._sampling_threads.submit(self._sample, prompt, count))

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        self._best = best
        self._jobs |= {self._evaluating_threads.submit(self._evaluate, job) for job in jobs}

    def wait(self, seconds: float) -> list[WorkResult]:
        done, _ = wait(self._prompts | self._jobs, seconds, FIRST_COMPLETED)
        self._prompts -= done
        self._jobs -= done
        return [future.result() for future in done]

    def abandon_prompts(self) -> None:
        for future in self._prompts:
            future.cancel()
        self._prompts.clear()

    def close(self) -> None:
        self._sampling_threads.shutdown(wait=False, cancel_futures=True)
        self._evaluating_threads.shutdown(cancel_futures=True)
        self._sampler.close()
        for evaluator in self._evaluators:
            evaluator.close()

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

"""`funsearch.Search`: a search in this process, for notebooks and scripts, with a sampler or by ask and tell.

The command line runs the same loop on Ray (`funsearch.cluster.driver`).
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from funsearch.core.completions import Completion
from funsearch.core.database import ProgramsDatabase
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import RunStorage, Sandbox
from funsearch.core.records import Evaluation, HeldOut, Prompt, RunRecord
from funsearch.errors import ConfigError, ProblemError
from funsearch.loading import Problem
from funsearch.search.arguments import (
    check_name,
    checked_budget,
    checked_settings,
    closed_later,
    loaded_problem,
    open_sandbox_for,
    opened_storage,
)
from funsearch.search.bar import ProgressBar
from funsearch.search.loop import SearchLoop
from funsearch.search.policies import with_policies
from funsearch.search.progress import Progress
from funsearch.search.runs import new_run, restored
from funsearch.search.sampling import SamplerLike, as_samples, checked_texts, completion, specifications
from funsearch.search.threads import ThreadWorkers
from funsearch.search.workers import Job, LocalWorkers, Workers
from funsearch.settings.parsing import SettingsLike
from funsearch.settings.samplers import is_python, make_sampler
from funsearch.settings.search import Settings

DEFAULT_STORAGE = "sqlite:///funsearch.db"
TOLD = "python:tell"
"""Model of samples that were told without one."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best program of a run."""

    id: int
    score: float
    scores: Mapping[str, float]
    """By input."""
    code: str
    heldout: Mapping[str, float] | None = None
    """Scores by held-out input; None unless they were asked for."""


class Search:
    """A run of FunSearch.

    Example:
        search = funsearch.Search("cap_set", sampler="openai:qwen2.5-coder", base_url="http://localhost:8000/v1")
        search.run(max_samples=1000)
        print(search.best().code)
    """

    def __init__(
        self,
        problem: str | Path | Problem,
        *,
        sampler: SamplerLike | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
        storage: str | RunStorage = DEFAULT_STORAGE,
        name: str | None = None,
        seed: int | None = None,
        settings: SettingsLike | None = None,
        sandbox: Sandbox | None = None,
        clock: Callable[[], float] = time.monotonic,
        **options: object,
    ) -> None:
        """Starts a new run. Nothing is written unless every argument is valid.

        Args:
            problem: the name of a shipped or installed problem, the path of a problem file, or a problem.
            sampler: a specification such as "openai:MODEL" or "vllm", several of them for a mixture, a sampler object,
                or a callable (prompt, count) -> list of texts. None for a search with `ask` and `tell` alone.
            base_url: of the endpoint of an `openai:` sampler.
            api_key_env: the environment variable that holds its key.
            storage: the URL of a database, or an open storage, which the caller closes.
            name: of the run; by default, the problem's name and a number.
            seed: of every draw.
            settings: to start from: a dict with sections, or the path of a TOML file.
            sandbox: to run candidates in; by default, the best that the machine offers, or `settings.sandbox`.
            clock: monotonic, in seconds.
            options: further settings by name, such as `samples_per_prompt=8` or `database={"islands": 4}`; a double
                underscore reaches into a section, as in `database__islands=4`.

        Raises:
            ConfigError: an argument or a setting is not valid; the message names it, its value and the remedy.
            ProblemError: the problem does not load.
            SandboxError: candidates cannot be confined on this machine.
            StorageError: the run's name is taken, or the database cannot be used.
        """
        loaded = loaded_problem(problem)
        options |= {"openai__base_url": base_url, "openai__api_key_env": api_key_env, "seed": seed}
        checked = checked_settings(settings, sampler, options)
        if isinstance(storage, str):
            checked = with_policies(checked, storage)
        check_name(name)
        with ExitStack() as stack:
            box = sandbox if sandbox is not None else closed_later(open_sandbox_for(checked), stack)
            kept = opened_storage(storage, stack, create=True)
            run = new_run(loaded, checked, kept, box.level, name, time.time())
            self._open(run, loaded, checked, kept, box, sampler, clock, stack)
            self._resources = stack.pop_all()

    @classmethod
    def resume(
        cls,
        name: str,
        *,
        storage: str | RunStorage = DEFAULT_STORAGE,
        sampler: SamplerLike | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
        sandbox: Sandbox | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Opens a recorded run to continue it, with the problem and the settings that it was started with.

        Args:
            name: of the run.
            storage: as for a new run.
            sampler: replaces the recorded sampler; required if that was a Python object.
            base_url: of the endpoint of an `openai:` sampler, if it has changed.
            api_key_env: the environment variable that holds its key, if it has changed.
            sandbox: to run candidates in.
            clock: monotonic, in seconds.

        Raises:
            ConfigError: an argument is not valid, or the recorded sampler cannot be made from its record.
            StorageError: there is no such run.
            RunBusyError: another process is writing to the run.
        """
        if not isinstance(name, str):
            raise ConfigError(f"name = {name!r:.80}: give the name of a recorded run, a string.")
        if sampler is not None:
            specifications(sampler)
        with ExitStack() as stack:
            kept = opened_storage(storage, stack, create=False)
            run = kept.run(name)
            settings, problem = restored(run)
            samplers = settings.samplers if sampler is None else specifications(sampler)
            options = {"samplers": samplers, "openai__base_url": base_url, "openai__api_key_env": api_key_env}
            if sampler is not None:
                options["weights"] = ()  # those of the recorded mixture
            checked = checked_settings(settings, sampler, options)
            if isinstance(storage, str):
                checked = with_policies(checked, storage)
            box = sandbox if sandbox is not None else closed_later(open_sandbox_for(checked), stack)
            search = cls.__new__(cls)
            search._open(run, problem, checked, kept, box, sampler, clock, stack)
            search._resources = stack.pop_all()
        return search

    def _open(
        self,
        run: RunRecord,
        problem: Problem,
        settings: Settings,
        storage: RunStorage,
        sandbox: Sandbox,
        sampler: SamplerLike | None,
        clock: Callable[[], float],
        stack: ExitStack,
    ) -> None:
        """Takes the run's lease and prepares the loop."""
        self.name, self.problem, self.settings = run.name, problem, settings
        self._workers: Workers | None = None
        self._asked: dict[int, Prompt] = {}
        self._telling = self._closed = False
        self._storage, self._sandbox, self._sampler = storage, sandbox, sampler
        self._limits = settings.limits.override(problem.evaluator.limits)
        self._evaluator = problem.scorer(sandbox, limits=self._limits)
        stack.enter_context(storage.lease(run.name))
        self._loop = SearchLoop(run, problem, settings, storage, clock=clock)

    def run(
        self,
        max_samples: int | None = None,
        minutes: float | None = None,
        target: float | None = None,
        max_cost: float | None = None,
        *,
        progress: bool | None = None,
    ) -> Progress:
        """Searches until a budget is used up, the sampler is exhausted or `stop` is called; returns the progress.

        Args:
            max_samples: over the run's whole life.
            minutes: of this call.
            target: stops once a program scores at least this.
            max_cost: over the run's whole life, by the price list in the settings.
            progress: whether to show a progress bar; by default, on a terminal and in a notebook.

        Raises:
            ConfigError: a budget is not valid, or there is no sampler.
            ProblemError: the first program gets no score.
            SamplerError, SandboxError, StorageError: the search cannot continue; what was finished is saved.
        """
        budget = checked_budget(max_samples, minutes, target, max_cost)
        self._check_open()
        if self._workers is None:
            self._workers = self._make_workers()
        with ProgressBar(budget, progress) as bar:
            return self._loop.run(budget, self._workers, bar.show)

    def ask(self, count: int = 1) -> list[Prompt]:
        """Returns prompts for the caller to answer with `tell`; needs no sampler.

        Prompts that an earlier session returned and that were never told come first.

        Raises:
            ConfigError: `count` is not a positive number.
            ProblemError: the first program gets no score.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"count = {count!r:.80}: ask for at least one prompt.")
        self._begin()
        prompts = [self._loop.next_prompt() for _ in range(count)]
        self._loop.save()
        self._asked |= {prompt.index: prompt for prompt in prompts}
        return prompts

    def tell(self, prompt: Prompt, texts: Sequence[str | Completion], model: str = TOLD) -> list[Evaluation]:
        """Evaluates and registers the samples of a prompt that `ask` returned; returns their evaluations.

        Args:
            prompt: that `ask` returned; each is told once.
            texts: that a model wrote, one for each sample.
            model: the name of that model, for the record.

        Raises:
            ConfigError: the prompt was not asked for or was told before, or the texts are not a list of strings.
        """
        if not isinstance(prompt, Prompt) or self._asked.get(prompt.index) != prompt:
            what = f"prompt {prompt.index}" if isinstance(prompt, Prompt) else f"{prompt!r:.80}"
            raise ConfigError(f"tell: {what} was not asked for, or was told before: pass a prompt that `ask` returned.")
        samples = as_samples(prompt, [completion(text, model) for text in checked_texts(texts, "tell")])
        del self._asked[prompt.index]
        before = self.database.registered
        self._evaluate(self._loop.ledger.record_samples(samples))
        self._loop.save()
        evaluations = (self._storage.program(self.name, id) for id in range(before, self.database.registered))
        return [evaluation for evaluation in evaluations if evaluation.sample.prompt == prompt]

    def best(self, *, heldout: bool = False) -> Best:
        """Returns the best program so far.

        Args:
            heldout: whether to also score it on the problem's held-out inputs, which the search does not use.

        Raises:
            ProblemError: no program has been scored yet, or the problem has no held-out inputs.
        """
        self._check_open()
        self._evaluate(self._loop.restore())
        best = self.database.best
        if best is None:
            raise ProblemError(f"No program of the run {self.name} has been scored yet: call `run` or `tell` first.")
        pairs = zip(self.problem.inputs, best.scores, strict=True)
        scores = {name: score for name, score in pairs if score is not None}
        code = self.problem.specification.function_source(best.function)
        return Best(best.id, best.score, scores, code, self._heldout(best.id) if heldout else None)

    @property
    def samples(self) -> int:
        """Number of samples so far; may be read from any thread."""
        return self._loop.progress().samples

    @property
    def database(self) -> ProgramsDatabase:
        """The programs database of the run."""
        return self._loop.database

    def progress(self) -> Progress:
        """Returns the progress of the run; may be called from any thread."""
        return self._loop.progress()

    def stop(self) -> None:
        """Makes `run` return soon; may be called from any thread or a signal handler."""
        self._loop.stop()

    def close(self) -> None:
        """Stops the workers and releases the run; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        with self._resources:
            if self._telling:
                self._storage.set_state(self.name, "interrupted")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _make_workers(self) -> Workers:
        """Returns the workers for the sampler: sequential ones for a Python object, threads for a specification.

        Raises:
            ConfigError: there is no sampler.
            SamplerError: the sampler cannot be made.
        """
        sampler, settings = self._sampler, self.settings
        if sampler is None and is_python(settings.samplers):
            raise ConfigError(
                f"The run {self.name} has no sampler: pass sampler=... to Search (a specification such as "
                "'openai:MODEL', a sampler object, or a callable), or use `ask` and `tell`."
            )
        if sampler is not None and not isinstance(sampler, str | Sequence):
            return LocalWorkers(sampler, self._evaluator)
        evaluators = len(os.sched_getaffinity(0)) if settings.evaluators == "auto" else settings.evaluators
        workers = ThreadWorkers(make_sampler(settings), self._fresh_evaluator, evaluators, settings.most_in_flight())
        self._resources.callback(workers.close)
        return workers

    def _fresh_evaluator(self) -> Evaluator:
        return self.problem.scorer(open_sandbox_for(self.settings), limits=self._limits)

    def _begin(self) -> None:
        """Restores the run and evaluates its first program, once."""
        self._check_open()
        self._evaluate(self._loop.restore())
        if not self._telling:
            self._storage.set_state(self.name, "running")
            self._telling = True
        if not self.database.registered:
            job = self._loop.ledger.first_job()
            self._loop.record_first(job, self._evaluator.score_confirmed(job.function, None))

    def _evaluate(self, jobs: Sequence[Job]) -> None:
        """Evaluates jobs, and the further jobs that their outcomes lead to, in this thread."""
        queue = list(jobs)
        while queue:
            job, best = queue.pop(0), self.database.best
            outcome = self._evaluator.score_confirmed(job.function, None if best is None else best.score)
            queue += self._loop.ledger.record_outcome(job, outcome)

    def _heldout(self, id: int) -> Mapping[str, float]:
        if not self.problem.heldout:
            raise ProblemError(
                f"The problem {self.problem.name} declares no held-out inputs: set `heldout` in its evaluator."
            )
        results = self._storage.heldout(self.name, [id])
        if id not in results:
            evaluator = self.problem.scorer(self._sandbox, inputs=self.problem.heldout, limits=self._limits)
            outcome = evaluator.score(self.database.program(id).function)
            results[id] = HeldOut(outcome.status, outcome.scores, outcome.error)
            self._storage.add_heldout(self.name, results)
        return results[id].scores

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError(f"The search {self.name} is closed: open it again with Search.resume({self.name!r}).")

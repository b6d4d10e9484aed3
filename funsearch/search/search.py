"""The search itself: keeps the model busy, hands what it writes to the evaluators, and knows when to stop.

FunSearch (Methods, "Overview"): the loop around the programs database. Budgets, back-pressure and stopping live here
and nowhere else; what happened is the ledger's business, and how the work gets done the workers'.
"""

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from funsearch.core.ports import Sampler, Sandbox, Storage
from funsearch.core.records import IslandView, Prompt, RunRecord, Snapshot, Status
from funsearch.errors import ConfigError, ProblemError
from funsearch.loading import Problem, ProblemSource, load
from funsearch.sandbox import open_sandbox
from funsearch.search.ledger import Ledger
from funsearch.search.progress import Progress
from funsearch.search.workers import Exhausted, Job, LocalWorkers, Sampled, Workers, WorkResult
from funsearch.settings.search import Settings
from funsearch.storage import open_storage

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.2
EVALUATION_BACKLOG = 4
"""Prompts' worth of unevaluated samples, for each prompt in flight, at which the model is no longer fed."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop. None means no limit of that kind."""

    samples: int | None = None
    """Over the run's whole life."""
    minutes: float | None = None
    """Of the present session."""
    target: float | None = None
    """Stops once a program scores at least this."""
    cost: float | None = None
    """Over the run's whole life, by `Settings.prices`; what is being answered when it is reached comes on top."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best program of a run."""

    id: int
    score: float
    scores: dict[str, float]
    code: str


def new_run(
    problem: Problem, settings: Settings, storage: Storage, sandbox: str, name: str | None, now: float
) -> RunRecord:
    """Writes a new run; without a name it is called after its problem and the next free number.

    Raises:
        StorageError: the name is taken.
    """
    if name is None:
        taken = {summary.run for summary in storage.runs()}
        name = next(f"{problem.name}-{n}" for n in range(1, len(taken) + 2) if f"{problem.name}-{n}" not in taken)
    source = problem.source
    run = RunRecord(
        name, problem.name, source.specification, source.evaluator, settings.stored(source.inputs), sandbox, now
    )
    storage.create_run(run)
    return run


def restored(run: RunRecord) -> tuple[Settings, Problem]:
    """Returns what a recorded run was started with.

    Raises:
        ConfigError: its settings are of another version.
        ProblemError: its problem does not load.
    """
    settings, inputs = Settings.restored(run.settings)
    return settings, load(ProblemSource(run.problem, run.specification, run.evaluator, inputs))


class Search:
    """One run of FunSearch over a problem.

    Without `workers` the sampling and evaluating is done here, one piece at a time. `funsearch run` gives Ray actors
    instead (`funsearch.cluster.driver`).
    """

    def __init__(
        self,
        problem: Problem,
        *,
        sampler: Sampler | None = None,
        sandbox: Sandbox | None = None,
        storage: str | Storage = "sqlite:///funsearch.db",
        seed: int | None = None,
        name: str | None = None,
        settings: Settings | None = None,
        workers: Workers | None = None,
        run: RunRecord | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts a new run, or takes up `run` where it stands.

        Raises:
            StorageError: the run's name is taken, or the database cannot be used.
            RunBusyError: another process is writing to the run.
            SandboxError: candidates cannot be confined on this machine.
        """
        settings = settings or Settings()
        self.settings = settings if seed is None else settings.with_seed(seed)
        self.problem = problem
        self._storage = open_storage(storage) if isinstance(storage, str) else storage
        self._owns_storage = isinstance(storage, str)
        if workers is None:
            if sampler is None:
                raise ProblemError("A search needs a sampler: pass sampler=..., or use `funsearch run`.")
            box = self.settings.sandbox
            sandbox = sandbox or open_sandbox(box.level, unsafe=box.unsafe)
            limits = self.settings.limits.override(problem.evaluator.limits)
            workers = LocalWorkers(
                sampler,
                problem.scorer(sandbox, limits=limits),
            )
        self._workers = workers
        level = run.sandbox if run else (sandbox.level if sandbox else self.settings.sandbox.level)
        run = run or new_run(problem, self.settings, self._storage, level, name, time.time())
        self.name = run.name
        self._lease = self._storage.lease(run.name)
        self._lease.__enter__()
        self.database = problem.database(self.settings.database, self.settings.seed)
        self._sandbox_level = run.sandbox
        self._ledger = Ledger(run.name, problem.specification, self.database, self._storage, run.sandbox)
        self._clock = clock
        self._stop_asked = threading.Event()
        self._promised: dict[int, int] = {}
        self._to_ask: list[Prompt] = []
        self.hold_at: int | None = None
        """Samples beyond which no prompt is drawn until this is raised; may be set from any thread."""
        self._held = False
        self._in_flight = self.settings.in_flight()
        self._left: deque[Prompt] = deque()
        self._exhausted = False
        self._restored = False
        self._first_score: float | None = None
        self._state = "starting"
        self._started = self._last_reset = clock()
        self._session_samples = self._session_tokens = 0
        self._progress = self._snapshot()

    def run(
        self,
        max_samples: int | None = None,
        minutes: float | None = None,
        target: float | None = None,
        max_cost: float | None = None,
    ) -> Progress:
        """Searches until a budget is used up, the sampler runs dry or `stop` is called; returns how the run stands.

        Raises:
            ProblemError: the first program gets no score.
            SamplerError, SandboxError, StorageError: the search cannot go on; what was finished is saved.
            ConfigError: there is a limit to the cost, and a model without a price.
        """
        budget = Budget(max_samples, minutes, target, max_cost)
        self._started = self._last_reset = self._clock()
        self._stop_asked.clear()
        self._exhausted = False
        self._session_samples = self._session_tokens = 0
        self._storage.set_state(self.name, "running")
        ended = "failed"
        try:
            self._restore()
            self._state = "running"
            if not self.database.registered:
                self._evaluate_first(budget)
            ended = self._loop(budget)
        finally:
            try:
                self._ledger.note(self._recorded())
                self._ledger.commit()
            finally:
                self._state = ended
                self._storage.set_state(self.name, ended)
                self._progress = self._snapshot()
        return self._progress

    def stop(self) -> None:
        """Makes `run` return soon; may be called from any thread or a signal handler."""
        self._stop_asked.set()

    @property
    def samples(self) -> int:
        """Returns how many samples there are; from any thread."""
        return self._progress.samples

    @property
    def held(self) -> bool:
        """Returns whether it has come to `hold_at`, with all samples evaluated and saved; from any thread."""
        return self._held

    def progress(self) -> Progress:
        """Returns how the run stands; may be called from any thread."""
        return self._progress

    def best(self) -> Best:
        """Returns the best program so far.

        Raises:
            ProblemError: nothing has been registered yet.
        """
        best = self.database.best
        if best is None:
            raise ProblemError(f"The run {self.name} has no program with a score yet: let it run first.")
        scores = {
            name: score for name, score in zip(self.problem.inputs, best.scores, strict=True) if score is not None
        }
        return Best(best.id, best.score, scores, self.problem.specification.function_source(best.function))

    def close(self) -> None:
        """Ends the workers and gives the run free; a storage that was handed in stays open."""
        self._workers.close()
        self._lease.__exit__(None, None, None)
        if self._owns_storage:
            self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _loop(self, budget: Budget) -> str:
        while True:
            stop = self._why_stop(budget)
            if stop == "interrupted" or (stop and not self.database.registered):
                return stop
            if stop in ("minutes", "target"):
                self._workers.abandon_prompts()
                self._promised.clear()
                self._to_ask.clear()
            if stop and self._idle():
                return stop
            if not stop:
                self._draw(budget)
            if self._ledger.is_time_to_note():
                self._ledger.note(self._recorded())
            self._ledger.commit()
            self._held = self._spoken_for() >= (self.hold_at or math.inf) and self._idle()
            self._ask()
            for result in self._workers.wait(WAIT_SECONDS):
                self._handle(result)
            self._reset_by_clock()
            self._progress = self._snapshot()

    def _why_stop(self, budget: Budget) -> str | None:
        best = self.database.best
        if self._stop_asked.is_set():
            return "interrupted"
        if budget.target is not None and best is not None and best.score >= budget.target:
            return "target"
        if budget.minutes is not None and self._clock() - self._started >= budget.minutes * 60:
            return "minutes"
        if self._exhausted:
            return "exhausted"
        if budget.samples is not None and self._spoken_for() >= budget.samples:
            return "samples"
        if budget.cost is not None and self._cost() >= budget.cost:
            return "cost"
        return None

    def _cost(self) -> float:
        usage = self._ledger.counts.usage
        cost = self.settings.cost(usage)
        if cost is None:
            model = next(model for model in usage if self.settings.cost({model: usage[model]}) is None)
            raise ConfigError(
                f"There is no price for the model {model}, so --max-cost cannot be kept: give {json.dumps(model)} a "
                "`prompt` and a `completion` price in the settings' section `prices`; 0 if it costs nothing."
            )
        return cost

    def _spoken_for(self) -> int:
        """Returns how many samples there are, those promised by prompts in flight included."""
        return self._ledger.counts.samples + sum(self._promised.values())

    def _draw(self, budget: Budget) -> None:
        """Draws prompts until enough are in flight, the budget is spoken for, or the evaluators fall behind."""
        per_prompt = self.settings.samples_per_prompt
        limit = self._in_flight = self._adapted(self._in_flight)
        while self._workers.asking + len(self._to_ask) < limit:
            if self._workers.evaluating > max(EVALUATION_BACKLOG * limit * per_prompt, self._workers.appetite):
                return
            at_most = min(per_prompt, self._allowed(budget))
            if at_most <= 0:
                return
            prompt = self._left.popleft() if self._left else self._ledger.draw()
            self._promised[prompt.index] = at_most
            self._to_ask.append(prompt)

    def _allowed(self, budget: Budget) -> int:
        """Returns how many more samples may be asked for now."""
        limits = [limit for limit in (budget.samples, self.hold_at) if limit is not None]
        return min(limits) - self._spoken_for() if limits else self.settings.samples_per_prompt

    def _idle(self) -> bool:
        return not self._workers.asking and not self._workers.evaluating and not self._to_ask

    def _adapted(self, limit: int) -> int:
        """Returns how many prompts to keep with the model, by how many samples wait in its queue.

        Too few, and it idles; too many, and prompts are old when they are answered.
        """
        models = max(1, self._workers.samplers)
        least, most = models * self.settings.in_flight(), models * self.settings.most_in_flight()
        limit = min(max(limit, least), most)
        waiting, target = self._workers.waiting(), models * self.settings.queue_target()
        if waiting is None:
            return limit
        if waiting < target:
            return min(limit + -(-(target - waiting) // self.settings.samples_per_prompt), most)
        return max(limit - 1, least) if waiting > 2 * target else limit

    def _ask(self) -> None:
        """Passes the drawn prompts to the model; only now, when they are written down."""
        for prompt in self._to_ask:
            self._workers.ask(prompt, self._promised[prompt.index])
        self._to_ask.clear()

    def _handle(self, result: WorkResult) -> None:
        before = self.database.best
        if isinstance(result, Sampled):
            self._promised.pop(result.prompt.index, None)
            self._session_samples += len(result.samples)
            self._session_tokens += sum(sample.tokens for sample in result.samples)
            self._evaluate(self._ledger.take(result.samples))
        elif isinstance(result, Exhausted):
            self._promised.pop(result.prompt.index, None)
            self._exhausted = True
        else:
            self._evaluate(self._ledger.conclude(result.job, result.outcome))
        best = self.database.best
        if best is not None and best is not before:
            logger.info("new best: %s (program %d)", best.score, best.id)

    def _evaluate(self, jobs: Sequence[Job]) -> None:
        best = self.database.best
        self._workers.evaluate(jobs, None if best is None else best.score)

    def _reset_by_clock(self) -> None:
        minutes = self.settings.reset_minutes
        if minutes is not None and self._clock() - self._last_reset >= minutes * 60:
            self._last_reset = self._clock()
            self._ledger.reset()

    def _restore(self) -> None:
        """Brings a run that stood in the database back to where it was, and takes up what was left lying."""
        if self._restored:
            return
        for done in self._ledger.restore():
            if done:
                logger.info("restored %d evaluations", done)
        self._restored = True
        if not self.database.registered:
            return
        self._first_score = self.database.program(0).score
        self._evaluate(self._ledger.sift(list(self._storage.unevaluated(self.name))))
        self._left.extend(self._storage.unanswered(self.name))

    def _evaluate_first(self, budget: Budget) -> None:
        job = self._ledger.first_job()
        self._evaluate([job])
        results: list[WorkResult] = []
        while not results and self._why_stop(budget) not in ("interrupted", "minutes"):
            results = self._workers.wait(WAIT_SECONDS)
        for result in results:
            assert not isinstance(result, Sampled | Exhausted)
            if result.outcome.status is not Status.OK:
                raise ProblemError(
                    f"The first program of {self.problem.name} gets no score: {result.outcome.status}: "
                    f"{result.outcome.error.strip()}. See `funsearch check`."
                )
            self._first_score = result.outcome.score
            self._ledger.register_first(job, result.outcome)

    def _snapshot(self) -> Progress:
        counts, best = self._ledger.counts, self.database.best
        return Progress(
            self.name,
            self.problem.name,
            self._state,
            counts.samples,
            counts.evaluated,
            counts.valid,
            counts.duplicates,
            counts.registered,
            counts.tokens,
            best.score if best else None,
            best.id if best else None,
            self._clock() - self._started,
            self._session_samples,
            self._session_tokens,
            self._workers.asking,
            self._workers.evaluating,
            self._islands(),
            dict(counts.statuses),
            self._sandbox_level,
            self._first_score,
            cost=self.settings.cost(counts.usage) if self.settings.prices else None,
            samplers=self._workers.samplers,
            evaluators=self._workers.evaluators,
        )

    def _recorded(self) -> Snapshot:
        counts, best = self._ledger.counts, self.database.best
        return Snapshot(
            self.database.registered,
            time.time(),
            self._clock() - self._started,
            counts.samples,
            counts.evaluated,
            counts.valid,
            counts.duplicates,
            best.score if best else None,
            self._workers.asking,
            self._workers.evaluating,
            dict(counts.statuses),
            dict(counts.usage),
            self._islands(),
            self._workers.samplers,
            self._workers.evaluators,
        )

    def _islands(self) -> tuple[IslandView, ...]:
        return tuple(
            IslandView(i.programs, i.clusters, i.resets, i.best.score if i.best else None)
            for i in self.database.islands
        )

"""The loop of a search: keeps the samplers busy, passes programs to the evaluators, and decides when to stop.

FunSearch (Methods, "Overview"): the loop around the programs database. Budgets, back-pressure and stopping are handled
only here; the ledger records the events, and the workers do the work.
"""

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from funsearch.core.database import ProgramsDatabase
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import RunStorage
from funsearch.core.records import IslandView, Prompt, RunRecord, Snapshot, Status, Tally
from funsearch.errors import ConfigError, ProblemError
from funsearch.loading import Problem
from funsearch.search.flow import Flow
from funsearch.search.ledger import Ledger
from funsearch.search.progress import Progress
from funsearch.search.workers import NO_WORKERS, Exhausted, Job, Sampled, Scored, Workers, WorkResult
from funsearch.settings.search import Settings

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits at which a search stops. None: no such limit."""

    samples: int | None = None
    """Over the run's whole life."""
    minutes: float | None = None
    """Of the present session."""
    target: float | None = None
    """Stops once a program scores at least this."""
    cost: float | None = None
    """Over the run's whole life, by `Settings.prices`. Samples in flight when the limit is reached are paid on top."""


class Companion(Protocol):
    """Accompanies a search, as self-training does. Used by the search's thread."""

    @property
    def doing(self) -> str | None:
        """Description of the present work; None for none."""

    @property
    def outcome(self) -> str | None:
        """The latest outcome; None if there is none yet."""

    def turn(self, samples: int, settled: bool) -> int | None:
        """Returns the number of samples at which the search pauses for now; None for no such limit.

        Called on every turn of the loop.

        Args:
            samples: recorded so far, over the run's whole life.
            settled: whether the limit is reached, and every sample is evaluated and saved.
        """


class SearchLoop:
    """One session of a run, which is recorded in the storage and whose lease is held."""

    def __init__(
        self,
        run: RunRecord,
        problem: Problem,
        settings: Settings,
        storage: RunStorage,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares the loop; nothing is read or written yet.

        Args:
            run: the record of the run.
            problem: of the run.
            settings: of the run.
            storage: that holds the run.
            clock: monotonic, in seconds.
        """
        self.name = run.name
        self.database: ProgramsDatabase = problem.database(settings.database, settings.seed)
        self.ledger = Ledger(run.name, problem.specification, self.database, storage, run.sandbox)
        self.companion: Companion | None = None
        self._problem = problem
        self._settings = settings
        self._storage = storage
        self._workers: Workers = NO_WORKERS
        self._sandbox_level = run.sandbox
        self._clock = clock
        self._flow = Flow(settings)
        self._stop_requested = threading.Event()
        self._drawn: list[Prompt] = []
        self._unanswered: deque[Prompt] = deque()
        self._hold_at: int | None = None
        self._exhausted = self._restored = False
        self._state, self._stopped = "starting", ""
        self._started = self._last_reset = clock()
        self._session_samples = self._session_tokens = 0
        self._progress = self._current_progress()

    def run(
        self, budget: Budget, workers: Workers, watch: Callable[[Progress], None] = lambda progress: None
    ) -> Progress:
        """Searches until a budget is used up, the sampler is exhausted or `stop` is called; returns the progress.

        Args:
            budget: when to stop.
            workers: that sample and evaluate; they stay open.
            watch: called with the progress on every turn of the loop.

        Raises:
            ProblemError: the first program gets no score.
            SamplerError, SandboxError, StorageError: the search cannot continue; finished work is saved.
            ConfigError: the cost is limited, and a model has no price.
        """
        self._started = self._last_reset = self._clock()
        self._exhausted = False
        self._session_samples = self._session_tokens = 0
        self._workers = workers
        self._abandon_prompts()  # of a session that failed
        with self._session() as session:
            self._evaluate(self.restore())
            self._state, self._stopped = "running", ""
            if not self.database.registered:
                self._evaluate_first(budget)
            session.end(self._turns(budget, watch))
        return self._progress

    def restore(self) -> list[Job]:
        """Restores the run from the storage and returns the jobs that were left unfinished; later calls do nothing."""
        if self._restored:
            return []
        for done in self.ledger.restore():
            if done:
                logger.info("restored %d evaluations", done)
        self._restored = True
        if not self.database.registered:
            return []
        self._unanswered.extend(self._storage.unanswered(self.name))
        return self.ledger.pending_jobs(list(self._storage.unevaluated(self.name)))

    def stop(self) -> None:
        """Makes `run` return soon; may be called from any thread or a signal handler."""
        self._stop_requested.set()

    def progress(self) -> Progress:
        """Returns the progress of the run; may be called from any thread."""
        return self._progress

    def next_prompt(self) -> Prompt:
        """Returns a prompt that was drawn and never answered; if there is none, draws the next one."""
        return self._unanswered.popleft() if self._unanswered else self.ledger.draw_prompt()

    def record_first(self, job: Job, outcome: Outcome) -> None:
        """Registers the first program on every island.

        Raises:
            ProblemError: it has no score.
        """
        if outcome.status is not Status.OK:
            raise ProblemError(
                f"The first program of {self._problem.name} gets no score: {outcome.status}: "
                f"{outcome.error.strip()}. See `funsearch check`."
            )
        self.ledger.record_first(job, outcome)

    def save(self) -> None:
        """Writes a snapshot and all events that are not written yet."""
        self.ledger.record_snapshot(self._snapshot())
        self.ledger.commit()
        self._progress = self._current_progress()

    @contextmanager
    def _session(self) -> Iterator["_Session"]:
        """Records that the run is running; at the end, saves everything and records how it ended."""
        session = _Session()
        self._storage.set_state(self.name, "running")
        try:
            yield session
        except KeyboardInterrupt:
            session.end("interrupted")
            raise
        finally:
            self._stop_requested.clear()
            try:
                self.save()
            finally:
                self._state, self._stopped = session.state, session.stopped
                self._storage.set_state(self.name, session.state, session.stopped)
                self._progress = self._current_progress()

    def _turns(self, budget: Budget, watch: Callable[[Progress], None]) -> str:
        """Runs the loop; returns why it stopped."""
        while True:
            self._save()
            self._consult_companion()
            reason = self._reason_to_stop(budget)
            if reason == "interrupted" or (reason and not self.database.registered):
                return reason
            if reason in ("minutes", "target"):
                self._abandon_prompts()
            if reason and self._idle():
                return reason
            if not reason:
                self._draw(budget)
            self._save()
            self._sample()
            for result in self._workers.wait(WAIT_SECONDS):
                self._handle(result)
            self._reset_by_clock()
            self._progress = self._current_progress()
            watch(self._progress)

    def _reason_to_stop(self, budget: Budget) -> str | None:
        best = self.database.best
        if self._stop_requested.is_set():
            return "interrupted"
        if budget.target is not None and best is not None and best.score >= budget.target:
            return "target"
        if budget.minutes is not None and self._clock() - self._started >= budget.minutes * 60:
            return "minutes"
        if self._exhausted:
            return "exhausted"
        if budget.samples is not None and self._committed_samples() >= budget.samples:
            return "samples"
        if budget.cost is not None and self._cost() >= budget.cost:
            return "cost"
        return None

    def _cost(self) -> float:
        usage = self.ledger.tally.usage
        cost = self._settings.cost(usage)
        if cost is None:
            model = next(model for model in usage if self._settings.cost({model: usage[model]}) is None)
            raise ConfigError(
                f"The model {model} has no price, so the cost cannot be limited: give {json.dumps(model)} a `prompt` "
                "and a `completion` price in the settings' section `prices`; 0 if it costs nothing."
            )
        return cost

    def _committed_samples(self) -> int:
        """Returns the number of samples, including those that prompts in flight may still bring."""
        return self.ledger.tally.samples + self._flow.promised

    def _draw(self, budget: Budget) -> None:
        """Draws prompts until enough are in flight, the budget is used up, or the evaluators fall behind."""
        self._flow.adapt(self._workers)
        while self._flow.room(self._workers, len(self._drawn)) > 0:
            count = min(self._settings.samples_per_prompt, self._samples_left(budget))
            if count <= 0:
                return
            prompt = self.next_prompt()
            self._flow.promise(prompt, count)
            self._drawn.append(prompt)

    def _samples_left(self, budget: Budget) -> int:
        """Returns how many more samples may be requested now."""
        limits = [limit for limit in (budget.samples, self._hold_at) if limit is not None]
        return min(limits) - self._committed_samples() if limits else self._settings.samples_per_prompt

    def _save(self) -> None:
        if self.ledger.snapshot_due():
            self.ledger.record_snapshot(self._snapshot())
        self.ledger.commit()

    def _consult_companion(self) -> None:
        if self.companion is not None:
            settled = self._committed_samples() >= (self._hold_at or math.inf) and self._idle()
            self._hold_at = self.companion.turn(self.ledger.tally.samples, settled)

    def _sample(self) -> None:
        """Hands the drawn prompts to the samplers, once they are recorded."""
        for prompt in self._drawn:
            self._workers.sample(prompt, self._flow.promised_to(prompt))
        self._drawn.clear()

    def _idle(self) -> bool:
        return not self._workers.sampling and not self._workers.evaluating and not self._drawn

    def _abandon_prompts(self) -> None:
        """Takes back the prompts in flight; a later session asks for their samples again."""
        self._workers.abandon_prompts()
        self._unanswered.extend(self._flow.abandon())
        self._drawn.clear()

    def _handle(self, result: WorkResult) -> None:
        before = self.database.best
        match result:
            case Sampled(prompt, samples):
                self._flow.settle(prompt)
                self._session_samples += len(samples)
                self._session_tokens += sum(sample.tokens for sample in samples)
                self._evaluate(self.ledger.record_samples(samples))
            case Exhausted(prompt):
                self._flow.settle(prompt)
                self._exhausted = True
            case Scored(job, outcome):
                self._evaluate(self.ledger.record_outcome(job, outcome))
        best = self.database.best
        if best is not None and best is not before:
            logger.info("new best: %s (program %d)", best.score, best.id)

    def _evaluate(self, jobs: Sequence[Job]) -> None:
        best = self.database.best
        self._workers.evaluate(jobs, None if best is None else best.score)

    def _reset_by_clock(self) -> None:
        minutes = self._settings.reset_minutes
        if minutes is not None and self._clock() - self._last_reset >= minutes * 60:
            self._last_reset = self._clock()
            self.ledger.reset()

    def _evaluate_first(self, budget: Budget) -> None:
        job = self.ledger.first_job()
        self._evaluate([job])
        results: list[WorkResult] = []
        while not results and self._reason_to_stop(budget) not in ("interrupted", "minutes"):
            results = self._workers.wait(WAIT_SECONDS)
        for result in results:
            assert isinstance(result, Scored)
            self.record_first(job, result.outcome)

    def _current_progress(self) -> Progress:
        best, settings, workers, companion = self.database.best, self._settings, self._workers, self.companion
        tally = self._tally()
        return Progress(
            **tally.fields(),
            run=self.name,
            problem=self._problem.name,
            state=self._state,
            stopped=self._stopped,
            best_program=best.id if best else None,
            cost=settings.cost(tally.usage) if settings.prices else None,
            seconds=self._clock() - self._started,
            session_samples=self._session_samples,
            session_tokens=self._session_tokens,
            sampling=workers.sampling,
            evaluating=workers.evaluating,
            samplers=workers.samplers,
            evaluators=workers.evaluators,
            islands=self._islands(),
            sandbox=self._sandbox_level,
            training=companion.doing if companion else None,
            trained=companion.outcome if companion else None,
        )

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            **self._tally().fields(),
            evaluations=self.database.registered,
            at=time.time(),
            seconds=self._clock() - self._started,
            sampling=self._workers.sampling,
            evaluating=self._workers.evaluating,
            islands=self._islands(),
            samplers=self._workers.samplers,
            evaluators=self._workers.evaluators,
        )

    def _tally(self) -> Tally:
        best = self.database.best
        return replace(self.ledger.tally, best_score=best.score if best else None)

    def _islands(self) -> tuple[IslandView, ...]:
        return tuple(
            IslandView(island.programs, island.clusters, island.resets, island.best.score if island.best else None)
            for island in self.database.islands
        )


@dataclass(slots=True)
class _Session:
    """How a session of a run ends: `failed`, unless it is told otherwise."""

    state: str = "failed"
    stopped: str = ""

    def end(self, reason: str) -> None:
        """Records the reason for which the session stopped."""
        self.state = "interrupted" if reason == "interrupted" else "finished"
        self.stopped = reason

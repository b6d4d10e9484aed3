"""Records a run: keeps the programs database in memory, the run in the storage and the counts consistent.

Events are collected in a buffer, which `commit` writes in one transaction and in order. A run is restored by
registering its recorded evaluations again. Knows nothing about samplers, evaluators and budgets.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from funsearch.core.code.identity import key
from funsearch.core.code.reading import UnreadableCompletion, read_completion
from funsearch.core.database import ProgramsDatabase, Registration
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Event, RunStorage
from funsearch.core.records import ALL_ISLANDS, Evaluation, Feedback, Prompt, Reset, Sample, Snapshot, Status, Tally
from funsearch.core.specification import Specification
from funsearch.search.workers import Job

FIRST_PROMPT = Prompt(index=ALL_ISLANDS, island=ALL_ISLANDS, resets=0, text="", version=0, parents=(), after=0)
"""The prompt of the specification's first program, which no model was asked for."""
SNAPSHOT_STEP, SNAPSHOTS = 4, 200
"""A snapshot is due after this many new evaluations, or after one for every 200 that are registered, whichever is more:
a million evaluations have 1,600 snapshots."""


class Ledger:
    """Draws prompts, records samples and the outcomes of their evaluations, and writes all of it to the storage."""

    def __init__(
        self, run: str, specification: Specification, database: ProgramsDatabase, storage: RunStorage, sandbox: str
    ) -> None:
        self.run = run
        self.database = database
        self.tally = Tally()
        self._specification = specification
        self._storage = storage
        self._sandbox = sandbox
        self._events: list[Event] = []
        self._waiting: dict[str, list[Job]] = {}
        self._snapshot_at = 0

    def first_job(self) -> Job:
        """Returns the first program as a job."""
        first = self._specification.first
        return Job(
            Sample(prompt=FIRST_PROMPT, index=0, text=first.body, model="specification", finish_reason="stop"),
            first,
            key(first),
        )

    def record_first(self, job: Job, outcome: Outcome) -> None:
        """Registers the first program on every island."""
        self._events += [FIRST_PROMPT, job.sample]
        self._register(outcome.of(job.sample, job.function, job.key, self._sandbox))

    def draw_prompt(self) -> Prompt:
        """Returns the next prompt of the run."""
        prompt = self.database.get_prompt()
        self.tally = self.tally.with_prompt()
        self._events.append(prompt)
        return prompt

    def record_samples(self, samples: Sequence[Sample]) -> list[Job]:
        """Records finished samples and returns the jobs to evaluate.

        Unreadable samples and duplicates are registered at once. A duplicate of a program that is being evaluated waits
        for the outcome of that evaluation.
        """
        self._events += samples
        for sample in samples:
            self.tally = self.tally.with_sample(sample)
        return self.pending_jobs(samples)

    def pending_jobs(self, samples: Sequence[Sample]) -> list[Job]:
        """Returns the jobs to evaluate for samples that are already recorded."""
        jobs = []
        for sample in samples:
            try:
                function = read_completion(self._specification, sample.text, sample.prompt.version)
            except UnreadableCompletion as unreadable:
                self._register(
                    Evaluation(sample=sample, status=Status.COMPILE_ERROR, function=None, error=str(unreadable))
                )
                continue
            job = Job(sample, function, key(function))
            if job.key in self._waiting:
                self._waiting[job.key].append(job)
            elif not self._register_duplicate(job):
                self._waiting[job.key] = []
                jobs.append(job)
        return jobs

    def record_outcome(self, job: Job, outcome: Outcome) -> list[Job]:
        """Registers the outcome of a job, also for the duplicates that waited for it; returns further jobs to evaluate.

        There is a further job if the evaluation failed through no fault of the program: the first of the waiting
        duplicates is then evaluated.
        """
        self._register(outcome.of(job.sample, job.function, job.key, self._sandbox))
        waiting = self._waiting.pop(job.key, [])
        if outcome.status is Status.INFRA and waiting:
            self._waiting[job.key] = waiting[1:]
            return waiting[:1]
        for duplicate in waiting:
            self._register_duplicate(duplicate)
        return []

    def reset(self) -> Reset:
        """Resets the weaker islands now; for runs that reset islands by the clock."""
        reset = self.database.reset_islands()
        self._events.append(reset)
        return reset

    def record_snapshot(self, snapshot: Snapshot) -> None:
        """Records a snapshot with the next commit, unless nothing was registered since the last one."""
        if snapshot.evaluations > self._snapshot_at:
            self._snapshot_at = snapshot.evaluations
            self._events.append(snapshot)

    def snapshot_due(self) -> bool:
        """Returns whether enough evaluations were registered since the last snapshot."""
        new = self.database.registered - self._snapshot_at
        return new >= max(SNAPSHOT_STEP, self.database.registered // SNAPSHOTS)

    def commit(self) -> None:
        """Writes all events since the last commit in one transaction."""
        if self._events:
            self._storage.append(self.run, self._events)
            self._events = []

    def restore(self) -> Iterator[int]:
        """Registers all recorded evaluations; yields the number of evaluations so far from time to time.

        The programs database is afterwards what it was after the last commit. Resets by the clock are repeated at the
        same places.
        """
        gc.disable()  # nothing here is garbage, and collecting takes a third of the time
        try:
            yield from self._register_again()
        finally:
            gc.enable()
        counts = self._storage.counts(self.run)
        self.tally = replace(
            self.tally,
            prompts=counts.prompts,
            samples=counts.samples,
            tokens=counts.tokens,
            usage=self._storage.usage(self.run),
        )
        self._snapshot_at = self.database.registered
        self.database.next_prompt = counts.prompts

    def _register_again(self) -> Iterator[int]:
        resets = Counter(reset.after for reset in self._storage.resets(self.run))
        done = 0
        for done, evaluation in enumerate(self._storage.registered(self.run), start=1):
            registration = self.database.register(evaluation)
            self.tally = self.tally.with_evaluation(evaluation, registered=registration.program is not None)
            for _ in range(resets[done] if registration.reset is None else 0):
                self.database.reset_islands()
            if done % 10_000 == 0:
                yield done
        yield done

    def _register_duplicate(self, job: Job) -> bool:
        """Registers a job with the outcome of the same program; returns False if that has not been evaluated yet."""
        original = self.database.key_id(job.key)
        if original is None:
            return False
        self.commit()
        first = self._storage.program(self.run, original)
        if first.status is Status.INFRA:
            return False
        self._register(
            Evaluation(
                sample=job.sample,
                status=first.status,
                function=job.function,
                key=job.key,
                scores=first.scores,
                error=first.error,
                sandbox=first.sandbox,
                duplicate_of=original,
                score=first.score,
                stage=first.stage,
                feedback={
                    name: Feedback(feedback.notes) for name, feedback in first.feedback.items() if feedback.notes
                },
            )
        )
        return True

    def _register(self, evaluation: Evaluation) -> Registration:
        self._events.append(evaluation)
        registration = self.database.register(evaluation)
        if registration.reset is not None:
            self._events.append(registration.reset)
        self.tally = self.tally.with_evaluation(evaluation, registered=registration.program is not None)
        return registration

"""The books of a run: the programs database in memory, the same in storage, and the counts, kept in step.

Knows nothing about who samples and evaluates, nor about budgets. Every event goes into one buffer and is written by
`commit` in one transaction, in the order in which it happened; restoring is registering the written evaluations again.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence

from funsearch.core.code.identity import key
from funsearch.core.code.reading import UnreadableCompletion, read_completion
from funsearch.core.database import ProgramsDatabase, Registration
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Event, RunStorage
from funsearch.core.records import ALL_ISLANDS, Evaluation, Feedback, Prompt, Reset, Sample, Snapshot, Status
from funsearch.core.specification import Specification
from funsearch.search.progress import Counts
from funsearch.search.workers import Job

FIRST_PROMPT = Prompt(ALL_ISLANDS, ALL_ISLANDS, 0, "", 0, (), 0)
"""Stands for the prompt that nobody asked: the specification's own first program answers it."""
SNAPSHOT_STEP, SNAPSHOTS = 4, 200
"""Evaluations between two snapshots: few at first, later so many that a million evaluations come to 1,600 snapshots."""


class Ledger:
    """Draws prompts, takes in samples and outcomes, and writes all of it down."""

    def __init__(
        self, run: str, specification: Specification, database: ProgramsDatabase, storage: RunStorage, sandbox: str
    ) -> None:
        self.run = run
        self.database = database
        self.counts = Counts()
        self._specification = specification
        self._storage = storage
        self._sandbox = sandbox
        self._events: list[Event] = []
        self._waiting: dict[str, list[Job]] = {}
        self._snapshot_at = 0

    def first_job(self) -> Job:
        """Returns the first program as a job."""
        first = self._specification.first
        return Job(Sample(FIRST_PROMPT, 0, first.body, "specification", "stop"), first, key(first))

    def record_first(self, job: Job, outcome: Outcome) -> None:
        """Registers the first program on every island."""
        self._events += [FIRST_PROMPT, job.sample]
        self._register(outcome.of(job.sample, job.function, job.key, self._sandbox))

    def draw_prompt(self) -> Prompt:
        """Returns the next prompt of the run."""
        prompt = self.database.get_prompt()
        self._events.append(prompt)
        return prompt

    def record_samples(self, samples: Sequence[Sample]) -> list[Job]:
        """Takes in finished samples and returns what has to be evaluated of them.

        Unreadable ones and known programs get their verdict at once; a program that is being evaluated already waits
        for that outcome.
        """
        self._events += samples
        for sample in samples:
            self.counts.take(sample)
        return self.pending_jobs(samples)

    def pending_jobs(self, samples: Sequence[Sample]) -> list[Job]:
        """Returns what has to be evaluated of samples that are written down already."""
        jobs = []
        for sample in samples:
            try:
                function = read_completion(self._specification, sample.text, sample.prompt.version)
            except UnreadableCompletion as unreadable:
                self._register(Evaluation(sample, Status.COMPILE_ERROR, None, error=str(unreadable)))
                continue
            job = Job(sample, function, key(function))
            if job.key in self._waiting:
                self._waiting[job.key].append(job)
            elif not self._repeat(job):
                self._waiting[job.key] = []
                jobs.append(job)
        return jobs

    def record_outcome(self, job: Job, outcome: Outcome) -> list[Job]:
        """Registers a verdict, and it again for every sample that waited for it.

        Returns what has to be evaluated after all: a verdict that is our own fault is nobody else's outcome.
        """
        self._register(outcome.of(job.sample, job.function, job.key, self._sandbox))
        waiting = self._waiting.pop(job.key, [])
        if outcome.status is Status.INFRA and waiting:
            self._waiting[job.key] = waiting[1:]
            return waiting[:1]
        for twin in waiting:
            self._repeat(twin)
        return []

    def reset(self) -> Reset:
        """Resets the weaker islands now; for runs that reset by the clock."""
        reset = self.database.reset_islands()
        self._events.append(reset)
        return reset

    def record_snapshot(self, snapshot: Snapshot) -> None:
        """Writes down with the next commit how the run stands, if anything was registered since it last was."""
        if snapshot.evaluations > self._snapshot_at:
            self._snapshot_at = snapshot.evaluations
            self._events.append(snapshot)

    def snapshot_due(self) -> bool:
        """Returns whether enough happened since the last snapshot for the next one to tell something new."""
        new = self.database.registered - self._snapshot_at
        return new >= max(SNAPSHOT_STEP, self.database.registered // SNAPSHOTS)

    def commit(self) -> None:
        """Writes everything that happened since the last commit, in one transaction."""
        if self._events:
            self._storage.append(self.run, self._events)
            self._events = []

    def restore(self) -> Iterator[int]:
        """Registers everything that is written down; yields the number of evaluations now and then.

        Returns the database to what it was after the last commit. Resets by the clock are repeated where they stood.
        """
        gc.disable()  # nothing of this is garbage, and looking for some takes a third of the time
        try:
            yield from self._register_again()
        finally:
            gc.enable()
        self.counts.usage = dict(self._storage.usage(self.run))
        counts = self._storage.counts(self.run)
        self.counts.samples = counts.samples
        self._snapshot_at = self.database.registered
        self.database.next_prompt = counts.prompts

    def _register_again(self) -> Iterator[int]:
        resets = Counter(reset.after for reset in self._storage.resets(self.run))
        done = 0
        for done, evaluation in enumerate(self._storage.registered(self.run), start=1):
            registration = self.database.register(evaluation)
            self.counts.judge(evaluation, registration.program is not None)
            for _ in range(resets[done] if registration.reset is None else 0):
                self.database.reset_islands()
            if done % 10_000 == 0:
                yield done
        yield done

    def _repeat(self, job: Job) -> bool:
        """Registers a program that was evaluated before with its scores of then; False if it never was."""
        known = self.database.key_id(job.key)
        if known is None:
            return False
        self.commit()
        first = self._storage.program(self.run, known)
        if first.status is Status.INFRA:
            return False
        self._register(
            Evaluation(
                job.sample,
                first.status,
                job.function,
                job.key,
                first.scores,
                first.error,
                sandbox=first.sandbox,
                duplicate_of=known,
                score=first.score,
                stage=first.stage,
                feedback={name: Feedback(said.notes) for name, said in first.feedback.items() if said.notes},
            )
        )
        return True

    def _register(self, evaluation: Evaluation) -> Registration:
        self._events.append(evaluation)
        registration = self.database.register(evaluation)
        if registration.reset is not None:
            self._events.append(registration.reset)
        self.counts.judge(evaluation, registration.program is not None)
        return registration

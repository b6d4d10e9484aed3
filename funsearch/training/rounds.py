"""The rounds of ReST^EM: generate, score, select, improve, measure, publish or stop (Singh et al., algorithm 1).

Each step computes the rows that are missing in the storage, so a training that was killed resumes where it stopped. The
work is done by `funsearch.training.workers`, the decisions are made in `funsearch.rest_em`.
"""

import itertools
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from funsearch.core.completions import Policy, Sampling
from funsearch.errors import Interrupted, NothingSelected
from funsearch.rest_em.filtering import filter_answers, pair
from funsearch.rest_em.gate import Measurement, decide
from funsearch.rest_em.measurement import measure
from funsearch.rest_em.ports import Example, ImproveJob, ImproveProgress, RoundEvent, TaskSet, TrainingStorage
from funsearch.rest_em.records import (
    BASE_ROUND,
    Answer,
    Graded,
    Phase,
    RoundRecord,
    Selected,
    Split,
    Task,
    TrainingRecord,
)
from funsearch.settings.training import TrainingSettings
from funsearch.training.workers import AnswerRequest, ToGrade, TrainingWorkers

logger = logging.getLogger(__name__)

MEASURED = (Phase.GREEDY, Phase.SAMPLED)
GRADING_BATCH = 64
"""Answers in a batch for the graders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundProgress:
    """The progress of a training at one moment."""

    training: str
    round: int
    step: str
    """`generate`, `score`, `improve` or `measure`."""
    done: int
    total: int
    detail: str = ""


Watch = Callable[[RoundProgress], None]


class Rounds:
    """Runs the rounds of a training that are missing."""

    def __init__(
        self,
        record: TrainingRecord,
        settings: TrainingSettings,
        task_set: TaskSet,
        storage: TrainingStorage,
        workers: TrainingWorkers,
        *,
        chat: bool,
        folder: Path,
        start: Policy | None = None,
        watch: Watch = lambda progress: None,
    ) -> None:
        """Opens a recorded training.

        Args:
            record: of the training.
            settings: of the training; those that may change may differ from the record.
            task_set: whose tasks the training has; gives the stop texts and the length of answers.
            storage: that holds the training.
            workers: that generate and grade answers, and train policies.
            chat: whether tasks are messages in a chat.
            folder: for the policies, each of which gets a folder of its own.
            start: the policy to improve on, which answers in the first round; None: the base model.
            watch: called with the progress.
        """
        self.name = record.name
        self._model = record.model
        self._settings = settings
        self._set = task_set
        self._storage = storage
        self._workers = workers
        self._chat = chat
        self._folder = folder
        self._start = start or Policy(name="", round=BASE_ROUND, base=record.model)
        self._watch = watch
        self._tasks = storage.tasks(record.name)
        self._of_index = {task.index: task for task in self._tasks}

    def run(self) -> list[RoundRecord]:
        """Runs rounds until the number in the settings is reached or the gate stops the training; returns all rounds.

        Raises:
            FunsearchError: a step failed; finished work is saved, and another call resumes.
        """
        storage, name = self._storage, self.name
        with storage.lease_training(name):
            storage.set_training_state(name, "running")
            state, stopped = "failed", ""
            try:
                rounds = self._run()
                state, stopped = "finished", rounds[-1].stop or "rounds"
            except (KeyboardInterrupt, Interrupted):
                state = stopped = "interrupted"
                raise
            finally:
                storage.set_training_state(name, state, stopped)
        return rounds

    def _run(self) -> list[RoundRecord]:
        while True:
            rounds = self._storage.rounds(self.name)
            if rounds and (rounds[-1].stop or len(rounds) > self._settings.rounds):
                return rounds
            record = self._round(len(rounds), rounds)
            self._storage.append_round(self.name, [record])
            logger.info("round %d: %s", record.round, record.reason)

    def _round(self, round: int, before: Sequence[RoundRecord]) -> RoundRecord:
        policies = {policy.round: policy for policy in self._storage.policies(self.name)}
        if round == BASE_ROUND:
            start = replace(self._start, name=f"{self.name}@{BASE_ROUND}", round=BASE_ROUND)
            policy = policies.get(round) or self._keep(start)
            self._measure(round, policy)
            figures = {str(split): measured.figures() for split, measured in self._measurement(round).items()}
            return RoundRecord(
                round=round,
                policy=policy.name,
                samples=0,
                correct=0,
                selected=0,
                figures=figures,
                published=True,
                stop="",
                reason=self._start.name or "the base model",
            )
        best = max(record.round for record in before if record.published)
        selected = self._storage.selected(self.name, round)
        if not selected:
            self._generate(round, policies[best])
        graded = list(self._storage.graded(self.name, round, Phase.GENERATE))
        selected = selected or self._select(round, graded)
        policy = policies.get(round) or self._improve(round, graded, selected)
        self._measure(round, policy)
        measurement = self._measurement(round)
        decision = decide(
            measurement, self._measurement(best), self._settings.gate, seed=self._settings.seed, round=round
        )
        return RoundRecord(
            round=round,
            policy=policy.name,
            samples=len(graded),
            correct=sum(answer.grade.reward > 0 for answer in graded),
            selected=len(selected),
            figures={str(split): measured.figures() for split, measured in measurement.items()},
            published=decision.published,
            stop=decision.stop,
            reason=decision.reason,
            gain=decision.gain,
        )

    def _keep(self, policy: Policy) -> Policy:
        self._storage.append_round(self.name, [policy])
        return policy

    def _generate(self, round: int, policy: Policy) -> None:
        """The E-step: generates and grades answers to the training tasks, or takes the answers that the tasks have."""
        train = [task for task in self._tasks if task.split is Split.TRAIN]
        recorded = list(self._set.recorded(train)) if round == BASE_ROUND + 1 else []
        if recorded:
            if not self._storage.answered(self.name, round, Phase.GENERATE):
                events: list[RoundEvent] = [graded.answer for graded in recorded]
                self._storage.append_round(self.name, [*events, *recorded])
            return
        settings = self._settings.generate
        sampling = self._sampling(settings.temperature, settings.top_k, settings.top_p)
        self._ask(round, Phase.GENERATE, train, self._settings.samples_per_task, sampling, policy, "generate")
        self._grade(round, Phase.GENERATE, "score")

    def _select(self, round: int, graded: Sequence[Graded]) -> list[Selected]:
        """Filters the answers to train on.

        Raises:
            NothingSelected: no answer passes the filter.
        """
        settings = self._settings
        config = settings.selection
        if config.across_tasks is None:
            config = replace(config, across_tasks=self._set.across_tasks)
        selected = filter_answers(self._tasks, graded, config, seed=settings.seed, round=round)
        if settings.trainer.method == "dpo":
            selected = pair(selected, graded, seed=settings.seed, round=round)
        if not selected:
            right = sum(answer.grade.reward > 0 for answer in graded)
            raise NothingSelected(
                f"Nothing to train on in round {round} of {self.name}: {right} of {len(graded)} answers are right, and "
                "none passes the filter.",
                "Resume with a greater --samples-per-task, or train on easier tasks or with another model under "
                "another --name.",
            )
        self._storage.append_round(self.name, selected)
        return selected

    def _improve(self, round: int, graded: Sequence[Graded], selected: Sequence[Selected]) -> Policy:
        """The M-step: trains the base model on the selected answers."""
        name = f"{self.name}@{round}"
        options = self._settings.trainer
        answers = {(grading.answer.task, grading.answer.index): grading.answer for grading in graded}
        examples = [self._example(selection, answers) for selection in selected]
        job = ImproveJob(
            policy=name,
            base=self._model,
            folder=str(self._folder / f"round-{round}"),
            chat=self._chat,
            seed=zlib.crc32(f"{self._settings.seed} {round}".encode()),
            options=options,
        )

        def watch(progress: ImproveProgress) -> None:
            detail = "" if progress.loss is None else f"loss {progress.loss:.4f}"
            self._watch(
                RoundProgress(
                    training=self.name,
                    round=round,
                    step="improve",
                    done=progress.step,
                    total=progress.steps,
                    detail=detail,
                )
            )

        self._watch(
            RoundProgress(
                training=self.name, round=round, step="improve", done=0, total=0, detail=f"{len(examples)} examples"
            )
        )
        improved = self._workers.improve(job, examples, watch)
        return self._keep(
            Policy(
                name=name,
                round=round,
                base=self._model,
                folder=job.folder,
                kind=improved.kind,
                figures=improved.figures,
            )
        )

    def _example(self, selection: Selected, answers: dict[tuple[int, int], Answer]) -> Example:
        right = answers[selection.task, selection.answer]
        prompt = self._of_index[selection.task].prompt
        if selection.rejected is None:
            return Example(prompt, right.text, right.ending)
        wrong = answers[selection.task, selection.rejected]
        return Example(prompt, right.text, right.ending, wrong.text, wrong.ending)

    def _measure(self, round: int, policy: Policy) -> None:
        measured = self._measured()
        settings = self._settings.measure
        greedy = self._sampling(0.0, 0, 1.0)
        sampled = self._sampling(settings.temperature, 0, settings.top_p)
        self._ask(round, Phase.GREEDY, measured, 1, greedy, policy, "measure")
        self._ask(round, Phase.SAMPLED, measured, settings.samples, sampled, policy, "measure")
        for phase in MEASURED:
            self._grade(round, phase, "measure")

    def _measured(self) -> list[Task]:
        train = [task for task in self._tasks if task.split is Split.TRAIN][: self._settings.measure.train]
        return [*train, *(task for task in self._tasks if task.split is not Split.TRAIN)]

    def _measurement(self, round: int) -> Measurement:
        graded = (self._storage.graded(self.name, round, phase) for phase in MEASURED)
        return measure(self._tasks, itertools.chain.from_iterable(graded))

    def _ask(
        self, round: int, phase: Phase, tasks: Sequence[Task], count: int, sampling: Sampling, policy: Policy, step: str
    ) -> None:
        """Generates the answers that are missing, and saves each batch when it is complete."""
        recorded = self._storage.answered(self.name, round, phase)
        missing = [
            AnswerRequest(
                task=task,
                round=round,
                phase=phase,
                first=first,
                count=count - first,
                sampling=sampling,
                seed=self._seed(round, phase, task, first),
                chat=self._chat,
            )
            for task in tasks
            if (first := recorded.get(task.index, 0)) < count
        ]
        total = count * len(tasks)
        done = total - sum(request.count for request in missing)
        self._watch(
            RoundProgress(training=self.name, round=round, step=step, done=done, total=total, detail=policy.name)
        )
        for answers in self._workers.generate(self._batches(missing), policy):
            self._storage.append_round(self.name, answers)
            done += len(answers)
            self._watch(
                RoundProgress(training=self.name, round=round, step=step, done=done, total=total, detail=policy.name)
            )

    def _batches(self, missing: Sequence[AnswerRequest]) -> Iterator[list[AnswerRequest]]:
        batch: list[AnswerRequest] = []
        for request in missing:
            batch.append(request)
            if sum(request.count for request in batch) >= self._settings.batch_samples:
                yield batch
                batch = []
        if batch:
            yield batch

    def _grade(self, round: int, phase: Phase, step: str) -> None:
        """Grades the answers that have no grade yet."""
        answers = list(self._storage.ungraded(self.name, round, phase))
        batches = _in_batches([ToGrade(self._of_index[answer.task], answer) for answer in answers], GRADING_BATCH)
        done = 0
        for grades in _joined(self._workers.grade(batches), self._settings.batch_samples):
            self._storage.append_round(self.name, grades)
            done += len(grades)
            self._watch(
                RoundProgress(
                    training=self.name, round=round, step=step, done=done, total=len(answers), detail="grading"
                )
            )

    def _sampling(self, temperature: float, top_k: int, top_p: float) -> Sampling:
        max_tokens = self._settings.generate.max_tokens or self._set.max_tokens
        return Sampling(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=() if self._chat else self._set.stop,
        )

    def _seed(self, round: int, phase: Phase, task: Task, first: int) -> int:
        return zlib.crc32(f"{self._settings.seed} {round} {phase} {task.index} {first}".encode())


def _in_batches(items: Sequence[ToGrade], size: int) -> Iterator[Sequence[ToGrade]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _joined(batches: Iterable[list[Graded]], size: int) -> Iterator[list[Graded]]:
    """Joins batches until they hold at least `size` grades, since each batch is written in one transaction."""
    joined: list[Graded] = []
    for batch in batches:
        joined += batch
        if len(joined) >= size:
            yield joined
            joined = []
    if joined:
        yield joined

"""Self-training: a search trains its model on its own samples at intervals, and samples from the better policy.

A step is a training of one round on the samples of the search so far (`run:RUN`). It is recorded like any training: it
can be inspected, and it resumes where it stopped. Its policy must beat the one that samples for the search at present.

The steps run in a separate thread, which exchanges messages with the thread of the search and shares nothing else.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from funsearch.core.completions import Policy
from funsearch.errors import FunsearchError, Interrupted, NothingSelected
from funsearch.rest_em.records import BASE_ROUND, RoundRecord
from funsearch.samplers.model_folder import expanded
from funsearch.samplers.policies import check_policy
from funsearch.settings.training import SelfTraining, TrainingSettings
from funsearch.storage import SqlStorage
from funsearch.storage.retrying import Retrying, retrying
from funsearch.training.opening import Training, open_training
from funsearch.training.rounds import RoundProgress, Rounds
from funsearch.training.workers import TrainingWorkers

logger = logging.getLogger(__name__)

STOP_SECONDS = 20.0
"""Time for a step to stop when the search ends; its unsaved work is repeated in the next session."""


@dataclass(frozen=True, slots=True)
class _Doing:
    """Report on the progress of a step."""

    text: str


@dataclass(frozen=True, slots=True)
class _Ended:
    """Report on the end of a step."""

    step: int
    outcome: str
    policy: Policy | None = None
    """The policy to sample from now on; None: no change."""
    broken: bool = False
    """Whether there will be no further steps."""


class SelfTrainer:
    """Trains the model of a search while it runs. See `funsearch.search.loop.Companion`."""

    def __init__(
        self,
        search: str,
        train: SelfTraining,
        step: TrainingSettings,
        model: str,
        start: Policy | None,
        *,
        storage: Callable[[], SqlStorage],
        retrying_policy: Retrying,
        workers: Callable[[Training, Callable[[], bool]], TrainingWorkers],
        serve: Callable[[Policy], None],
    ) -> None:
        """Prepares the steps.

        Args:
            search: name of the run.
            train: when to train; `every` is set.
            step: the settings of each step.
            model: the base model of the search's sampler.
            start: the policy that the sampler serves at first; None: the model itself.
            storage: opens the database.
            retrying_policy: how to retry while the database is unavailable.
            workers: makes the workers of a step; its second argument returns whether they are to stop.
            serve: makes the search sample from a policy; called in the search's thread.
        """
        assert train.every
        self.doing: str | None = None
        """Progress of the present step; None between steps."""
        self.outcome: str | None = None
        """Outcome of the latest step."""
        self._every = train.every
        self._pause = train.pause
        self._settings = step
        self._tasks = f"run:{search}"
        self._model = expanded(model)
        self._policy = start
        self._storage = storage
        self._retrying = retrying_policy
        self._make_workers = workers
        self._serve = serve
        self._prefix = re.sub(r"[^\w.-]+", "-", search) + "-step"
        self._done = 0
        self._unfinished = 0
        """Number of a step that was started in an earlier session and has not ended; 0 for none."""
        self._running = self._broken = False
        self._orders: SimpleQueue[int] = SimpleQueue()
        self._reports: SimpleQueue[_Doing | _Ended] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run_steps, name="self-training", daemon=True)

    def begin(self) -> None:
        """Makes the search sample from the policy that was published last, and starts the thread.

        Raises:
            StorageError: the database cannot be read.
        """
        with closing(self._opened()) as storage:
            self._restore(storage)
        self._thread.start()

    def turn(self, samples: int, settled: bool) -> int | None:
        """Handles reports, starts a step when one is due, and returns the number of samples at which to wait for it."""
        while (report := _next(self._reports)) is not None:
            self._receive(report)
        due = self._unfinished or samples // self._every
        if due > self._done and not self._running and not self._broken and (settled or not self._pause):
            self._running = True
            self._orders.put(due)
        return (self._done + 1) * self._every if self._pause and not self._broken else None

    def stop(self) -> None:
        """Interrupts the present step, which the next session resumes; waits for it at most `STOP_SECONDS`."""
        self._stopped.set()
        self._orders.put(0)
        self._retrying.give_up()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _receive(self, report: _Doing | _Ended) -> None:
        if isinstance(report, _Doing):
            self.doing = report.text
            return
        self.doing, self.outcome = None, report.outcome
        self._done, self._unfinished = report.step, 0
        self._running, self._broken = False, report.broken
        if report.policy is not None:
            self._serve(report.policy)

    def _opened(self) -> SqlStorage:
        return retrying(self._retrying.retry(self._storage), self._retrying)

    def _restore(self, storage: SqlStorage) -> None:
        """Restores the outcome of the steps of earlier sessions."""
        for summary in storage.trainings():
            step = re.fullmatch(rf"{re.escape(self._prefix)}(\d+)", summary.name)
            if not step or (summary.tasks, summary.model) != (self._tasks, self._model):
                continue
            records, number = storage.rounds(summary.name), int(step[1])
            if len(records) > 1:
                policies = storage.policies(summary.name)
                self._receive(self._ended(number, lambda r=records[-1], p=policies[-1]: self._published(r, p)))  # type: ignore[misc]
            else:
                self._unfinished = number

    def _run_steps(self) -> None:
        """Runs the steps that `turn` orders; the body of the thread."""
        while step := self._orders.get():
            try:
                report = self._ended(step, lambda number=step: self._step(number))  # type: ignore[misc]
            except Interrupted:
                return
            # The search must not wait for this thread, whatever went wrong.
            except Exception as error:
                logger.exception("step %d of self-training failed", step)
                outcome = f"step {step}: {type(error).__name__}: {error} The search continues without self-training."
                report = _Ended(step, outcome, broken=True)
            self._reports.put(report)

    def _ended(self, step: int, work: Callable[[], tuple[str, Policy | None]]) -> _Ended:
        """Returns the report on a step: the outcome that `work` returns, or the reason why it failed.

        Raises:
            Interrupted: the search has ended.
        """
        try:
            outcome, policy = work()
            return _Ended(step, f"step {step}: {outcome}", policy)
        except Interrupted:
            raise
        except NothingSelected as error:
            return _Ended(step, f"step {step}: {error.what} The search continues.")
        except FunsearchError as error:
            return _Ended(step, f"step {step}: {error} The search continues.")

    def _step(self, number: int) -> tuple[str, Policy | None]:
        """Runs a step; returns its outcome and the policy that it published, if any."""
        self._reports.put(_Doing(f"step {number}: reading the samples"))
        with closing(self._opened()) as storage:
            name = f"{self._prefix}{number}"
            training = open_training(self._tasks, self._model, self._settings, name, storage, time.time())
            with closing(self._make_workers(training, self._stopped.is_set)) as workers:
                records = Rounds(
                    training.record,
                    training.settings,
                    training.task_set,
                    storage,
                    workers,
                    chat=training.chat,
                    folder=training.folder,
                    start=self._policy,
                    watch=lambda progress: self._reports.put(_Doing(_described(number, progress))),
                ).run()
            return self._published(records[-1], storage.policies(name)[-1])

    def _published(self, record: RoundRecord, policy: Policy) -> tuple[str, Policy | None]:
        """Returns a description of the gate's decision, and the policy if it was published.

        Raises:
            SamplerError: the policy cannot be loaded.
        """
        if record.round == BASE_ROUND or not record.published:
            return f"not published: {record.reason}", None
        check_policy(policy)
        self._policy = policy
        return f"published {policy.name}: {record.reason}", policy


def _described(step: int, progress: RoundProgress) -> str:
    share = f" {progress.done} of {progress.total}" if progress.total else ""
    return f"step {step}: {progress.step}{share} {progress.detail}"


def _next(reports: SimpleQueue[_Doing | _Ended]) -> _Doing | _Ended | None:
    try:
        return reports.get_nowait()
    except Empty:
        return None

"""Closes the loop: every so many samples a search trains its model on what it has found, and goes on with the better.

A step is a training of one round on the samples of the search so far (`run:RUN`), kept as any training is: it can be
looked at, and goes on where it stood. What it has to beat is the policy that writes for the search now.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing

from funsearch.errors import FunsearchError, Interrupted, NothingSelected, SamplerError
from funsearch.rest_em.records import BASE_ROUND, Policy, RoundRecord
from funsearch.samplers.model_folder import expanded
from funsearch.samplers.policies import check_policy
from funsearch.search.search import Search
from funsearch.settings.training import SelfTraining, TrainingSettings
from funsearch.storage import SqlStorage
from funsearch.storage.retrying import Retrying, retrying
from funsearch.training.opening import Training, open_training
from funsearch.training.rounds import RoundProgress, Rounds
from funsearch.training.workers import TrainingWorkers

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
STOP_SECONDS = 20.0
"""How long a step may take to end when the search does; what it does then is lost, and done again."""


class ClosedLoop:
    """Trains the model of a search while it runs, in a thread of its own."""

    def __init__(
        self,
        search: Search,
        train: SelfTraining,
        step: TrainingSettings,
        model: str,
        start: Policy | None,
        *,
        storage: Callable[[], SqlStorage],
        retrying_policy: Retrying,
        hands: Callable[[Training, Callable[[], bool]], TrainingWorkers],
        serve: Callable[[Policy], None],
    ) -> None:
        """Remembers what to do.

        Args:
            search: that it belongs to.
            train: when to do so; `every` is set.
            step: the settings of each step.
            model: the base model of its sampler.
            start: the policy that its sampler began with; None: the model itself.
            storage: opens the database.
            retrying_policy: with which it waits for the database.
            hands: makes who does the work of a step; its second argument tells them to stop.
            serve: has a policy write for the search.
        """
        assert train.every
        self._search = search
        self._every = train.every
        self._pause = train.pause
        self._settings = step
        self._tasks = f"run:{search.name}"
        self._model = expanded(model)
        self._policy = start
        self._storage = storage
        self._retrying = retrying_policy
        self._hands = hands
        self._serve = serve
        self._prefix = re.sub(r"[^\w.-]+", "-", search.name) + "-step"
        self._done = 0
        self._begun = 0
        """A step that was begun in an earlier session and has not ended."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="closed loop", daemon=True)
        self.doing: str | None = None
        """What is being done for a step now."""
        self.outcome: str | None = None
        """How the latest step ended."""

    def begin(self) -> None:
        """Has the policy that was published last write for the search, and starts to watch it.

        Raises:
            StorageError: the database cannot be read.
        """
        with closing(self._opened()) as storage:
            self._take_up(storage)
        if self._pause:
            self._search.hold_at = (self._done + 1) * self._every
        self._thread.start()

    def stop(self) -> None:
        """Ends the step that goes on, which the next session takes up; returns when it has ended, or soon."""
        self._stopped.set()
        self._retrying.give_up()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _opened(self) -> SqlStorage:
        return retrying(self._retrying.retry(self._storage), self._retrying)

    def _take_up(self, storage: SqlStorage) -> None:
        for summary in storage.trainings():
            step = re.fullmatch(rf"{re.escape(self._prefix)}(\d+)", summary.name)
            if not step or (summary.tasks, summary.model) != (self._tasks, self._model):
                continue
            records = storage.rounds(summary.name)
            if len(records) > 1:
                self._done, self._begun = max(self._done, int(step[1])), 0
                try:
                    self.outcome = f"step {step[1]}: {self._publish(records[-1], storage.policies(summary.name)[-1])}"
                except SamplerError as error:
                    self.outcome = f"step {step[1]}: {error} The search goes on without it."
            else:
                self._begun = int(step[1])

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            due = self._begun or self._search.samples // self._every
            if due <= self._done or (self._pause and not self._search.held):
                continue
            try:
                self.outcome = f"step {due}: {self._step(due)}"
            except Interrupted:
                return
            except NothingSelected as error:
                self.outcome = f"step {due}: {error.what} The search goes on."
            except FunsearchError as error:
                self.outcome = f"step {due}: {error} The search goes on."
            # Whatever else it is, the search shall not wait for a thread that is no more.
            except Exception as error:
                logger.exception("step %d of the training failed", due)
                self.outcome = f"step {due}: {type(error).__name__}: {error} The search goes on without training."
                self._search.hold_at = None
                return
            finally:
                self.doing = None
            self._done, self._begun = due, 0
            if self._pause:
                self._search.hold_at = (due + 1) * self._every

    def _step(self, number: int) -> str:
        """Returns how the step ended."""
        self.doing = f"step {number}: reading the samples"
        with closing(self._opened()) as storage:
            name = f"{self._prefix}{number}"
            training = open_training(self._tasks, self._model, self._settings, name, storage, time.time())
            with closing(self._hands(training, self._stopped.is_set)) as hands:
                records = Rounds(
                    training.record,
                    training.settings,
                    training.task_set,
                    storage,
                    hands,
                    chat=training.chat,
                    folder=training.folder,
                    start=self._policy,
                    watch=lambda progress: self._note(number, progress),
                ).run()
            return self._publish(records[-1], storage.policies(name)[-1])

    def _publish(self, record: RoundRecord, policy: Policy) -> str:
        if record.round == BASE_ROUND or not record.published:
            return f"not published: {record.reason}"
        check_policy(policy)
        self._policy = policy
        self._serve(policy)
        return f"published {policy.name}: {record.reason}"

    def _note(self, number: int, progress: RoundProgress) -> None:
        share = f" {progress.done} of {progress.total}" if progress.total else ""
        self.doing = f"step {number}: {progress.step}{share} {progress.detail}"

"""Starts a search on Ray: one driver actor that owns the run, and the process that watches it and starts it again.

`launch` is what the command line calls. The driver actor runs the search in one thread and answers `progress` and
`stop` in others.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayTaskError

from funsearch.cluster.metrics import Metrics
from funsearch.cluster.placement import warn_if_nowhere
from funsearch.cluster.search_workers import RayWorkers, hire
from funsearch.cluster.self_training import make_self_trainer
from funsearch.cluster.session import start_ray
from funsearch.core.ports import RunStorage
from funsearch.core.records import RunRecord
from funsearch.errors import FunsearchError, RunBusyError, first_line
from funsearch.loading import Problem, ProblemSource, load
from funsearch.search.loop import Budget, SearchLoop
from funsearch.search.progress import Progress
from funsearch.settings.search import Settings
from funsearch.storage import open_storage
from funsearch.storage.retrying import Retrying, retrying

logger = logging.getLogger(__name__)

NAMESPACE = "funsearch"
"""Ray's namespace in which drivers can be found by name."""
LEASE_SECONDS = 120.0
"""How long a server may take to notice that a machine is gone which held the run."""
RESTART_SECONDS = 300.0
"""How long Ray may take to start the driver again; a full cluster may have no room for a while."""
MAX_DEATHS = 5
"""How often in a row a driver may die without a new sample."""
POLL_SECONDS = 0.5
STOP_SECONDS = 30.0
"""How long the driver may take to save and leave once it is asked to stop."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What the driver actor needs, and nothing that cannot be sent."""

    run: RunRecord
    source: ProblemSource
    settings: Settings
    database: str
    on_cluster: bool


class SearchActor:
    """Owns one run. `run` blocks in its own thread while the others answer."""

    def __init__(self, launch: Launch) -> None:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
        self._launch = launch
        self._retrying = Retrying(launch.settings.storage_seconds)
        self._metrics = Metrics(launch.run.name)
        self._workers: RayWorkers | None = None
        self._search: SearchLoop | None = None
        self._stopped = False

    def run(self, budget: Budget) -> Progress:
        """Searches until the budget is used up or `stop` is called."""
        launch = self._launch
        problem = load(launch.source)
        with closing(self._retrying.retry(lambda: open_storage(launch.database))) as opened:
            storage = retrying(opened, self._retrying)
            with closing(self._hire(problem)) as self._workers, self._lease(storage):
                search = self._search = SearchLoop(launch.run, problem, launch.settings, storage)
                if self._stopped:
                    search.stop()
                with self._self_training(search, self._workers):
                    return self._with_trouble(search.run(budget, self._workers))

    def progress(self) -> Progress | None:
        if self._search is None:
            return None
        progress = self._with_trouble(self._search.progress())
        self._metrics.update(progress)
        return progress

    def resize(self, samplers: int | None, evaluators: int | Literal["auto"] | None) -> None:
        """Changes how many samplers and evaluators there shall be."""
        if self._workers:
            self._workers.resize(samplers, evaluators)

    def stop(self) -> None:
        self._stopped = True
        self._retrying.give_up()
        if self._search:
            self._search.stop()

    def _with_trouble(self, progress: Progress) -> Progress:
        """Returns the search's progress with what the search is waiting for, if anything."""
        return replace(progress, trouble=self._retrying.trouble)

    @contextmanager
    def _lease(self, storage: RunStorage) -> Iterator[None]:
        """Holds the run's lease, once the actor that this one replaces has lost it."""
        name = self._launch.run.name
        again = ray.get_runtime_context().was_current_actor_reconstructed
        end = time.monotonic() + (LEASE_SECONDS if again else 0.0)
        with ExitStack() as stack:
            while True:
                try:
                    self._retrying.retry(lambda: stack.enter_context(storage.lease(name)))
                    break
                except RunBusyError:
                    if time.monotonic() >= end or self._stopped:
                        raise
                time.sleep(1.0)
            yield

    @contextmanager
    def _self_training(self, search: SearchLoop, workers: RayWorkers) -> Iterator[None]:
        """Has the search train its model while the context is open, if it is to do so."""
        launch = self._launch
        if not launch.settings.train.every:
            yield
            return
        trainer = make_self_trainer(launch.run, launch.settings, launch.database, workers)
        trainer.begin()
        search.companion = trainer
        try:
            yield
        finally:
            trainer.stop()

    def _hire(self, problem: Problem) -> RayWorkers:
        launch = self._launch
        limits = launch.settings.limits.override(problem.evaluator.limits)
        return hire(
            launch.source,
            launch.settings,
            limits,
            launch.run.sandbox,
            inputs=len(problem.inputs),
            on_cluster=launch.on_cluster,
        )


def launch(launch: Launch, budget: Budget, watch: Callable[[Progress | None], None]) -> Progress:
    """Runs a search on Ray and returns how it ended; `watch` is told how it stands twice a second.

    A driver that dies is started again and goes on. Ctrl-C makes it stop and save; the second Ctrl-C leaves at once.

    Raises:
        FunsearchError: the search could not go on. What was finished is saved.
    """
    make = ray.remote(SearchActor).options(
        name=actor_name(launch.run),
        namespace=NAMESPACE,
        max_concurrency=4,
        max_restarts=-1,
        **_driver_place(launch),
    )
    try:
        driver = make.remote(launch)
    except ValueError:  # the name is taken
        raise RunBusyError(
            f"run {launch.run.name} is being searched in this cluster: wait for it, or stop it."
        ) from None
    try:
        return _Watch(driver, launch.run.name, budget, watch).until_the_end()
    finally:
        ray.kill(driver)


def resize(run: RunRecord, address: str, samplers: int | None, evaluators: int | Literal["auto"] | None) -> None:
    """Changes how many samplers and evaluators work at a run that is being searched in the cluster at `address`.

    Raises:
        FunsearchError: there is no such cluster, or the run is not being searched there.
    """
    start_ray(address)
    try:
        driver = ray.get_actor(actor_name(run), NAMESPACE)
        ray.get(driver.resize.remote(samplers, evaluators), timeout=STOP_SECONDS)
    except (ValueError, RayActorError, ray.exceptions.GetTimeoutError):
        raise FunsearchError(
            f"run {run.name} is not being searched in the Ray cluster at {address}: name its cluster with --ray, or "
            f"go on with `funsearch resume {run.name}`."
        ) from None


def actor_name(run: RunRecord) -> str:
    """Returns what the driver of a run is called in its cluster."""
    return f"{run.name} {run.created}"


class _Watch:
    """Keeps a driver at work until its search has ended."""

    def __init__(self, driver: Any, name: str, budget: Budget, watch: Callable[[Progress | None], None]) -> None:
        self._driver = driver
        self._name = name
        self._budget = budget
        self._watch = watch
        self._end = None if budget.minutes is None else time.monotonic() + 60 * budget.minutes
        self._running = driver.run.remote(budget)
        self._deaths = 0
        self._samples = 0

    def until_the_end(self) -> Progress:
        """Returns how the search ended."""
        try:
            while (progress := self._step()) is None:
                pass
            return progress
        except KeyboardInterrupt:
            self._driver.stop.remote()
            done, _ = ray.wait([self._running], timeout=STOP_SECONDS)
            if done:
                return _result(self._running, self._name)
            raise FunsearchError(
                f"The search did not stop within {STOP_SECONDS:.0f} s. What was finished is saved: "
                f"`funsearch resume {self._name}` goes on."
            ) from None

    def _step(self) -> Progress | None:
        done, _ = ray.wait([self._running], timeout=POLL_SECONDS)
        if done:
            try:
                progress = _result(self._running, self._name)
            except DriverDied as died:
                self._start_again(died)
                return None
            self._watch(progress)
            return progress
        try:
            seen = ray.get(self._driver.progress.remote(), timeout=10 * POLL_SECONDS)
        except (ray.exceptions.GetTimeoutError, RayActorError):
            return None
        if seen is not None and seen.samples > self._samples:
            self._samples, self._deaths = seen.samples, 0
        self._watch(seen)
        return None

    def _start_again(self, died: "DriverDied") -> None:
        self._deaths += 1
        if self._deaths > MAX_DEATHS:
            raise died
        logger.warning("%s It is started again and goes on.", died)
        self._await_driver(died)
        minutes = None if self._end is None else max(0.0, (self._end - time.monotonic()) / 60)
        self._running = self._driver.run.remote(replace(self._budget, minutes=minutes))

    def _await_driver(self, died: "DriverDied") -> None:
        """Returns once Ray has started the driver again; until then it refuses every call."""
        end = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                ray.get(self._driver.progress.remote(), timeout=10 * POLL_SECONDS)
                return
            except (ray.exceptions.GetTimeoutError, RayActorError):
                if time.monotonic() >= end:
                    raise died from None
                time.sleep(POLL_SECONDS)


class DriverDied(FunsearchError):
    """Raised when the process that owns the run is no more."""


def _result(running: Any, name: str) -> Progress:
    try:
        progress = ray.get(running)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, FunsearchError):
            raise cause from None
        raise
    except RayActorError as error:
        raise DriverDied(
            f"The search's process died: {first_line(error)} What was finished is saved: `funsearch resume {name}` "
            "goes on."
        ) from None
    assert isinstance(progress, Progress)
    return progress


def _driver_place(launch: Launch) -> dict[str, Any]:
    """Returns where the driver runs: where it is told to, else on this machine, where an SQLite database is."""
    place = launch.settings.placement.driver
    is_file = launch.database.startswith("sqlite")
    if not place.anywhere and not is_file:
        options = place.options(cpus=0, gpus=0)
        warn_if_nowhere("driver", options)
        return options
    node = ray.get_runtime_context().get_node_id()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=not is_file)
    return {"num_cpus": 0, "scheduling_strategy": strategy}

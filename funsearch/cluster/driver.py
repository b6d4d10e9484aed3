"""Runs a search on Ray: one driver actor owns the run, and the process that started it watches it and replaces it.

`launch` is what the command line calls. The driver actor searches in one thread and answers `progress`, `resize` and
`stop` in others.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError, RayTaskError

from funsearch.cluster.handles import Method, Ref, cause
from funsearch.cluster.metrics import Metrics
from funsearch.cluster.placement import options_at, warn_if_nowhere
from funsearch.cluster.search_workers import RayWorkers, make_workers
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
"""How long a server may take to notice that the machine that held the run is gone."""
RESTART_SECONDS = 300.0
"""How long a new driver may take to start; a full cluster may have no room for a while."""
MAX_DEATHS = 5
"""How often in a row a driver may die without a new sample."""
POLL_SECONDS = 0.5
ANSWER_SECONDS = 10 * POLL_SECONDS
"""How long the driver may take to report its progress."""
STOP_SECONDS = 30.0
"""How long the driver may take to save and leave once it is asked to stop."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What the driver actor needs, all of it plain data."""

    run: RunRecord
    source: ProblemSource
    settings: Settings
    database: str
    on_cluster: bool


class DriverHandle(Protocol):
    """A handle of a `SearchActor`."""

    @property
    def run(self) -> Method[[Budget], Progress]: ...

    @property
    def progress(self) -> Method[[], Progress | None]: ...

    @property
    def resize(self) -> Method[[int | None, int | Literal["auto"] | None], None]: ...

    @property
    def stop(self) -> Method[[], None]: ...


class SearchActor:
    """Owns one run. `run` blocks in its own thread while the other methods answer."""

    def __init__(self, launch: Launch, replacing: bool) -> None:
        """Prepares the search.

        Args:
            launch: the search.
            replacing: whether this driver replaces one that died and may still hold the lease.
        """
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
        self._launch = launch
        self._replacing = replacing
        self._retrying = Retrying(launch.settings.storage_seconds)
        self._metrics = Metrics(launch.run.name)
        self._workers: RayWorkers | None = None
        self._search: SearchLoop | None = None
        self._stopped = False

    def run(self, budget: Budget) -> Progress:
        """Searches until the budget is used up or `stop` is called; returns the progress at the end."""
        launch = self._launch
        problem = load(launch.source)
        with closing(self._retrying.retry(lambda: open_storage(launch.database))) as opened:
            storage = retrying(opened, self._retrying)
            with closing(self._make_workers(problem)) as self._workers, self._lease(storage):
                search = self._search = SearchLoop(launch.run, problem, launch.settings, storage)
                if self._stopped:
                    search.stop()
                with self._self_training(search, self._workers):
                    return self._with_trouble(search.run(budget, self._workers))

    def progress(self) -> Progress | None:
        """Returns the progress of the search; None until it has begun."""
        if self._search is None:
            return None
        progress = self._with_trouble(self._search.progress())
        self._metrics.update(progress)
        return progress

    def resize(self, samplers: int | None, evaluators: int | Literal["auto"] | None) -> None:
        """Changes the number of samplers and evaluators."""
        if self._workers:
            self._workers.resize(samplers, evaluators)

    def stop(self) -> None:
        """Makes `run` save everything and return."""
        self._stopped = True
        self._retrying.give_up()
        if self._search:
            self._search.stop()

    def _with_trouble(self, progress: Progress) -> Progress:
        """Returns the search's progress with what the search is waiting for, if anything."""
        return replace(progress, trouble=self._retrying.trouble)

    @contextmanager
    def _lease(self, storage: RunStorage) -> Iterator[None]:
        """Holds the run's lease, once a driver that this one replaces has lost it."""
        name = self._launch.run.name
        end = time.monotonic() + (LEASE_SECONDS if self._replacing else 0.0)
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
        """Has the search train its model while the context is open, if its settings say so."""
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

    def _make_workers(self, problem: Problem) -> RayWorkers:
        launch = self._launch
        limits = launch.settings.limits.override(problem.evaluator.limits)
        return make_workers(
            launch.source,
            launch.settings,
            limits,
            launch.run.sandbox,
            inputs=len(problem.inputs),
            on_cluster=launch.on_cluster,
        )


def launch(launch: Launch, budget: Budget, watch: Callable[[Progress | None], None]) -> Progress:
    """Runs a search on Ray and returns its progress at the end; `watch` gets its progress twice a second.

    A driver that dies is replaced, and the new one resumes. Ctrl-C stops the search, which saves everything; a second
    Ctrl-C leaves at once.

    Raises:
        FunsearchError: the search cannot continue; everything finished is saved.
    """
    with closing(_Watcher(launch, budget, watch)) as watcher:
        return watcher.run()


def resize(run: RunRecord, address: str, samplers: int | None, evaluators: int | Literal["auto"] | None) -> None:
    """Changes the number of samplers and evaluators of a run that is being searched in the cluster at `address`.

    Raises:
        FunsearchError: there is no such cluster, or the run is not being searched there.
    """
    start_ray(address)
    try:
        driver: DriverHandle = ray.get_actor(actor_name(run), NAMESPACE)
        ray.get(driver.resize.remote(samplers, evaluators), timeout=STOP_SECONDS)
    except (ValueError, RayActorError, GetTimeoutError):
        raise FunsearchError(
            f"run {run.name} is not being searched in the Ray cluster at {address}: name its cluster with --ray, or "
            f"resume it with `funsearch resume {run.name}`."
        ) from None


def actor_name(run: RunRecord) -> str:
    """Returns the name of the driver of a run in its cluster."""
    return f"{run.name} {run.created}"


class DriverDied(FunsearchError):
    """Raised when the process that owns the run has died."""


class _Watcher:
    """Keeps a driver running until its search has ended."""

    def __init__(self, launch: Launch, budget: Budget, watch: Callable[[Progress | None], None]) -> None:
        """Starts the first driver.

        Raises:
            RunBusyError: the run has a driver in this cluster already.
        """
        self._launch = launch
        self._name = launch.run.name
        self._budget = budget
        self._watch = watch
        self._end = None if budget.minutes is None else time.monotonic() + 60 * budget.minutes
        try:
            self._driver = _start_driver(launch, replacing=False)
        except ValueError:  # the name is taken
            raise RunBusyError(
                f"run {self._name} is being searched in this cluster: wait for it to end, or stop it."
            ) from None
        self._running = self._driver.run.remote(budget)
        self._deaths = 0
        self._samples = 0

    def run(self) -> Progress:
        """Returns the progress of the search at its end."""
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
                f"The search did not stop within {STOP_SECONDS:.0f} s. Everything finished is saved: resume with "
                f"`funsearch resume {self._name}`."
            ) from None

    def close(self) -> None:
        """Ends the driver."""
        ray.kill(self._driver)

    def _step(self) -> Progress | None:
        """Passes on the progress of the search; returns it if the search has ended."""
        done, _ = ray.wait([self._running], timeout=POLL_SECONDS)
        if done:
            try:
                progress = _result(self._running, self._name)
            except DriverDied as died:
                self._replace(died)
                return None
            self._watch(progress)
            return progress
        try:
            current: Progress | None = ray.get(self._driver.progress.remote(), timeout=ANSWER_SECONDS)
        except (GetTimeoutError, RayActorError):
            return None
        if current is not None and current.samples > self._samples:
            self._samples, self._deaths = current.samples, 0
        self._watch(current)
        return None

    def _replace(self, died: DriverDied) -> None:
        """Starts a new driver, which resumes the search.

        Raises:
            DriverDied: too many drivers have died, or none can be started.
        """
        self._deaths += 1
        if self._deaths > MAX_DEATHS:
            raise died
        logger.warning("%s A new process resumes it now.", died)
        ray.kill(self._driver)  # it may be out of reach rather than dead
        end = time.monotonic() + RESTART_SECONDS
        while not (self._start_again() and self._answers(end)):
            if time.monotonic() >= end:
                raise died
            time.sleep(POLL_SECONDS)
        minutes = None if self._end is None else max(0.0, (self._end - time.monotonic()) / 60)
        self._running = self._driver.run.remote(replace(self._budget, minutes=minutes))

    def _start_again(self) -> bool:
        """Starts a new driver; returns False if the old one's name is still taken."""
        try:
            self._driver = _start_driver(self._launch, replacing=True)
        except ValueError:
            return False
        return True

    def _answers(self, end: float) -> bool:
        """Returns whether the new driver answers before `end`; False as soon as it has died."""
        while time.monotonic() < end:
            try:
                ray.get(self._driver.progress.remote(), timeout=ANSWER_SECONDS)
                return True
            except ActorDiedError:
                return False
            except (GetTimeoutError, RayActorError):
                time.sleep(POLL_SECONDS)
        return False


def _start_driver(launch: Launch, *, replacing: bool) -> DriverHandle:
    """Returns a new driver, whose process may take a while to start.

    Raises:
        ValueError: the name of the driver is taken.
    """
    make = ray.remote(SearchActor).options(
        name=actor_name(launch.run), namespace=NAMESPACE, max_concurrency=4, max_restarts=0, **_driver_place(launch)
    )
    driver: DriverHandle = make.remote(launch, replacing)
    return driver


def _result(running: Ref[Progress], name: str) -> Progress:
    """Returns what `SearchActor.run` returned.

    Raises:
        DriverDied: its process died.
        Exception: whatever it raised.
    """
    try:
        progress: Progress = ray.get(running)
    except RayTaskError as error:
        if isinstance(cause(error), FunsearchError):
            raise cause(error) from None
        raise
    except RayActorError as error:
        raise DriverDied(
            f"The search's process died: {first_line(error)} Everything finished is saved: resume with "
            f"`funsearch resume {name}`."
        ) from None
    return progress


def _driver_place(launch: Launch) -> dict[str, object]:
    """Returns the options that place the driver: as set, else on this machine, where an SQLite database is."""
    place = launch.settings.placement.driver
    is_file = launch.database.startswith("sqlite")
    if not place.anywhere and not is_file:
        options = options_at(place, cpus=0, gpus=0)
        warn_if_nowhere("driver", options)
        return {**options}
    node = ray.get_runtime_context().get_node_id()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=not is_file)
    return {"num_cpus": 0, "scheduling_strategy": strategy}

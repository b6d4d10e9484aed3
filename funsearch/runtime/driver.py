"""Starts a search on Ray: one driver actor that owns the run, and the process that watches it.

`launch` is what the command line calls. The driver actor runs the search in one thread and answers `progress` and
`stop` in others.
"""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from funsearch.core.records import RunRecord
from funsearch.errors import FunsearchError
from funsearch.loading import ProblemSource, load
from funsearch.runtime.actors import RayWorkers
from funsearch.runtime.limits import merged_limits
from funsearch.runtime.progress import Progress
from funsearch.runtime.search import Budget, Search
from funsearch.runtime.settings import Settings
from funsearch.storage import open_storage

POLL_SECONDS = 0.5
OBJECT_STORE_BYTES = 256 * 1024**2
"""Prompts and verdicts are small; Ray's own default would take a third of the memory."""
STOP_SECONDS = 30.0
"""How long the driver may take to save and leave once it is asked to stop."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
"""Nothing is reported to anybody."""


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
        self._search: Search | None = None
        self._stopped = False

    def run(self, budget: Budget) -> Progress:
        launch = self._launch
        problem = load(launch.source)
        limits = merged_limits(problem.evaluator.limits, launch.settings)
        workers = RayWorkers(
            launch.source,
            launch.settings,
            limits,
            launch.run.sandbox,
            inputs=len(problem.inputs),
            on_cluster=launch.on_cluster,
        )
        with (
            closing(open_storage(launch.database)) as storage,
            Search(problem, storage=storage, settings=launch.settings, workers=workers, run=launch.run) as self._search,
        ):
            if self._stopped:
                self._search.stop()
            return self._search.run(budget.samples, budget.minutes, budget.target)

    def progress(self) -> Progress | None:
        return self._search.progress() if self._search else None

    def stop(self) -> None:
        self._stopped = True
        if self._search:
            self._search.stop()


def start_ray(address: str | None) -> None:
    """Starts Ray on this machine, or joins the cluster at `address`. Does nothing when Ray runs already.

    Raises:
        FunsearchError: Ray cannot be started, or there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    os.environ.update(QUIET)
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address=address, runtime_env={"env_vars": QUIET}, **quiet)
        else:
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"reach the Ray cluster at {address}" if address else "start Ray on this machine"
        raise FunsearchError(f"Cannot {where}: {str(error).strip().splitlines()[0]}") from None


def launch(launch: Launch, budget: Budget, watch: Callable[[Progress | None], None]) -> Progress:
    """Runs a search on Ray and returns how it ended; `watch` is told how it stands twice a second.

    Ctrl-C makes it stop and save; the second Ctrl-C leaves at once.

    Raises:
        FunsearchError: the search could not go on. What was finished is saved.
    """
    driver = ray.remote(SearchActor).options(num_cpus=0, max_concurrency=4, scheduling_strategy=_here()).remote(launch)
    running = driver.run.remote(budget)
    try:
        return _watch(driver, running, launch.run.name, watch)
    except KeyboardInterrupt:
        driver.stop.remote()
        done, _ = ray.wait([running], timeout=STOP_SECONDS)
        if not done:
            raise FunsearchError(
                f"The search did not stop within {STOP_SECONDS:.0f} s. What was finished is saved: "
                f"`funsearch resume {launch.run.name}` goes on."
            ) from None
        return _result(running, launch.run.name)
    finally:
        ray.kill(driver)


def _watch(driver: Any, running: Any, name: str, watch: Callable[[Progress | None], None]) -> Progress:
    while True:
        done, _ = ray.wait([running], timeout=POLL_SECONDS)
        if done:
            progress = _result(running, name)
            watch(progress)
            return progress
        try:
            watch(ray.get(driver.progress.remote(), timeout=10 * POLL_SECONDS))
        except (ray.exceptions.GetTimeoutError, RayActorError):
            continue


def _result(running: Any, name: str) -> Progress:
    try:
        progress = ray.get(running)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, FunsearchError):
            raise cause from None
        raise
    except RayActorError as error:
        raise FunsearchError(
            f"The search's process died: {str(error).strip().splitlines()[0]} "
            f"What was finished is saved: `funsearch resume {name}` goes on."
        ) from None
    assert isinstance(progress, Progress)
    return progress


def _here() -> Any:
    """Returns a placement on this machine, where the database is."""
    node = ray.get_runtime_context().get_node_id()
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)

"""Where the course of a run is drawn besides the database: TensorBoard or MLflow, if it is asked for.

A further kind is a class with `log` and `close` and a line in `TRACKERS`.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from funsearch.errors import ConfigError, first_line
from funsearch.search.progress import Progress

logger = logging.getLogger(__name__)

TRACKED = ("best_score", "evaluated", "valid", "duplicates", "registered", "tokens", "samplers", "evaluators")
MLFLOW_SECONDS = 5.0
"""Between two writes to MLflow, which is another machine as a rule."""
MLFLOW_PAUSE = 60.0
"""The same after one that failed."""
MLFLOW_HASTE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Tracker(Protocol):
    """Takes note of a run's progress. Used by one thread."""

    def log(self, progress: Progress) -> None:
        """Notes how the run stands now."""

    def close(self) -> None:
        """Writes what is left."""


def figures(progress: Progress) -> dict[str, float]:
    """Returns what is drawn of a run, by name."""
    found = {name: getattr(progress, name) for name in TRACKED}
    if progress.seconds > 0:
        found["samples_per_second"] = progress.session_samples / progress.seconds
    return {name: float(value) for name, value in found.items() if value is not None}


class Attempts:
    """Has things done that may fail and shall stop nothing; the first failure of several in a row is told."""

    def __init__(self, what: str) -> None:
        """Remembers what to say of a failure."""
        self._what = what
        self.failed = False
        """Whether the latest one did."""

    def make(self, call: Callable[[], None]) -> None:
        """Calls it."""
        try:
            call()
        except Exception as error:
            if not self.failed:
                logger.warning("%s (%s); the search goes on", self._what, first_line(error))
            self.failed = True
        else:
            self.failed = False


class TensorBoardTracker:
    """Writes event files for TensorBoard, by number of samples."""

    def __init__(self, folder: str) -> None:
        """Opens the folder.

        Raises:
            ConfigError: TensorBoard is not installed, or the folder cannot be made.
        """
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise ConfigError("--track tensorboard: needs TensorBoard: `pip install funsearch[tensorboard]`.") from None
        try:
            self._writer: Any = Writer(folder)
        except OSError as error:
            raise ConfigError(
                f"--track tensorboard:{folder}: {error.strerror or error}: name another folder."
            ) from None
        self._samples = -1
        # It raises at the next call what its own thread met, as a full disk.
        self._attempts = Attempts("TensorBoard's files cannot be written")

    def log(self, progress: Progress) -> None:
        if progress.samples == self._samples or self._attempts.failed:
            return
        self._samples = progress.samples
        self._attempts.make(lambda: self._write(progress))

    def close(self) -> None:
        self._attempts.make(self._writer.close)

    def _write(self, progress: Progress) -> None:
        for name, value in figures(progress).items():
            self._writer.add_scalar(f"{progress.run}/{name}", value, progress.samples)


class MlflowTracker:
    """Writes metrics of an MLflow experiment, by number of samples; MLFLOW_TRACKING_URI says where to.

    A run that goes on continues the run of its name. A server that goes away is told of and does not stop the search.
    """

    def __init__(self, experiment: str, seconds: float = MLFLOW_SECONDS) -> None:
        """Opens the experiment, which is made if there is none.

        Args:
            experiment: its name.
            seconds: between two writes, at least.

        Raises:
            ConfigError: MLflow is not installed, or its server cannot be reached.
        """
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise ConfigError("--track mlflow: needs MLflow: `pip install funsearch[mlflow]`.") from None
        # By itself it tries for minutes, in which nothing would be shown of the search.
        for name, value in MLFLOW_HASTE.items():
            os.environ.setdefault(name, value)
        self._seconds = seconds
        # What a tracking server and the ways to it may raise is no closed list.
        try:
            self._client: Any = MlflowClient()
            known = self._client.get_experiment_by_name(experiment)
            self._experiment = known.experiment_id if known else self._client.create_experiment(experiment)
        except Exception as error:
            raise ConfigError(
                f"--track mlflow:{experiment}: {first_line(error)} Is MLFLOW_TRACKING_URI right?"
            ) from None
        self._run = ""
        self._latest: Progress | None = None
        self._samples = -1
        self._written = -seconds
        self._attempts = Attempts("MLflow cannot be written to")

    def log(self, progress: Progress) -> None:
        self._latest = progress
        if time.monotonic() - self._written >= (MLFLOW_PAUSE if self._attempts.failed else self._seconds):
            self._write(progress)

    def close(self) -> None:
        if self._latest:
            self._write(self._latest)
            self._attempts.make(lambda: self._client.set_terminated(self._run))

    def _write(self, progress: Progress) -> None:
        if progress.samples == self._samples:
            return
        self._attempts.make(lambda: self._send(progress))
        self._written = time.monotonic()

    def _send(self, progress: Progress) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._run = self._run or self._run_of(progress.run)
        metrics = [Metric(name, value, now, progress.samples) for name, value in figures(progress).items()]
        self._client.log_batch(self._run, metrics)
        self._samples = progress.samples

    def _run_of(self, name: str) -> str:
        quoted = name.replace("'", "\\'")
        found = self._client.search_runs([self._experiment], f"attributes.run_name = '{quoted}'", max_results=1)
        run = found[0] if found else self._client.create_run(self._experiment, run_name=name)
        return str(run.info.run_id)


TRACKERS: dict[str, tuple[str, Callable[[str], Tracker]]] = {
    "tensorboard": ("tensorboard:FOLDER", TensorBoardTracker),
    "mlflow": ("mlflow:EXPERIMENT", MlflowTracker),
}


def open_tracker(spec: str) -> Tracker:
    """Returns the tracker that the user named, as in `tensorboard:FOLDER`.

    Raises:
        ConfigError: there is no such tracker, or it is not installed.
    """
    kind, _, argument = spec.partition(":")
    if kind not in TRACKERS or not argument:
        known = " or ".join(form for form, _ in TRACKERS.values())
        raise ConfigError(f"Unknown tracker {spec}: write {known}.")
    return TRACKERS[kind][1](argument)

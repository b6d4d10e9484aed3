"""Trackers that log the progress of a run to TensorBoard or MLflow, in addition to the database.

To add another, write a class with `log` and `close` and add it to `TRACKERS`.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import Protocol

from funsearch.errors import ConfigError, first_line
from funsearch.search.progress import Progress

logger = logging.getLogger(__name__)

TRACKED = ("best_score", "evaluated", "valid", "duplicates", "registered", "tokens", "samplers", "evaluators")
MLFLOW_SECONDS = 5.0
"""Seconds between two writes to MLflow, whose server is usually on another machine."""
MLFLOW_PAUSE = 60.0
"""Seconds before the next write after one that failed."""
MLFLOW_FAIL_FAST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Tracker(Protocol):
    """Logs a run's progress. Used by one thread."""

    def log(self, progress: Progress) -> None:
        """Logs the present progress."""

    def close(self) -> None:
        """Writes everything that is not written yet."""


def figures(progress: Progress) -> dict[str, float]:
    """Returns the tracked values of a run by name."""
    values = {name: getattr(progress, name) for name in TRACKED}
    if progress.seconds > 0:
        values["samples_per_second"] = progress.session_samples / progress.seconds
    return {name: float(value) for name, value in values.items() if value is not None}


class Attempts:
    """Makes calls whose failure must not stop the search; logs only the first of consecutive failures."""

    def __init__(self, problem: str) -> None:
        """Prepares the message of a failure, which begins with `problem`."""
        self._problem = problem
        self.failed = False
        """Whether the latest call failed."""

    def make(self, call: Callable[[], None]) -> None:
        """Makes a call."""
        try:
            call()
        except Exception as error:
            if not self.failed:
                logger.warning("%s (%s); the search continues", self._problem, first_line(error))
            self.failed = True
        else:
            self.failed = False


class TensorBoardTracker:
    """Writes event files for TensorBoard, with the number of samples as the step."""

    def __init__(self, folder: str) -> None:
        """Opens the folder.

        Raises:
            ConfigError: TensorBoard is not installed, or the folder cannot be created.
        """
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise ConfigError("--track tensorboard: needs TensorBoard: `pip install funsearch[tensorboard]`.") from None
        try:
            self._writer = Writer(folder)
        except OSError as error:
            raise ConfigError(
                f"--track tensorboard:{folder}: {error.strerror or error}: name another folder."
            ) from None
        self._samples = -1
        # An error of the writer's own thread, such as a full disk, is raised by the next call.
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
    """Writes metrics to an MLflow experiment at MLFLOW_TRACKING_URI, with the number of samples as the step.

    A resumed run continues the MLflow run of its name. An unreachable server is logged and does not stop the search.
    """

    def __init__(self, experiment: str, seconds: float = MLFLOW_SECONDS) -> None:
        """Opens the experiment; creates it if it does not exist.

        Args:
            experiment: name of the experiment.
            seconds: least time between two writes.

        Raises:
            ConfigError: MLflow is not installed, or its server cannot be reached.
        """
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise ConfigError("--track mlflow: needs MLflow: `pip install funsearch[mlflow]`.") from None
        # By default MLflow retries for minutes, which would block the search.
        for name, value in MLFLOW_FAIL_FAST.items():
            os.environ.setdefault(name, value)
        self._seconds = seconds
        # A tracking server and the connection to it may raise any exception.
        try:
            self._client = MlflowClient()
            existing = self._client.get_experiment_by_name(experiment)
            self._experiment = existing.experiment_id if existing else self._client.create_experiment(experiment)
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
        runs = self._client.search_runs([self._experiment], f"attributes.run_name = '{quoted}'", max_results=1)
        run = runs[0] if runs else self._client.create_run(self._experiment, run_name=name)
        return str(run.info.run_id)


TRACKERS: dict[str, tuple[str, Callable[[str], Tracker]]] = {
    "tensorboard": ("tensorboard:FOLDER", TensorBoardTracker),
    "mlflow": ("mlflow:EXPERIMENT", MlflowTracker),
}


def open_tracker(spec: str) -> Tracker:
    """Returns the tracker for a specification such as `tensorboard:FOLDER`.

    Raises:
        ConfigError: there is no such tracker, or it is not installed.
    """
    kind, _, argument = spec.partition(":")
    if kind not in TRACKERS or not argument:
        forms = " or ".join(form for form, _ in TRACKERS.values())
        raise ConfigError(f"Unknown tracker {spec}: write {forms}.")
    return TRACKERS[kind][1](argument)

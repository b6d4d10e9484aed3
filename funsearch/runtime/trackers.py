"""Where the course of a run is drawn besides the database: TensorBoard, if it is asked for.

A further kind is a class with `log` and `close` and a line in `open_tracker`.
"""

from typing import Protocol

from funsearch.errors import ConfigError
from funsearch.runtime.progress import Progress

TRACKED = ("best_score", "evaluated", "valid", "duplicates", "registered", "tokens", "samplers", "evaluators")


class Tracker(Protocol):
    """Takes note of a run's progress. Used by one thread."""

    def log(self, progress: Progress) -> None:
        """Notes how the run stands now."""

    def close(self) -> None:
        """Writes what is left."""


class TensorBoardTracker:
    """Writes event files for TensorBoard, by number of samples."""

    def __init__(self, folder: str) -> None:
        """Opens the folder.

        Raises:
            ConfigError: TensorBoard is not installed.
        """
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise ConfigError("--track tensorboard: needs TensorBoard: `pip install funsearch[tensorboard]`.") from None
        self._writer = Writer(folder)
        self._samples = -1

    def log(self, progress: Progress) -> None:
        if progress.samples == self._samples:
            return
        self._samples = progress.samples
        values = {name: getattr(progress, name) for name in TRACKED}
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(f"{progress.run}/{name}", float(value), progress.samples)
        if progress.seconds > 0:
            rate = progress.session_samples / progress.seconds
            self._writer.add_scalar(f"{progress.run}/samples_per_second", rate, progress.samples)

    def close(self) -> None:
        self._writer.close()


def open_tracker(spec: str) -> Tracker:
    """Returns the tracker that the user named, as in `tensorboard:FOLDER`.

    Raises:
        ConfigError: there is no such tracker, or it is not installed.
    """
    kind, _, argument = spec.partition(":")
    if kind != "tensorboard" or not argument:
        raise ConfigError(f"Unknown tracker {spec}: write tensorboard:FOLDER.")
    return TensorBoardTracker(argument)

"""The errors that users may see. A message says what happened, names the value, and says what to do.

Knows nothing about any other part of funsearch. A candidate program that fails is not an error, but an `Evaluation`
with a status (see `funsearch.core.records`).
"""


class FunsearchError(Exception):
    """Base class of the errors that the command line prints without a traceback."""


class ProblemError(FunsearchError):
    """Raised when a problem file, its evaluator or one of its inputs is invalid."""


class ConfigError(FunsearchError):
    """Raised when a setting is unknown or has an invalid value."""


class PictureError(FunsearchError):
    """Raised when the solution of a program cannot be drawn, or a picture cannot be written."""


class SamplerError(FunsearchError):
    """Raised when a sampler cannot return any completions and retrying will not help."""


class SamplerExhausted(FunsearchError):
    """Raised when a sampler of recorded completions has none left for a prompt."""


class SandboxError(FunsearchError):
    """Raised when candidates cannot be confined on this machine, or the confined worker does not start."""


class StorageError(FunsearchError):
    """Raised when the database cannot be opened, read or written."""


class StorageUnavailable(StorageError):
    """Raised when the database is temporarily unavailable: its server cannot be reached, or its disk is full."""


class RunBusyError(StorageError):
    """Raised when another process is already writing to the run."""


class Interrupted(FunsearchError):
    """Raised when work is interrupted on request; finished work has been saved."""


class TrainingError(FunsearchError):
    """Raised when a training cannot continue, because of its tasks, its model or the trainer itself."""


class NothingSelected(TrainingError):
    """Raised when no answer of a round passes the filter."""

    def __init__(self, what: str, remedy: str = "") -> None:
        """Takes the parts of the message: what happened, and optionally what to do."""
        super().__init__(f"{what} {remedy}".strip())
        self.what = what


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its class if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""The errors a user may meet. Each message says what happened, names the value, and gives the remedy.

Knows nothing about any other part of funsearch. A candidate program that fails is not an error: it is an
`Evaluation` with a status (see `funsearch.core.records`).
"""


class FunsearchError(Exception):
    """Raised when funsearch cannot do what was asked. The command line prints it without a traceback."""


class ProblemError(FunsearchError):
    """Raised when a problem file, its evaluator or one of its inputs is not usable."""


class ConfigError(FunsearchError):
    """Raised when a setting is unknown or has a value that cannot work."""


class PictureError(FunsearchError):
    """Raised when what a program builds cannot be drawn, or the picture cannot be written."""


class SamplerError(FunsearchError):
    """Raised when a sampler cannot give any answer and asking again will not help."""


class SamplerExhausted(FunsearchError):
    """Raised when a sampler of recorded answers has none left for a prompt."""


class SandboxError(FunsearchError):
    """Raised when candidates cannot be confined on this machine, or the confined worker cannot start."""


class StorageError(FunsearchError):
    """Raised when the database cannot be opened, read or written."""


class StorageUnavailable(StorageError):
    """Raised when the database is away for now: its server cannot be reached, or its disk is full."""


class RunBusyError(StorageError):
    """Raised when another process is already writing to the run."""


class Interrupted(FunsearchError):
    """Raised where work ends because it was asked to; what was finished is saved."""


class TrainingError(FunsearchError):
    """Raised when a training cannot go on: its tasks, its model or the trainer itself."""


class NothingSelected(TrainingError):
    """Raised when no answer of a round passes its selection."""

    def __init__(self, what: str, remedy: str = "") -> None:
        """Says what happened, and perhaps what to do."""
        super().__init__(f"{what} {remedy}".strip())
        self.what = what


def first_line(error: BaseException) -> str:
    """Returns what an error says, in one line; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

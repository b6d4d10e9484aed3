"""The progress of a run, while it is running and when it ends. Knows nothing about how it is shown."""

from dataclasses import dataclass

from funsearch.core.records import IslandView, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Tally):
    """A run at one moment.

    Counts are over the run's whole life; `seconds`, `session_samples` and `session_tokens` over the present session.
    """

    run: str
    problem: str
    state: str
    """`starting`, `running`, `waiting`, `finished`, `interrupted` or `failed`."""
    stopped: str = ""
    """Why it stopped: `samples`, `minutes`, `target`, `cost`, `exhausted` or `interrupted`; empty if it did not."""
    best_program: int | None = None
    """Id of the best program."""
    cost: float | None = None
    """Cost of all tokens; None without a price list."""
    seconds: float
    """Since the session began."""
    session_samples: int
    session_tokens: int
    sampling: int
    """Number of prompts with the samplers."""
    evaluating: int
    """Number of programs with the evaluators."""
    samplers: int
    """Number of samplers at present."""
    evaluators: int
    """Number of evaluators at present."""
    islands: tuple[IslandView, ...]
    sandbox: str
    """Level of confinement."""
    trouble: str | None = None
    """What the search is waiting for; None when nothing blocks it."""
    training: str | None = None
    """What self-training is doing; None for nothing."""
    trained: str | None = None
    """Outcome of the latest step of self-training."""

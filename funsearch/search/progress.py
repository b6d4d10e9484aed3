"""The progress of a run, and the counts it is made from. Knows nothing about how progress is displayed."""

from collections import Counter
from dataclasses import dataclass, field

from funsearch.core.records import Evaluation, IslandView, Sample, Status, Usage


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run at one moment.

    Counts are over the run's whole life; `seconds`, `session_samples` and `session_tokens` over the present session.
    """

    run: str
    problem: str
    state: str
    """`starting`, `running`, `waiting`, `finished`, `interrupted` or `failed`."""
    samples: int
    evaluated: int
    """Samples that were evaluated."""
    valid: int
    """Evaluated samples that have a score."""
    duplicates: int
    """Samples whose program had been evaluated before."""
    registered: int
    """Programs that entered an island."""
    tokens: int
    best_score: float | None
    best_program: int | None
    seconds: float
    session_samples: int
    session_tokens: int
    asking: int
    """Prompts with the samplers."""
    evaluating: int
    """Jobs with the evaluators."""
    islands: tuple[IslandView, ...]
    statuses: dict[str, int]
    sandbox: str
    trouble: str | None = None
    """What the search is waiting for; None when nothing blocks it."""
    training: str | None = None
    """What self-training is doing; None for nothing."""
    trained: str | None = None
    """Outcome of the latest step of self-training."""
    cost: float | None = None
    """Cost of all tokens; None without a price list."""
    samplers: int = 1
    """Number of samplers at present."""
    evaluators: int = 1
    """Number of evaluators at present."""
    stopped: str = ""
    """Why it stopped: `samples`, `minutes`, `target`, `cost`, `exhausted` or `interrupted`; empty if it did not."""


@dataclass(slots=True)
class Counts:
    """The running counts of a run, kept by its ledger."""

    samples: int = 0
    evaluated: int = 0
    valid: int = 0
    duplicates: int = 0
    registered: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    usage: dict[str, Usage] = field(default_factory=dict)
    """By model."""

    @property
    def tokens(self) -> int:
        """Number of tokens of all completions."""
        return sum(usage.tokens for usage in self.usage.values())

    def count_sample(self, sample: Sample) -> None:
        """Counts one sample of a model."""
        self.samples += 1
        usage = self.usage.get(sample.model, Usage())
        self.usage[sample.model] = Usage(
            usage.samples + 1, usage.prompt_tokens + sample.prompt_tokens, usage.tokens + sample.tokens
        )

    def count_evaluation(self, evaluation: Evaluation, inserted: bool) -> None:
        """Counts one evaluation. The first program counts as registered only: no model wrote it."""
        self.registered += inserted
        if evaluation.sample.prompt.index < 0:
            return
        self.statuses[evaluation.status.value] += 1
        if evaluation.duplicate_of is not None:
            self.duplicates += 1
        elif evaluation.function is not None:
            self.evaluated += 1
            self.valid += evaluation.status is Status.OK

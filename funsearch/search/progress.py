"""What a run can say of itself while it goes on and when it ends.

Knows nothing about how it is shown.
"""

from collections import Counter
from dataclasses import dataclass, field

from funsearch.core.records import Evaluation, IslandView, Sample, Status, Usage


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment. Counts are over the run's whole life; `seconds` and rates over the present session."""

    run: str
    problem: str
    state: str
    """`starting`, `running`, `waiting`, `finished`, `interrupted` or `failed`."""
    samples: int
    evaluated: int
    """Samples that the sandbox was asked about."""
    valid: int
    """Of those, how many got a score."""
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
    evaluating: int
    islands: tuple[IslandView, ...]
    statuses: dict[str, int]
    sandbox: str
    trouble: str | None = None
    """What the search waits for; None when nothing holds it up."""
    training: str | None = None
    """What is being done to train the model on this search's samples."""
    trained: str | None = None
    """How the latest step of that ended."""
    cost: float | None = None
    """What all tokens cost; None without a price list."""
    samplers: int = 1
    evaluators: int = 1
    """How many there are at present."""
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
        """Returns the tokens of all completions."""
        return sum(used.tokens for used in self.usage.values())

    def take(self, sample: Sample) -> None:
        """Counts one sample of a model."""
        self.samples += 1
        used = self.usage.get(sample.model, Usage())
        self.usage[sample.model] = Usage(
            used.samples + 1, used.prompt_tokens + sample.prompt_tokens, used.tokens + sample.tokens
        )

    def judge(self, evaluation: Evaluation, inserted: bool) -> None:
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

"""The values of ReST^EM that travel between components: frozen, passed by value.

Knows nothing about how answers are generated, graded or stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

BASE_ROUND = 0
"""The round that measures the base model and trains nothing."""


class Split(StrEnum):
    """The purpose of a task."""

    TRAIN = "train"
    HELDOUT = "heldout"
    """Measures on families that are trained on; the task itself is never trained on."""
    TRANSFER = "transfer"
    """Measures on families that are not trained on."""


class Phase(StrEnum):
    """The purpose of an answer."""

    GENERATE = "generate"
    """To be trained on (the E-step)."""
    GREEDY = "greedy"
    """To measure: one answer, from the most likely token at each step."""
    SAMPLED = "sampled"
    """To measure: several answers, sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One prompt with the data its verifier needs."""

    index: int
    """Position in the task set, by which answers refer to it."""
    key: str
    """Its author's name for it."""
    family: str
    """Tasks of one kind. Splits follow families, and the number of a family's answers to train on can be limited."""
    split: Split
    prompt: str
    reference: Mapping[str, object]
    """A JSON object for the verifier, which is not shown to the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a policy to a task."""

    round: int
    phase: Phase
    task: int
    index: int
    """Position among the answers of the same round, phase and task."""
    policy: str
    """The policy that wrote it."""
    text: str
    finish_reason: str
    """`stop` or `length`."""
    ending: str = ""
    """The stop text that ended it, not part of `text`; empty if the model ended it with its own token."""
    prompt_tokens: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Grade:
    """A verifier's grade of an answer."""

    reward: float
    """1 or 0."""
    value: str = ""
    """The final answer, on which a majority votes; empty if none could be read."""
    keys: tuple[str, ...] = ()
    """Answers that share a key are duplicates."""
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer with its grade."""

    answer: Answer
    grade: Grade


@dataclass(frozen=True, slots=True)
class Selected:
    """An answer that a round trains on; with DPO, it is preferred to `rejected`, another answer to the same task."""

    round: int
    task: int
    answer: int
    """Index of the answer among those of its task in phase `generate`."""
    rejected: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over tasks."""

    value: float
    error: float
    """Its standard error; 0 for a single task, never NaN."""
    tasks: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The quality of a policy on one split."""

    greedy: Estimate
    """pass@1 of the greedy answer."""
    sampled: Estimate
    """Mean pass@1 of sampled answers."""
    pass_at_k: Estimate
    majority_at_k: Estimate
    k: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over the same tasks, with the bounds of its confidence interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """The result of a round. Round 0 is the base model."""

    round: int
    policy: str
    samples: int
    """Number of answers generated to train on."""
    correct: int
    selected: int
    figures: Mapping[str, Figures]
    """By split; splits without tasks are missing."""
    published: bool
    stop: str
    """Why no further round follows; empty if one may follow."""
    reason: str
    """The gate's decision in words."""
    gain: Difference | None = None
    """On held-out pass@1, over the best policy before; None for the base model."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a training was started with; suffices to resume it by name."""

    name: str
    tasks: str
    """The task set as the user wrote it."""
    model: str
    """The base model."""
    settings: Mapping[str, object]
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSummary:
    """A training in one line."""

    name: str
    tasks: str
    model: str
    rounds: int
    """Number of rounds that have ended, not counting the base model's."""
    state: str
    """`starting`, `running`, `waiting`, `finished`, `interrupted` or `failed`."""
    stopped: str = ""
    """Why it stopped: `rounds`, `interrupted`, or what the gate said; empty if it did not."""

"""The values of ReST^EM that travel between components: frozen, passed by value.

Knows nothing about how answers are made, graded or stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

BASE_ROUND = 0
"""The round in which the base model is measured, and nothing is trained."""


class Split(StrEnum):
    """What a task is for."""

    TRAIN = "train"
    HELDOUT = "heldout"
    """Of the families that are trained on, and never trained on itself."""
    TRANSFER = "transfer"
    """Of families that are not trained on."""


class Phase(StrEnum):
    """Why an answer was asked for."""

    GENERATE = "generate"
    """To train on (the E-step)."""
    GREEDY = "greedy"
    """To measure: the likeliest token each time."""
    SAMPLED = "sampled"
    """To measure: several, drawn."""


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt with what its verifier needs."""

    index: int
    """Position in the task set; answers refer to it."""
    key: str
    """What its author calls it."""
    family: str
    """Tasks of one kind. Splits follow families, and a cap may be set on what a family brings to the training."""
    split: Split
    prompt: str
    reference: Any
    """Plain JSON data for the verifier; no model sees it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a policy wrote to a task."""

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
    """The text that ended it and is not part of `text`; empty when the model ended it with its own token."""
    prompt_tokens: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Grade:
    """A verifier's verdict on an answer."""

    reward: float
    """1 or 0."""
    value: str = ""
    """The answer as a majority votes on it; empty when there is none to be read."""
    keys: tuple[str, ...] = ()
    """Answers that share one of them are duplicates."""
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer with its grade."""

    answer: Answer
    grade: Grade


@dataclass(frozen=True, slots=True)
class Selected:
    """An answer that a round trains on; with DPO, `rejected` is one to the same task that it is preferred to."""

    round: int
    task: int
    answer: int
    """Index of the answer among those of its task in phase `generate`."""
    rejected: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A model that answers: the base model, or what a round trained."""

    name: str
    """`TRAINING@ROUND`."""
    round: int
    base: str
    """The base model: a folder, or a name on a hub."""
    folder: str = ""
    """Where its weights are; empty for the base model itself."""
    kind: str = "base"
    """`base`, `lora` (the folder holds an adapter of the base) or `full` (the folder holds a whole model)."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What the trainer says of its making."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over tasks."""

    value: float
    error: float
    """Its standard error; NaN-free: 0 for a single task."""
    tasks: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How good a policy is on one split."""

    greedy: Estimate
    """pass@1 with the likeliest answer."""
    sampled: Estimate
    """pass@1 over drawn answers."""
    pass_at_k: Estimate
    majority_at_k: Estimate
    k: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over the same tasks, with the bounds of its confidence interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """How a round ended. Round 0 is the base model."""

    round: int
    policy: str
    samples: int
    """Answers generated to train on."""
    correct: int
    selected: int
    figures: Mapping[str, Figures]
    """By split; a split without tasks is missing."""
    published: bool
    stop: str
    """Why no further round shall follow; empty when one may."""
    reason: str
    """The gate's decision in words."""
    gain: Difference | None = None
    """On held-out pass@1, against the best policy before; None for the base model."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a training was started with: enough to go on with it by its name alone."""

    name: str
    tasks: str
    """The task set as the user wrote it."""
    model: str
    """The base model."""
    settings: Mapping[str, Any]
    created: float


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """A training in one line."""

    name: str
    tasks: str
    model: str
    rounds: int
    """How many have ended, the base model's not counted."""
    state: str
    """`starting`, `running`, `waiting`, `finished`, `interrupted` or `failed`."""
    stopped: str = ""
    """Why it stopped: `rounds`, `interrupted`, or what the gate said; empty if it did not."""

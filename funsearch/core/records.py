"""The values that travel between components: frozen, passed by value, free of behaviour.

Knows nothing about how any of them is made, stored or sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ALL_ISLANDS = -1
"""The island of the first program's prompt: what it brings is registered on every island."""


class Status(StrEnum):
    """How the evaluation of one candidate ended."""

    OK = "OK"
    TIMEOUT = "TIMEOUT"
    CPU_LIMIT = "CPU_LIMIT"
    MEMORY = "MEMORY"
    OUTPUT_LIMIT = "OUTPUT_LIMIT"
    COMPILE_ERROR = "COMPILE_ERROR"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    EARLY_EXIT = "EARLY_EXIT"
    CRASH = "CRASH"
    VIOLATION = "VIOLATION"
    PROTOCOL = "PROTOCOL"
    INVALID_SOLUTION = "INVALID_SOLUTION"
    BAD_SCORE = "BAD_SCORE"
    BELOW_THRESHOLD = "BELOW_THRESHOLD"
    """It ran, and scored too little on a cheap input to be evaluated on the dear ones."""
    INFRA = "INFRA"
    """Our own fault: retried, and never held against the program."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A best-shot prompt, drawn from one island (FunSearch, Methods, "Prompt building")."""

    index: int
    """The how-manieth prompt of the run; its draws come from a generator keyed by (run seed, index)."""
    island: int
    resets: int
    """How many times the island had been reset when the prompt was drawn."""
    text: str
    version: int
    """The version the model is asked to write: `f_v{version}`."""
    parents: tuple[int, ...]
    """Ids of the programs shown, in the order shown (ascending score)."""
    after: int
    """How many evaluations had been registered when the prompt was drawn; what replay goes by."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion of a prompt by a model."""

    prompt: Prompt
    index: int
    """Position among the samples of the same prompt."""
    text: str
    model: str
    """The model and version that wrote it."""
    finish_reason: str
    """`stop` or `length`, as the serving engines say it."""
    prompt_tokens: int = 0
    """Tokens of the prompt; 0 where another sample of the same request has them."""
    tokens: int = 0
    """Tokens of the completion."""


@dataclass(frozen=True, slots=True)
class Function:
    """An evolved function as a model wrote it, under its specification's own name.

    `body` holds the statements below the docstring, indented by four spaces, newline at the end. `preamble` holds
    the imports, constants and helpers that stood above the function, at column 0, or is empty.
    """

    body: str
    preamble: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a problem evaluator has to say of a program on one input, beside its score."""

    notes: str = ""
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON data by name."""


def joined_notes(feedback: Mapping[str, Feedback]) -> str:
    """Returns the notes on a program in one text; they name their inputs if several have any."""
    notes = {name: said.notes for name, said in feedback.items() if said.notes}
    return "\n".join(notes.values() if len(notes) < 2 else (f"{name}: {text}" for name, text in notes.items()))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Status and scores of one sample.

    `scores` is empty unless `status` is OK, the problem keeps partial results, or the program was not evaluated further
    for what it scored on a cheap input.
    """

    sample: Sample
    status: Status
    function: Function | None
    """None when no function could be read from the completion."""
    key: str = ""
    """Digest of the normalised AST; programs with equal keys are duplicates. Empty without a function."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Score per named input, in input order; every value is finite."""
    error: str = ""
    output: str = ""
    """What the candidate printed, cut off at the output cap."""
    seconds: float = 0.0
    """Wall-clock time of the evaluation."""
    sandbox: str = ""
    """Level of confinement: L3, L2, L1 or `none`."""
    duplicate_of: int | None = None
    """Id of the program whose status and scores these are; None when the sandbox was asked."""
    score: float | None = None
    """The scores reduced to one number, as the problem declares; None unless `status` is OK."""
    stage: int = 1
    """Up to where it was evaluated: 1 and how many of the problem's thresholds it passed."""
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """What the evaluator said, per named input; inputs of which it said nothing are missing."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What became of a program on the held-out inputs, which no search sees."""

    status: Status
    scores: Mapping[str, float]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """An evolved function registered with its scores. Its id is the position of its evaluation in the run."""

    id: int
    function: Function
    scores: tuple[float | None, ...]
    """The signature: scores in input order; None for an input without one, where the problem keeps partial results."""
    score: float
    """The signature reduced to one number (`last` or `mean`, as the problem declares)."""
    island: int
    parents: tuple[int, ...]
    key: str = ""
    """Digest of the normalised AST, as in `Evaluation`."""
    notes: str = ""
    """The evaluator's notes, where prompts show them."""


@dataclass(frozen=True, slots=True)
class Reset:
    """One reset of the weaker half of the islands."""

    index: int
    after: int
    """How many evaluations had been registered before it."""
    islands: tuple[int, ...]
    """The islands that were emptied."""
    founders: tuple[int, ...]
    """Id of the program each emptied island starts from, in the order of `islands`."""


@dataclass(frozen=True, slots=True)
class IslandView:
    """One island in numbers."""

    programs: int
    clusters: int
    resets: int
    best_score: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was asked for and gave."""

    samples: int = 0
    prompt_tokens: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run stood at one moment: written now and then, so that its course can be shown without reading it all.

    Counts are over the run's whole life.
    """

    evaluations: int
    """How many had been registered; tells the snapshots of a run apart."""
    at: float
    """Seconds since the epoch."""
    seconds: float
    """Since the present session of the run began."""
    samples: int
    evaluated: int
    """Samples that the sandbox was asked about."""
    valid: int
    """Of those, how many got a score."""
    duplicates: int
    best_score: float | None
    asking: int
    """Prompts with the model."""
    evaluating: int
    """Programs with the evaluators."""
    statuses: Mapping[str, int]
    """Evaluations by status."""
    usage: Mapping[str, Usage]
    """By model."""
    islands: tuple[IslandView, ...]
    samplers: int = 0
    evaluators: int = 0
    """How many were at work; 0 in what was written before these were counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one candidate may use."""

    seconds: float = 30.0
    """Wall clock for each input, over the whole process tree (FunSearch, Methods: 30 s)."""
    memory_mb: int = 2048
    """Address space beyond what the warm worker itself maps (FunSearch, Methods: 2 GB)."""
    output_bytes: int = 65536
    """Standard output and error together; more ends the candidate as OUTPUT_LIMIT."""
    cpu_seconds: float | None = None
    """Processor time over all inputs; None: a hundred times `seconds`, to end what runs on unseen."""
    threads: int = 1
    """Threads of numpy's libraries. More than 1 also permits a candidate to start some; memory is what bounds them."""
    modules: tuple[str, ...] = ()
    """Installed packages that candidates may import besides numpy and the standard library."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run was started with: enough to resume and replay it without any other file."""

    name: str
    problem: str
    """Name of the problem."""
    specification: str
    """Text of the problem file."""
    evaluator: str
    """Text of the evaluator file; empty when the specification holds its own `evaluate`."""
    settings: Mapping[str, Any]
    """All settings of the run as plain JSON data, the seed and the inputs given by the user among them."""
    sandbox: str
    """Level of confinement; fixed for the run."""
    created: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of `funsearch list`."""

    run: str
    problem: str
    samples: int
    best_score: float | None
    state: str
    """`running`, `interrupted`, or why it stopped: `samples`, `minutes`, `target`, `exhausted`."""


@dataclass(frozen=True, slots=True)
class Point:
    """An evaluation without its texts, for pictures of a whole run."""

    program: int
    island: int
    status: Status
    score: float | None
    duplicate: bool


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What storage can say of a run in numbers, over its whole life. The first program is not a sample."""

    samples: int
    evaluated: int
    """Samples that the sandbox was asked about."""
    valid: int
    """Of those, how many got a score."""
    duplicates: int
    """Samples whose program had been evaluated before."""
    tokens: int
    """Tokens of all completions."""
    best_score: float | None
    """The best score of any program, the first one included."""
    prompts: int = 0
    """Prompts that were drawn."""

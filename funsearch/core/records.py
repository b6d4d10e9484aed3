"""The records that components exchange: frozen, passed by value, without behaviour.

Knows nothing about how they are created, stored or sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from funsearch.core.ranges import check_ranges

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""Plain JSON data."""

ALL_ISLANDS = -1
"""The island of the first program's prompt: its program is registered on every island."""


class Status(StrEnum):
    """How the evaluation of a candidate ended."""

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
    """Its score on a cheap input was too low for it to be evaluated on the expensive ones."""
    INFRA = "INFRA"
    """The infrastructure failed, not the candidate: the evaluation is retried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A best-shot prompt, drawn from one island (FunSearch, Methods, "Prompt building")."""

    index: int
    """Number of the prompt within the run, starting at 0. Its draws come from a generator seeded by (seed, index)."""
    island: int
    resets: int
    """Number of resets of the island at the time the prompt was drawn."""
    text: str
    version: int
    """The version the model is asked to write: `f_v{version}`."""
    parents: tuple[int, ...]
    """Ids of the programs shown, in the order shown (ascending score)."""
    after: int
    """Number of evaluations registered when the prompt was drawn, which determines its place in a replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One completion of a prompt by a model."""

    prompt: Prompt
    index: int
    """Position among the samples of the same prompt."""
    text: str
    model: str
    """The model and version that wrote it."""
    finish_reason: str
    """`stop` or `length`, as reported by inference engines."""
    prompt_tokens: int = 0
    """Number of prompt tokens; 0 if they are counted in another sample of the same request."""
    tokens: int = 0
    """Number of tokens in the completion."""


@dataclass(frozen=True, slots=True)
class Function:
    """An evolved function as a model wrote it, under the name in its specification.

    `body` holds the statements after the docstring, indented by four spaces, with a final newline. `preamble` holds
    the imports, constants and helper functions above the function, at column 0, or is empty.
    """

    body: str
    preamble: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """A problem evaluator's feedback on a program for one input, in addition to the score."""

    notes: str = ""
    artifacts: Mapping[str, Json] = field(default_factory=dict)
    """Plain JSON data by name."""


def joined_notes(feedback: Mapping[str, Feedback]) -> str:
    """Returns the notes on a program as one text, with the names of the inputs if several have notes."""
    notes = {name: entry.notes for name, entry in feedback.items() if entry.notes}
    return "\n".join(notes.values() if len(notes) < 2 else (f"{name}: {text}" for name, text in notes.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Status and scores of one sample.

    `scores` is empty unless `status` is OK or BELOW_THRESHOLD, or the problem keeps partial results.
    """

    sample: Sample
    status: Status
    function: Function | None
    """None when no function could be read from the completion."""
    key: str = ""
    """Digest of the normalised AST; programs with equal keys are duplicates. Empty without a function."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Score on each input by name, in input order; all scores are finite."""
    error: str = ""
    output: str = ""
    """Standard output and error of the candidate, truncated to the output limit."""
    seconds: float = 0.0
    """Wall-clock time of the evaluation."""
    sandbox: str = ""
    """Level of confinement: L3, L2, L1 or `none`."""
    duplicate_of: int | None = None
    """Id of the program that status and scores were copied from; None if the sandbox evaluated this one."""
    score: float | None = None
    """The scores reduced to one number, as the problem declares; None unless `status` is OK."""
    stage: int = 1
    """1 plus the number of the problem's thresholds that the program reached."""
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """Feedback of the evaluator by input; inputs without feedback are absent."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Status and scores of a program on the held-out inputs, which searches do not use."""

    status: Status
    scores: Mapping[str, float]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An evolved function, registered with its scores. Its id is the position of its evaluation in the run."""

    id: int
    function: Function
    scores: tuple[float | None, ...]
    """The signature: scores in input order. An entry is None if a partial result without that score was kept."""
    score: float
    """The signature reduced to one number (`last` or `mean`, as the problem declares)."""
    island: int
    parents: tuple[int, ...]
    key: str = ""
    """Digest of the normalised AST, as in `Evaluation`."""
    notes: str = ""
    """The evaluator's notes; empty unless prompts show them."""


@dataclass(frozen=True, slots=True)
class Reset:
    """One reset of the weaker half of the islands."""

    index: int
    after: int
    """Number of evaluations registered before the reset."""
    islands: tuple[int, ...]
    """The islands that were emptied."""
    founders: tuple[int, ...]
    """Id of the program that each emptied island restarts from, in the order of `islands`."""


@dataclass(frozen=True, slots=True)
class IslandView:
    """Statistics of one island."""

    programs: int
    clusters: int
    resets: int
    best_score: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Numbers of samples and tokens of one model."""

    samples: int = 0
    prompt_tokens: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The counts of a run over all its sessions. The first program does not count as a sample."""

    prompts: int = 0
    """Number of prompts drawn."""
    samples: int = 0
    evaluated: int = 0
    """Number of samples evaluated in the sandbox."""
    valid: int = 0
    """Number of these that have a score."""
    duplicates: int = 0
    """Number of samples whose program had been evaluated before."""
    registered: int = 0
    """Number of programs that entered an island; 0 where only the storage was asked."""
    tokens: int = 0
    """Number of tokens in all completions."""
    best_score: float | None = None
    """The best score of any program, including the first program."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Number of evaluations by status; empty where only the storage was asked."""
    usage: Mapping[str, Usage] = field(default_factory=dict)
    """By model; empty where only the storage was asked."""

    def fields(self) -> dict[str, Any]:
        """Returns the counts by name, for the constructor of a subclass."""
        return {name: getattr(self, name) for name in Tally.__dataclass_fields__}

    def with_prompt(self) -> Self:
        """Returns the tally with one more prompt."""
        return replace(self, prompts=self.prompts + 1)

    def with_sample(self, sample: Sample) -> Self:
        """Returns the tally with one more sample of a model."""
        usage = self.usage.get(sample.model, Usage())
        usage = Usage(usage.samples + 1, usage.prompt_tokens + sample.prompt_tokens, usage.tokens + sample.tokens)
        return replace(
            self,
            samples=self.samples + 1,
            tokens=self.tokens + sample.tokens,
            usage={**self.usage, sample.model: usage},
        )

    def with_evaluation(self, evaluation: Evaluation, *, registered: bool) -> Self:
        """Returns the tally with one more evaluation. The first program only counts as registered."""
        tally = replace(self, registered=self.registered + registered)
        if evaluation.sample.prompt.index < 0:
            return tally
        status, duplicate = str(evaluation.status), evaluation.duplicate_of is not None
        evaluated = not duplicate and evaluation.function is not None
        return replace(
            tally,
            evaluated=self.evaluated + evaluated,
            valid=self.valid + (evaluated and evaluation.status is Status.OK),
            duplicates=self.duplicates + duplicate,
            statuses={**self.statuses, status: self.statuses.get(status, 0) + 1},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Tally):
    """A run at one moment, stored regularly so that its history can be shown without reading all events."""

    evaluations: int
    """Number of registered evaluations, which identifies a snapshot within its run."""
    at: float
    """Seconds since the epoch."""
    seconds: float
    """Seconds since the current session of the run began."""
    sampling: int
    """Number of prompts being sampled."""
    evaluating: int
    """Number of programs being evaluated."""
    islands: tuple[IslandView, ...]
    samplers: int = 0
    evaluators: int = 0
    """Number of running samplers and evaluators; 0 in snapshots written before they were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of one candidate."""

    seconds: float = 30.0
    """Wall-clock time for each input, over the whole process tree (FunSearch, Methods: 30 s)."""
    memory_mb: int = 2048
    """Address space in addition to what the warm worker maps (FunSearch, Methods: 2 GB)."""
    output_bytes: int = 65536
    """Size of standard output and error together; a candidate that exceeds it ends with OUTPUT_LIMIT."""
    cpu_seconds: float | None = None
    """Processor time over all inputs. None means a hundred times `seconds`, which ends runaway processes."""
    threads: int = 1
    """Threads of numpy's libraries. A value above 1 also lets candidates start threads, bounded only by memory."""
    modules: tuple[str, ...] = ()
    """Installed packages that candidates may import in addition to numpy and the standard library."""

    def __post_init__(self) -> None:
        """Refuses limits that no candidate can keep."""
        for name in ("seconds", "memory_mb", "output_bytes", "cpu_seconds", "threads"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{name} = {value!r:.80}: must be a number")
        check_ranges(self, counts=("memory_mb", "output_bytes", "threads"), positive=("seconds", "cpu_seconds"))
        if isinstance(self.modules, str) or not all(isinstance(module, str) for module in self.modules):
            raise ValueError(f"modules = {self.modules!r:.80}: must be a tuple of package names")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The configuration of a run: sufficient to resume and replay it without other files."""

    name: str
    problem: str
    """Name of the problem."""
    specification: str
    """Text of the problem file."""
    evaluator: str
    """Text of the evaluator file; empty when the specification holds its own `evaluate`."""
    settings: Mapping[str, Any]
    """All settings of the run as plain JSON data, including the seed and the inputs given by the user."""
    sandbox: str
    """Level of confinement; it does not change during a run."""
    created: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Summary of a run, one line of `funsearch list`."""

    run: str
    problem: str
    samples: int
    best_score: float | None
    state: str
    """`starting`, `running`, `waiting`, `finished`, `interrupted` or `failed`."""
    stopped: str = ""
    """Why it stopped: `samples`, `minutes`, `target`, `cost`, `exhausted` or `interrupted`; empty if it did not."""


@dataclass(frozen=True, slots=True)
class Point:
    """An evaluation without its texts, for plots of a whole run."""

    program: int
    island: int
    status: Status
    score: float | None
    duplicate: bool

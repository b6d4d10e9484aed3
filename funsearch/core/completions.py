"""Completions: what a sampler is asked for, and what it returns. Knows nothing about any model or endpoint.

Searches, trainings and measurements all ask through these records, so that each adapter is written once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Form = Literal["best-shot", "text", "chat"]
"""How a prompt reaches the model. `text`: the model continues it. `chat`: it is one user message. `best-shot`: a
best-shot prompt, which a base model continues and a chat model receives as a request to write the last function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float
    """0: the likeliest token each time."""
    top_k: int = 0
    """0: all tokens."""
    top_p: float = 1.0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they are not part of it."""
    min_p: float = 0.0
    """Leaves out tokens less likely than this share of the likeliest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A version of a model: the base model, or the result of a ReST^EM round."""

    name: str
    """`TRAINING@ROUND`."""
    round: int
    base: str
    """The base model: a folder, or a name on a hub."""
    folder: str = ""
    """Where its weights are; empty for the base model itself."""
    kind: str = "base"
    """`base`, `lora` (the folder holds an adapter of the base) or `full` (the folder holds a whole model)."""
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    """What the trainer reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for completions of one prompt."""

    prompt: str
    count: int
    index: int = 0
    """Number of the prompt within its run; recorded answers and mixtures of samplers choose by it."""
    form: Form = "best-shot"
    sampling: Sampling | None = None
    """None: as the sampler's own settings say."""
    seed: int | None = None
    """For samplers that can be seeded per request: the same request then gets the same completions."""
    policy: Policy | None = None
    """The policy to answer with; None: the sampler's own model."""
    title: str = ""
    """What messages call the prompt; by default, its number."""

    @property
    def name(self) -> str:
        """What messages call the prompt."""
        return self.title or f"prompt {self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One completion of a prompt."""

    text: str
    model: str
    """The model and version that wrote it, or the name of the policy."""
    finish_reason: str = "stop"
    """`stop` or `length`, as serving engines report it."""
    prompt_tokens: int = 0
    """Tokens of the prompt; 0 where another completion of the same request accounts for them."""
    tokens: int = 0
    """Tokens of the completion."""
    ending: str = ""
    """The stop text that ended it; empty when the model ended it with its own token."""


@dataclass(frozen=True, slots=True)
class SamplerStats:
    """What a sampler has done and what is queued. Counts are over its lifetime."""

    prompt_tokens: int = 0
    """Tokens of prompts, counted for each completion."""
    tokens: int = 0
    """Tokens generated so far, those of unfinished completions included."""
    running: int = 0
    """Completions being generated now."""
    waiting: int = 0
    """Completions in the queue."""

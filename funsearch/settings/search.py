"""All settings of a run in one frozen model: from defaults, a TOML file and `--set KEY=VALUE`, in that order.

Defaults live in the classes themselves. An unknown key is refused with its path and the nearest valid name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from funsearch.core.completions import Policy
from funsearch.core.database import DatabaseConfig
from funsearch.core.records import Limits, Usage
from funsearch.loading import InputText
from funsearch.samplers.options import OpenAIOptions, TransformersOptions, VllmOptions
from funsearch.sandbox.options import SandboxOptions
from funsearch.settings.parsing import checked_model, gathered
from funsearch.settings.training import SelfTraining

ANY_MODEL = "*"
"""In a price list, every model that has no price of its own."""


class LimitSettings(BaseModel):
    """What one candidate may use; None leaves it to the problem."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float | None = Field(default=None, gt=0)
    memory_mb: int | None = Field(default=None, gt=0)
    output_bytes: int | None = Field(default=None, gt=0)
    cpu_seconds: float | None = Field(default=None, gt=0)
    threads: int | None = Field(default=None, gt=0)
    modules: tuple[str, ...] | None = None

    def override(self, limits: Limits) -> Limits:
        """Returns the problem's limits with those that are set here in their place."""
        return replace(limits, **self.model_dump(exclude_none=True))


class ServedPolicy(BaseModel):
    """A policy of a training that a sampler serves, as it was when the run began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    base: str
    folder: str
    kind: Literal["base", "lora", "full"]
    rank: int = 0
    """Of the adapter."""

    def policy(self) -> Policy:
        """Returns it as samplers know it."""
        return Policy(self.name, 0, self.base, self.folder, self.kind)


class Place(BaseModel):
    """What one actor asks of the node it runs on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: float | None = Field(default=None, ge=0)
    """None: one for an evaluator on a cluster, otherwise none."""
    gpus: float | None = Field(default=None, ge=0)
    """None: for a vLLM sampler as many as its `tensor_parallel_size`, where there are any; otherwise none."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Resources of your own, as in `ray start --resources`."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels that the node must have, as in `ray start --labels`."""

    def options(self, cpus: float, gpus: float) -> dict[str, Any]:
        """Returns the options of an actor; `cpus` and `gpus` are taken where none are set."""
        options: dict[str, Any] = {
            "num_cpus": cpus if self.cpus is None else self.cpus,
            "num_gpus": gpus if self.gpus is None else self.gpus,
        }
        if self.resources:
            options["resources"] = self.resources
        if self.labels:
            options["label_selector"] = self.labels
        return options

    @property
    def anywhere(self) -> bool:
        """Returns whether any node will do."""
        return not (self.cpus or self.gpus or self.resources or self.labels)


class PlacementSettings(BaseModel):
    """Where actors run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: Place = Place()
    """Left alone, it runs where the search was started; with an SQLite database it always does."""
    sampler: Place = Place()
    evaluator: Place = Place()


class Price(BaseModel):
    """What a model's tokens cost, in a currency of your own, for a million of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class Settings(BaseModel):
    """What a run is started with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    samplers: tuple[str, ...] = ("vllm",)
    """`vllm[:MODEL]`, `openai:MODEL` or `scripted:FILE`; several make a mixture."""
    weights: tuple[float, ...] = ()
    """Share of each sampler in a mixture; equal when empty."""
    samples_per_prompt: int = Field(default=4, gt=0)
    """FunSearch, Methods: 4."""
    prompts_in_flight: int | None = Field(default=None, gt=0)
    """Prompts with each sampler at once; by default as many as keep its queue from running empty."""
    sampler_replicas: int = Field(default=1, gt=0)
    """Samplers at work at once, each with all of `samplers` and with GPUs of its own."""
    evaluators: int | Literal["auto"] = 1
    """`auto`: as many as the cluster has room for, following it as nodes come and go."""
    evaluator_seconds: float = Field(default=600.0, gt=0)
    """How long the problem's own evaluator may compute for one program before it is taken to hang."""
    policies: dict[str, ServedPolicy] = {}
    """What the samplers `vllm:policy:NAME` stand for, by NAME; found out when the run is started."""
    storage_seconds: float = Field(default=86400.0, ge=0)
    """How long the search waits for a database that cannot be reached or whose disk is full, before it gives up."""
    prices: dict[str, Price] = {}
    """By model, as the samples name it; `"*"` stands for all others."""
    train: SelfTraining = SelfTraining()
    """Closes the loop: the search trains its own model."""
    reset_minutes: float | None = Field(default=None, gt=0)
    """Resets the weaker islands by the clock, as the reference does, instead of by `database.reset_period`."""
    database: DatabaseConfig = DatabaseConfig()
    vllm: VllmOptions = VllmOptions()
    openai: OpenAIOptions = OpenAIOptions()
    transformers: TransformersOptions = TransformersOptions()
    sandbox: SandboxOptions = SandboxOptions()
    limits: LimitSettings = LimitSettings()
    placement: PlacementSettings = PlacementSettings()

    @field_validator("evaluators", mode="before")
    @classmethod
    def _count_or_auto(cls, value: object) -> object:
        if value != "auto" and not (isinstance(value, int) and value > 0):
            raise PydanticCustomError("count", "write a number of at least 1, or auto")
        return value

    def with_seed(self, seed: int) -> Self:
        """Returns the same settings with another seed."""
        return self.model_copy(update={"seed": seed})

    def serving_policies(self) -> Self:
        """Returns the same settings, with samplers that can serve what the search will train."""
        rank = max(self.vllm.max_lora_rank, self.train.served_rank)
        return self.model_copy(update={"vllm": replace(self.vllm, max_lora_rank=rank)})

    def in_flight(self) -> int:
        """Returns how many prompts to begin with: half as many samples again as vLLM works on at once."""
        if self.prompts_in_flight is not None:
            return self.prompts_in_flight
        return -(-3 * self.vllm.max_num_seqs // (2 * self.samples_per_prompt)) + 1

    def most_in_flight(self) -> int:
        """Returns how many prompts to have with the model at most.

        A prompt stays until its last sample is done, so that up to one for each sample at work may be needed.
        """
        return self.prompts_in_flight or max(self.in_flight(), 2 * self.vllm.max_num_seqs)

    def cost(self, usage: Mapping[str, Usage]) -> float | None:
        """Returns what the models' tokens cost; None if one that was used has no price."""
        total = 0.0
        for model, tokens in usage.items():
            price = self.prices.get(model) or self.prices.get(ANY_MODEL)
            if price is None:
                return None
            total += price.prompt * tokens.prompt_tokens + price.completion * tokens.tokens
        return total / 1e6

    def queue_target(self) -> int:
        """Returns how many samples should wait in the model's queue, so that it is never empty between two looks."""
        return max(self.samples_per_prompt, self.vllm.max_num_seqs // 4)

    def stored(self, inputs: Sequence[InputText]) -> dict[str, Any]:
        """Returns the settings and the user's inputs as plain JSON data, for `RunRecord.settings`."""
        return {**self.model_dump(mode="json"), "inputs": [asdict(text) for text in inputs]}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> tuple[Self, tuple[InputText, ...]]:
        """Returns what `stored` was made from.

        Raises:
            ConfigError: the data has keys or values this version does not know.
        """
        data = dict(stored)
        inputs = tuple(InputText(**text) for text in data.pop("inputs"))
        return cls.checked(data), inputs

    @classmethod
    def checked(cls, data: Mapping[str, Any]) -> Self:
        """Returns validated settings.

        Raises:
            ConfigError: a key is unknown or a value has the wrong form; the message names its path.
        """
        return checked_model(cls, data)

    @classmethod
    def load(cls, config: Path | None = None, assignments: Sequence[str] = (), **options: Any) -> Self:
        """Returns the settings of a TOML file, then `KEY=VALUE` assignments, then the options that are not None.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        return cls.checked(gathered(config, assignments, options))

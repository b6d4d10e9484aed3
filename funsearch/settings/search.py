"""All settings of a run in one frozen model: defaults, overridden by a TOML file, then by `--set KEY=VALUE`.

The classes hold the defaults. An unknown key is refused with its path and the nearest valid name. docs/settings.md is
generated from the docstrings of the fields (`tools/settings_reference.py`).
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
"""Name in a price list that stands for every model without a price of its own."""


class LimitSettings(BaseModel):
    """Resource limits of a candidate. None: the problem's own limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float | None = Field(default=None, gt=0)
    """Wall-clock time for each input, in seconds."""
    memory_mb: int | None = Field(default=None, gt=0)
    """Memory in MB, in addition to the interpreter's own memory."""
    output_bytes: int | None = Field(default=None, gt=0)
    """Bytes of standard output and standard error together."""
    cpu_seconds: float | None = Field(default=None, gt=0)
    """CPU time over all inputs, in seconds."""
    threads: int | None = Field(default=None, gt=0)
    """Number of threads of numpy's libraries; more than 1 also lets a candidate start threads."""
    modules: tuple[str, ...] | None = None
    """Installed packages that candidates may import, besides numpy and the standard library."""

    def override(self, limits: Limits) -> Limits:
        """Returns the problem's limits, overridden by those that are set here."""
        return replace(limits, **self.model_dump(exclude_none=True))


class ServedPolicy(BaseModel):
    """A policy that a sampler `vllm:policy:NAME` serves, recorded as it was when the run was started."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Full name of the policy, as in TRAINING@ROUND."""
    base: str
    """Base model of the policy."""
    folder: str
    """Folder of the policy's weights."""
    kind: Literal["base", "lora", "full"]
    """Whether the policy is the base model, an adapter of it, or a model with weights of its own."""
    rank: int = 0
    """Rank of the adapter; 0 if there is none."""

    def policy(self) -> Policy:
        """Returns the policy as samplers take it."""
        return Policy(name=self.name, round=0, base=self.base, folder=self.folder, kind=self.kind)


class Place(BaseModel):
    """What an actor requires of the node it runs on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: float | None = Field(default=None, ge=0)
    """Number of CPUs. None: 1 for an evaluator on a cluster, otherwise 0."""
    gpus: float | None = Field(default=None, ge=0)
    """Number of GPUs. None: `vllm.tensor_parallel_size` for a vLLM sampler where there are GPUs, otherwise 0."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Amounts of custom resources, as in `ray start --resources`."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels that the node must have, as in `ray start --labels`."""

    def options(self, cpus: float, gpus: float) -> dict[str, object]:
        """Returns Ray's options for an actor, with `cpus` and `gpus` where none are set."""
        options: dict[str, object] = {
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
        """Whether any node will do."""
        return not (self.cpus or self.gpus or self.resources or self.labels)


class PlacementSettings(BaseModel):
    """Nodes that the actors of a search run on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: Place = Place()
    """Node of the driver, which owns the run. By default, and always with SQLite, the machine of the command."""
    sampler: Place = Place()
    """Nodes of the samplers."""
    evaluator: Place = Place()
    """Nodes of the evaluators."""


class Price(BaseModel):
    """Price of a model's tokens per million, in a currency of your choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: float = Field(ge=0)
    """Price of a million prompt tokens."""
    completion: float = Field(ge=0)
    """Price of a million completion tokens."""


class Settings(BaseModel):
    """Settings that a search is started with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    """Seed of all random draws."""
    samplers: tuple[str, ...] = ("vllm",)
    """Specifications of the samplers: `vllm[:MODEL]`, `vllm:policy:NAME`, `openai:MODEL`, `transformers:MODEL` or
    `scripted:FILE`. Several make a mixture."""
    weights: tuple[float, ...] = ()
    """Weight of each sampler in a mixture. Empty: equal weights."""
    samples_per_prompt: int = Field(default=4, gt=0)
    """Number of samples per prompt (FunSearch, Methods: 4)."""
    prompts_in_flight: int | None = Field(default=None, gt=0)
    """Number of prompts at each sampler at the same time. None: as many as keep its queue from running empty."""
    sampler_replicas: int = Field(default=1, gt=0)
    """Number of copies of the sampler that run at the same time, each with GPUs of its own."""
    evaluators: int | Literal["auto"] = 1
    """Number of programs evaluated at the same time. `auto`: as many as the machine or cluster has room for, as nodes
    join and leave."""
    evaluator_seconds: float = Field(default=600.0, gt=0)
    """Time in seconds that the problem's own evaluator may take for one program before it counts as hanging."""
    policies: dict[str, ServedPolicy] = {}
    """Policies of the samplers `vllm:policy:NAME`, by NAME. Looked up in the database when the run is started; there
    is no need to set them."""
    storage_seconds: float = Field(default=86400.0, ge=0)
    """Time in seconds that the search waits for a database that is unreachable or full before it gives up."""
    prices: dict[str, Price] = {}
    """Price list by model, as samples name it; `"*"` stands for all other models. Needed for `--max-cost`."""
    train: SelfTraining = SelfTraining()
    """Training of the search's own model on its own samples."""
    reset_minutes: float | None = Field(default=None, gt=0)
    """Minutes between two resets of the weaker islands, as in the reference implementation. None: resets follow
    `database.reset_period`, which can be replayed."""
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

    def serving_policies(self) -> Self:
        """Returns these settings with samplers that can serve the adapters that the search will train."""
        rank = max(self.vllm.max_lora_rank, self.train.served_rank)
        return self.model_copy(update={"vllm": replace(self.vllm, max_lora_rank=rank)})

    def in_flight(self) -> int:
        """Returns the number of prompts to start with: enough for 1.5 times the samples that vLLM generates at once."""
        if self.prompts_in_flight is not None:
            return self.prompts_in_flight
        return -(-3 * self.vllm.max_num_seqs // (2 * self.samples_per_prompt)) + 1

    def most_in_flight(self) -> int:
        """Returns the maximum number of prompts at the model.

        A prompt stays until its last sample is done, so up to one prompt per sample in progress may be needed.
        """
        return self.prompts_in_flight or max(self.in_flight(), 2 * self.vllm.max_num_seqs)

    def cost(self, usage: Mapping[str, Usage]) -> float | None:
        """Returns the cost of the models' tokens; None if a model that was used has no price."""
        total = 0.0
        for model, tokens in usage.items():
            price = self.prices.get(model) or self.prices.get(ANY_MODEL)
            if price is None:
                return None
            total += price.prompt * tokens.prompt_tokens + price.completion * tokens.tokens
        return total / 1e6

    def queue_target(self) -> int:
        """Returns the number of samples to keep in the model's queue, so that it is never empty between two checks."""
        return max(self.samples_per_prompt, self.vllm.max_num_seqs // 4)

    def stored(self, inputs: Sequence[InputText]) -> dict[str, object]:
        """Returns the settings and the user's inputs as plain JSON data, for `RunRecord.settings`."""
        return {**self.model_dump(mode="json"), "inputs": [asdict(text) for text in inputs]}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> tuple[Self, tuple[InputText, ...]]:
        """Returns the settings and inputs from the data that `stored` returned.

        Raises:
            ConfigError: the data has keys or values that this version does not know.
        """
        data = dict(stored)
        inputs = tuple(InputText(**text) for text in data.pop("inputs"))
        return cls.checked(data), inputs

    @classmethod
    def checked(cls, data: Mapping[str, object]) -> Self:
        """Returns validated settings.

        Raises:
            ConfigError: a key is unknown or a value has the wrong form; the message names its path.
        """
        return checked_model(cls, data)

    @classmethod
    def load(cls, config: Path | None = None, assignments: Sequence[str] = (), **options: object) -> Self:
        """Returns the settings of a TOML file, then `KEY=VALUE` assignments, then the options that are not None.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        return cls.checked(gathered(config, assignments, options))

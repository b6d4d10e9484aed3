"""All settings of a training in one frozen model. Defaults live here and in the classes of the sections."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from funsearch.errors import ConfigError
from funsearch.rest_em.filtering import SelectionConfig
from funsearch.rest_em.gate import GateConfig
from funsearch.rest_em.options import TaskOptions
from funsearch.samplers.options import TransformersOptions, VllmOptions
from funsearch.sandbox.options import SandboxOptions
from funsearch.settings.parsing import checked_model, gathered
from funsearch.trainers import options as trainer_options
from funsearch.trainers.options import TrainerOptions

MAY_CHANGE = (
    "rounds",
    "samples_per_task",
    "evaluators",
    "batch_samples",
    "verifier_seconds",
    "vllm",
    "transformers",
    *(f"trainer.{name}" for name in trainer_options.MAY_CHANGE),
)
"""What may change when a training is resumed: how much is done, and how the work is carried out."""

PromptFormat = Literal["auto", "completion", "chat"]

STEP_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "measure": {"samples": 4, "train": 0},
    "tasks": {"heldout": 100},
    "gate": {"pass_at_1": "sampled"},
}
"""Defaults of the steps within a search: they measure less, since each answer costs as much as a sample."""
STEP_BATCH = 64
"""Answers that a step requests in one batch: few, so that every sampler of the search gets some."""


class GenerateSettings(BaseModel):
    """How the answers to train on are sampled (Singh et al., appendix)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.7, gt=0)
    """Sampling temperature (Singh et al.: 0.7)."""
    top_k: int = Field(default=40, ge=0)
    """Number of likeliest tokens to sample from (Singh et al.: 40); 0 for all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability to sample from, the likeliest tokens first."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Maximum number of tokens of an answer. None: the limit of the task set."""


class MeasureSettings(BaseModel):
    """How a policy is measured, in addition to its greedy answer to each task (Singh et al., appendix)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(default=8, gt=0)
    """Number of sampled answers to each task; the k of pass@k."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the sampled answers."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Share of the probability to sample from, the likeliest tokens first."""
    train: int = Field(default=200, ge=0)
    """Number of training tasks that the policy is also measured on."""


class RoundSettings(BaseModel):
    """Settings of a round, both in a training of its own and within a search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = ""
    """Folder that policies are written to. Empty: beside the database, or in the current folder."""
    measure: MeasureSettings = MeasureSettings()
    tasks: TaskOptions = TaskOptions()
    selection: SelectionConfig = SelectionConfig()
    gate: GateConfig = GateConfig()
    trainer: TrainerOptions = TrainerOptions()
    verifier_seconds: float = Field(default=600.0, gt=0)
    """Time limit in seconds of a verifier for one answer, in addition to the limits of the programs it runs."""

    @field_validator("folder")
    @classmethod
    def _absolute(cls, folder: str) -> str:
        """Makes the path absolute: a later command may run in another folder."""
        return str(Path(folder).expanduser().resolve()) if folder else ""

    @model_validator(mode="after")
    def _check_control(self) -> Self:
        if self.trainer.method == "dpo" and not self.selection.filtered:
            raise ValueError(
                "selection.filtered = False: the unfiltered control needs trainer.method = 'sft'; DPO pairs a right "
                "answer with a wrong one"
            )
        return self


class TrainingSettings(RoundSettings):
    """Settings that a training is started with."""

    seed: int = Field(default=0, ge=0)
    """Seed of all random draws."""
    rounds: int = Field(default=2, ge=0)
    """Maximum number of rounds; the gate may stop the training earlier."""
    samples_per_task: int = Field(default=32, gt=0)
    """Number of answers to each task in a round (Singh et al.: 32 for mathematics, 64 for programs)."""
    sampler: Literal["vllm", "transformers"] = "vllm"
    """Library that samples the answers; `transformers` suits small models."""
    prompt_format: PromptFormat = "auto"
    """Form of the prompts. `auto`: chat if the model was trained to end its turn as its chat template does, otherwise
    completion."""
    evaluators: int = Field(default=1, gt=0)
    """Number of verifiers running at the same time."""
    batch_samples: int = Field(default=512, gt=0)
    """Approximate number of answers in a batch; a batch is saved as soon as it is complete."""
    generate: GenerateSettings = GenerateSettings()
    vllm: VllmOptions = VllmOptions()
    transformers: TransformersOptions = TransformersOptions()
    sandbox: SandboxOptions = SandboxOptions()

    @classmethod
    def load(cls, config: Path | None = None, assignments: Sequence[str] = (), **options: object) -> Self:
        """Returns the settings of a TOML file, then `KEY=VALUE` assignments, then the options that are not None.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        return checked_model(cls, gathered(config, assignments, options))

    @classmethod
    def checked(cls, data: Mapping[str, object]) -> Self:
        """Returns validated settings.

        Raises:
            ConfigError: a key is unknown or a value has the wrong form; the message names its path.
        """
        return checked_model(cls, data)

    @classmethod
    def restored(cls, stored: Mapping[str, object]) -> Self:
        """Returns the settings from their `model_dump`, which may have been written by an earlier version.

        Raises:
            ConfigError: the data has keys or values that this version does not know.
        """
        return checked_model(cls, stored)


class SelfTraining(RoundSettings):
    """How a search trains its model on its own samples, in steps of one round each."""

    every: int | None = Field(default=None, gt=0)
    """Number of samples between two training steps. None: the search does not train."""
    pause: bool = True
    """Whether the search waits for each step. Otherwise it continues with its present policy, and the trainer needs a
    device that no sampler uses."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, data: object) -> object:
        """Fills in the defaults that differ from those of a training of its own; complete sections stay as given."""
        if not isinstance(data, Mapping):
            return data
        sections = {name: data.get(name, {}) for name in STEP_DEFAULTS}
        partial = {name: section for name, section in sections.items() if isinstance(section, Mapping)}
        return {**data, **{name: {**STEP_DEFAULTS[name], **section} for name, section in partial.items()}}

    @property
    def served_rank(self) -> int:
        """Rank of the adapters that samplers must be able to serve; 0 if there are none."""
        return self.trainer.served_rank if self.every else 0

    def step(self, seed: int, prompt_format: PromptFormat) -> TrainingSettings:
        """Returns the settings of one step of a search that has this seed."""
        own = {name: getattr(self, name) for name in RoundSettings.model_fields}
        return TrainingSettings(seed=seed, rounds=1, prompt_format=prompt_format, batch_samples=STEP_BATCH, **own)


def check_same(old: TrainingSettings, new: TrainingSettings, name: str) -> None:
    """Refuses to resume a training with settings that differ from those it was started with.

    Raises:
        ConfigError: names the first setting that differs and may not change.
    """
    before, after = _flat(old), _flat(new)
    for path, original in before.items():
        value = after.get(path)
        if original != value and path not in MAY_CHANGE and path.partition(".")[0] not in MAY_CHANGE:
            raise ConfigError(
                f"The training {name} was started with {path} = {original!r}, not {value!r}: give the same value, or "
                "another --name."
            )


def _flat(settings: TrainingSettings) -> dict[str, object]:
    """Returns the settings by their paths, as `KEY` or `SECTION.KEY`."""
    flat: dict[str, object] = {}
    for key, value in settings.model_dump(mode="json").items():
        flat |= {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, dict) else {key: value}
    return flat

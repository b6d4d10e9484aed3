"""All settings of a training in one frozen model. Defaults live here and in the classes of the parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

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
"""What may be another when a training goes on: more of the same, and how it is worked off."""


PromptFormat = Literal["auto", "completion", "chat"]

STEP_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "measure": {"samples": 4, "train": 0},
    "tasks": {"heldout": 100},
    "gate": {"pass_at_1": "sampled"},
}
"""Of the steps in a search: they measure less, since each answer costs as much as a sample of the search."""
STEP_BATCH = 64
"""Answers that a step asks for at once: few, so that all samplers of the search have some."""


class GenerateSettings(BaseModel):
    """How answers to train on are drawn (Singh et al., appendix)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.7, gt=0)
    top_k: int = Field(default=40, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    """None: what the task set says."""


class MeasureSettings(BaseModel):
    """How a policy is measured, beside the likeliest answer to each task (Singh et al., appendix)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(default=8, gt=0)
    """Drawn answers to each task; k of pass@k."""
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    train: int = Field(default=200, ge=0)
    """Of the tasks that are trained on, how many are measured on, too."""


class RoundSettings(BaseModel):
    """What can be set of a round, in a training by itself and in a search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = ""
    """Where policies go; beside the database, or in the current folder, when empty."""
    measure: MeasureSettings = MeasureSettings()
    tasks: TaskOptions = TaskOptions()
    selection: SelectionConfig = SelectionConfig()
    gate: GateConfig = GateConfig()
    trainer: TrainerOptions = TrainerOptions()
    verifier_seconds: float = Field(default=600.0, gt=0)
    """How long a verifier may take over one answer. Programs are ended by their own limits; this ends the verifier."""

    @field_validator("folder")
    @classmethod
    def _whole_path(cls, folder: str) -> str:
        """Whoever looks there later may work in another folder."""
        return str(Path(folder).expanduser().resolve()) if folder else ""

    @model_validator(mode="after")
    def _check_control(self) -> Self:
        if self.trainer.method == "dpo" and not self.selection.filtered:
            raise ValueError(
                "selection.filtered = False: the control is for trainer.method = 'sft', as pairs are filtered"
            )
        return self


class TrainingSettings(RoundSettings):
    """What a training is started with."""

    seed: int = Field(default=0, ge=0)
    rounds: int = Field(default=2, ge=0)
    """At most; the gate may end them sooner."""
    samples_per_task: int = Field(default=32, gt=0)
    """Singh et al.: 32 for mathematics, 64 for programs."""
    sampler: Literal["vllm", "transformers"] = "vllm"
    prompt_format: PromptFormat = "auto"
    """`auto`: chat if the model was trained to end its turn as its chat template does, else completion."""
    evaluators: int = Field(default=1, gt=0)
    """Verifiers at work at once."""
    batch_samples: int = Field(default=512, gt=0)
    """Answers asked for at once, about; when a batch is there, it is saved."""
    generate: GenerateSettings = GenerateSettings()
    vllm: VllmOptions = VllmOptions()
    transformers: TransformersOptions = TransformersOptions()
    sandbox: SandboxOptions = SandboxOptions()

    @classmethod
    def load(cls, config: Path | None = None, assignments: Sequence[str] = (), **options: Any) -> Self:
        """Returns the settings of a TOML file, then `KEY=VALUE` assignments, then the options that are not None.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        return checked_model(cls, gathered(config, assignments, options))

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        """Returns what `model_dump` was asked of.

        Raises:
            ConfigError: the data has keys or values this version does not know.
        """
        return checked_model(cls, stored)


class SelfTraining(RoundSettings):
    """How a search trains its model on what it has found, in steps of one round each."""

    every: int | None = Field(default=None, gt=0)
    """Samples between two steps; None: there are none."""
    pause: bool = True
    """Whether the search waits for each step. Else it goes on with the policy it has, and the trainer needs a device
    beside the samplers'."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, data: Any) -> Any:
        """Fills in what is another default here than in a training by itself."""
        if not isinstance(data, Mapping):
            return data
        return {**data, **{name: {**own, **data.get(name, {})} for name, own in STEP_DEFAULTS.items()}}

    @property
    def served_rank(self) -> int:
        """Returns the rank of the adapters that samplers shall be able to serve; 0 if there will be none."""
        return self.trainer.served_rank if self.every else 0

    def step(self, seed: int, prompt_format: PromptFormat) -> TrainingSettings:
        """Returns the settings of one step of a search with this seed."""
        own = {name: getattr(self, name) for name in RoundSettings.model_fields}
        return TrainingSettings(seed=seed, rounds=1, prompt_format=prompt_format, batch_samples=STEP_BATCH, **own)


def check_same(old: TrainingSettings, new: TrainingSettings, name: str) -> None:
    """Refuses to go on with other settings than those a training began with.

    Raises:
        ConfigError: names the first that differs.
    """
    before, after = _flat(old), _flat(new)
    for path, was in before.items():
        now = after.get(path)
        if was != now and path not in MAY_CHANGE and path.partition(".")[0] not in MAY_CHANGE:
            raise ConfigError(
                f"The training {name} was begun with {path} = {was!r}, not {now!r}: give the same, or another --name."
            )


def _flat(settings: TrainingSettings) -> dict[str, Any]:
    """Returns the settings by their paths."""
    found: dict[str, Any] = {}
    for key, value in settings.model_dump(mode="json").items():
        found |= {f"{key}.{part}": one for part, one in value.items()} if isinstance(value, dict) else {key: value}
    return found

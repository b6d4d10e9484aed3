"""Makes samplers from what the user wrote: `vllm[:MODEL]`, `openai:MODEL`, `scripted:FILE`, and mixtures of them.

Each adapter is imported only when it is asked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from funsearch.core.ports import Sampler
from funsearch.errors import ConfigError
from funsearch.settings.search import ServedPolicy, Settings
from funsearch.trainers.trl import check_installed

POLICY = "policy:"
"""What stands before the name of a policy, as in vllm:policy:NAME."""
KINDS = ("vllm", "openai", "scripted", "transformers")
PYTHON = "python"
"""Kind of a sampler that was given as a Python object; no specification makes one."""


def split_spec(spec: str) -> tuple[str, str]:
    """Returns kind and argument of a sampler as the user wrote it.

    Raises:
        ConfigError: the kind is unknown, or its argument is missing.
    """
    kind, _, argument = spec.partition(":")
    if kind == PYTHON:
        return kind, argument
    if kind not in KINDS:
        raise ConfigError(
            f"Unknown sampler {spec}: write vllm, vllm:MODEL, openai:MODEL, scripted:FILE or transformers:MODEL."
        )
    if not argument and kind != "vllm":
        what = {
            "openai": "a model, as in openai:qwen2.5-coder",
            "scripted": "a file, as in scripted:answers.jsonl",
            "transformers": "a model, as in transformers:models/tiny",
        }
        raise ConfigError(f"The sampler {spec} needs {what[kind]}.")
    return kind, argument


def is_python(samplers: Sequence[str]) -> bool:
    """Returns whether a run was given its sampler as a Python object, or none at all."""
    return any(spec.startswith(f"{PYTHON}:") for spec in samplers)


def check_samplers(settings: Settings) -> None:
    """Refuses what can be seen to be wrong before anything is started.

    Raises:
        ConfigError: a sampler is misspelt, a file or a model folder does not exist, or weights do not fit.
        TrainingError: the search shall train its model, and the trainer is not installed.
    """
    for spec in settings.samplers:
        kind, argument = split_spec(spec)
        if argument.startswith(POLICY) and kind != "vllm":
            raise ConfigError(f"The sampler {spec}: policies are served by vllm, as in vllm:{argument}.")
        if kind == "scripted" and not Path(argument).is_file():
            raise ConfigError(f"There is no file {argument} for the sampler {spec}.")
        if (
            kind in ("vllm", "transformers")
            and argument.startswith((".", "/", "~"))
            and not Path(argument).expanduser().is_dir()
        ):
            raise ConfigError(f"There is no model folder {argument} for the sampler {spec}.")
    if settings.train.every:
        _check_training(settings)
    if settings.weights and len(settings.weights) != len(settings.samplers):
        raise ConfigError(f"weights = {list(settings.weights)}: give one for each of {list(settings.samplers)}.")


def _check_training(settings: Settings) -> None:
    check_installed()
    if settings.train.trainer.full:
        raise ConfigError(
            "train.trainer.full = true: a search takes up adapters only, which its sampler loads while it serves. "
            "Leave it out, or use `funsearch train`."
        )
    if len(settings.samplers) > 1 or split_spec(settings.samplers[0])[0] not in ("vllm", "transformers"):
        raise ConfigError(
            f"train.every = {settings.train.every}, and the samplers are {', '.join(settings.samplers)}: a search can "
            "train its model only if that is its one sampler, as in --sampler vllm:MODEL."
        )


def check_policies(settings: Settings) -> None:
    """Refuses to train on top of a policy that cannot be; called when policies have been looked up.

    Raises:
        ConfigError: one is a whole model of its own, and no adapter of the base model can be served beside it.
    """
    for policy in settings.policies.values():
        if settings.train.every and policy.kind == "full":
            raise ConfigError(
                f"The policy {policy.name} has weights of its own, and a search trains adapters of the base model: "
                f"begin with the model itself, as in --sampler vllm:{policy.base}."
            )


def trained_model(settings: Settings) -> tuple[str, ServedPolicy | None]:
    """Returns the base model that a search trains, and the policy of it that it begins with, if it is one."""
    argument = split_spec(settings.samplers[0])[1]
    if argument.startswith(POLICY):
        policy = settings.policies[argument.removeprefix(POLICY)]
        return policy.base, policy
    model = argument or settings.vllm.model
    if not model:
        from funsearch.samplers.embedded import embedded_model

        model = str(embedded_model())
    return model, None


def make_sampler(settings: Settings) -> Sampler:
    """Returns the sampler of the settings, a mixture when there are several.

    Raises:
        ConfigError: a sampler is misspelt.
        SamplerError: it cannot be started.
    """
    samplers = [_make_one(spec, settings) for spec in settings.samplers]
    if len(samplers) == 1:
        return samplers[0]
    from funsearch.samplers.mixture import MixtureSampler

    weights = settings.weights or (1.0,) * len(samplers)
    return MixtureSampler(list(zip(samplers, weights, strict=True)), settings.seed)


def _make_one(spec: str, settings: Settings) -> Sampler:
    kind, argument = split_spec(spec)
    if kind == PYTHON:
        raise ConfigError(
            f"The sampler {spec} was given as a Python object, which only Python can supply: resume the run with "
            "funsearch.Search.resume(NAME, sampler=...), or name another sampler with --sampler."
        )
    if kind == "scripted":
        from funsearch.samplers.scripted import ScriptedSampler

        return ScriptedSampler.from_file(Path(argument), settings.samples_per_prompt)
    if kind == "openai":
        from funsearch.samplers.openai import OpenAISampler

        return OpenAISampler(replace(settings.openai, model=argument, samples_per_prompt=settings.samples_per_prompt))
    if kind == "transformers":
        from funsearch.samplers.transformers import TransformersSampler

        return TransformersSampler(
            replace(settings.transformers, model=argument, samples_per_prompt=settings.samples_per_prompt)
        )
    from funsearch.samplers.vllm import VllmSampler

    options = replace(settings.vllm, samples_per_prompt=settings.samples_per_prompt)
    if argument.startswith(POLICY):
        return VllmSampler(replace(options, **_policy_options(argument.removeprefix(POLICY), settings)))
    if argument or options.model:
        return VllmSampler(replace(options, model=argument or options.model))
    from funsearch.samplers import embedded

    unset: dict[str, Any] = {name: v for name, v in embedded.SAMPLING.items() if getattr(options, name) is None}
    return VllmSampler(replace(options, model=str(embedded.embedded_model()), **unset))


def _policy_options(name: str, settings: Settings) -> dict[str, Any]:
    """Returns the options by which vLLM serves a policy.

    Raises:
        ConfigError: it has not been looked up, which needs the database.
    """
    policy = settings.policies.get(name)
    if policy is None:
        raise ConfigError(f"The policy {name} is not known here: see `funsearch models`.")
    if policy.kind == "full":
        return {"model": policy.folder, "policy": policy.name}
    if policy.kind == "base":
        return {"model": policy.base, "policy": policy.name}
    rank = max(policy.rank, settings.vllm.max_lora_rank)
    return {"model": policy.base, "policy": policy.name, "adapter": policy.folder, "max_lora_rank": rank}

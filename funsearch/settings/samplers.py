"""Makes samplers from specifications: `vllm[:MODEL]`, `openai:MODEL`, `scripted:FILE`, and mixtures of them.

An adapter is imported only when it is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from funsearch.core.ports import Sampler
from funsearch.errors import ConfigError
from funsearch.samplers.options import VllmOptions
from funsearch.settings.parsing import gathered_from
from funsearch.settings.search import ServedPolicy, Settings
from funsearch.trainers.trl import check_installed

POLICY = "policy:"
"""Prefix of a policy's name in a specification, as in vllm:policy:NAME."""
KINDS = ("vllm", "openai", "scripted", "transformers")
PYTHON = "python"
"""Kind that is recorded for a sampler that was passed as a Python object; it cannot be made from a specification."""


def split_spec(spec: str) -> tuple[str, str]:
    """Returns the kind and the argument of a sampler's specification.

    Raises:
        ConfigError: the kind is unknown, or its argument is missing.
    """
    kind, _, argument = spec.partition(":")
    if kind not in KINDS:
        raise ConfigError(
            f"Unknown sampler {spec}: write vllm, vllm:MODEL, openai:MODEL, scripted:FILE or transformers:MODEL."
        )
    if not argument and kind != "vllm":
        missing = {
            "openai": "a model, as in openai:qwen2.5-coder",
            "scripted": "a file, as in scripted:answers.jsonl",
            "transformers": "a model, as in transformers:models/tiny",
        }
        raise ConfigError(f"The sampler {spec} needs {missing[kind]}.")
    return kind, argument


def is_python(samplers: Sequence[str]) -> bool:
    """Returns whether a run was given its sampler as a Python object, or none at all."""
    return any(spec.startswith(f"{PYTHON}:") for spec in samplers)


def check_samplers(settings: Settings) -> None:
    """Refuses samplers that cannot work, before anything is started.

    Raises:
        ConfigError: a specification is malformed, a file or a model folder does not exist, or the weights do not fit.
        TrainingError: the search is to train its model, and the trainer is not installed.
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
    check_weights(settings)


def check_weights(settings: Settings) -> None:
    """Refuses weights that do not fit the samplers.

    Raises:
        ConfigError: there are weights, but not one for each sampler.
    """
    if settings.weights and len(settings.weights) != len(settings.samplers):
        raise ConfigError(f"weights = {list(settings.weights)}: give one for each of {list(settings.samplers)}.")


def _check_training(settings: Settings) -> None:
    check_installed()
    if settings.train.trainer.full:
        raise ConfigError(
            "train.trainer.full = true: a search can use adapters only, which its sampler loads while it serves. "
            "Leave the setting out, or use `funsearch train`."
        )
    if len(settings.samplers) > 1 or split_spec(settings.samplers[0])[0] not in ("vllm", "transformers"):
        raise ConfigError(
            f"train.every = {settings.train.every}, and the samplers are {', '.join(settings.samplers)}: a search can "
            "train its model only if it has one sampler that serves it, as in --sampler vllm:MODEL."
        )


def check_policies(settings: Settings) -> None:
    """Refuses to train on top of a policy without an adapter; called when policies have been looked up.

    Raises:
        ConfigError: a policy has full weights, and no adapter of the base model can be served beside it.
    """
    for policy in settings.policies.values():
        if settings.train.every and policy.kind == "full":
            raise ConfigError(
                f"The policy {policy.name} has weights of its own, and a search trains adapters of the base model: "
                f"start from the base model, as in --sampler vllm:{policy.base}."
            )


def resumed(recorded: Settings, run: str, overrides: Mapping[str, object]) -> Settings:
    """Returns the settings to resume a run with: the recorded ones, with overrides that are not None in their place.

    Args:
        recorded: settings of the run.
        run: name of the run.
        overrides: settings by their paths, as `Settings.load` takes them.

    Raises:
        ConfigError: the recorded sampler was a Python object and no other one is named, or other samplers are named
            for a run that trains its model.
    """
    samplers = overrides.get("samplers")
    replaced = samplers is not None and samplers != recorded.samplers
    if samplers is None and is_python(recorded.samplers):
        raise ConfigError(
            f"The run {run} was started from Python with the sampler {', '.join(recorded.samplers)}, which cannot be "
            f"made from its record: resume it in Python with funsearch.Search.resume({run!r}, sampler=...), or name "
            "another sampler with --sampler."
        )
    if replaced and recorded.train.every:
        raise ConfigError(
            f"The run {run} trains its own model ({', '.join(recorded.samplers)}), which --sampler cannot replace: "
            "leave --sampler out, or start another run."
        )
    return Settings.checked(gathered_from(recorded, {**overrides, "weights": () if replaced else None}))


def trained_model(settings: Settings) -> tuple[str, ServedPolicy | None]:
    """Returns the base model that a search trains, and the policy that it starts from, if its sampler names one."""
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
    """Returns the sampler that the settings specify, a mixture if there are several.

    Raises:
        ConfigError: a specification is malformed, or the sampler was a Python object.
        SamplerError: a sampler cannot be started.
    """
    if is_python(settings.samplers):
        raise ConfigError(
            f"The sampler {', '.join(settings.samplers)} was a Python object, which cannot be made from its record: "
            "resume the run in Python with funsearch.Search.resume(NAME, sampler=...), or name another sampler."
        )
    samplers = [_make(spec, settings) for spec in settings.samplers]
    if len(samplers) == 1:
        return samplers[0]
    from funsearch.samplers.mixture import MixtureSampler

    weights = settings.weights or (1.0,) * len(samplers)
    return MixtureSampler(list(zip(samplers, weights, strict=True)), settings.seed)


def _make(spec: str, settings: Settings) -> Sampler:
    kind, argument = split_spec(spec)
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
        return VllmSampler(_serving(options, argument.removeprefix(POLICY), settings))
    if argument or options.model:
        return VllmSampler(replace(options, model=argument or options.model))
    from funsearch.samplers import embedded

    top_p = embedded.SAMPLING["top_p"] if options.top_p is None else options.top_p
    min_p = embedded.SAMPLING["min_p"] if options.min_p is None else options.min_p
    return VllmSampler(replace(options, model=str(embedded.embedded_model()), top_p=top_p, min_p=min_p))


def _serving(options: VllmOptions, name: str, settings: Settings) -> VllmOptions:
    """Returns the options with which vLLM serves a policy.

    Raises:
        ConfigError: the policy has not been looked up in the database.
    """
    policy = settings.policies.get(name)
    if policy is None:
        raise ConfigError(f"The policy {name} is unknown: see `funsearch models`.")
    if policy.kind == "full":
        return replace(options, model=policy.folder, policy=policy.name)
    if policy.kind == "base":
        return replace(options, model=policy.base, policy=policy.name)
    rank = max(policy.rank, settings.vllm.max_lora_rank)
    return replace(options, model=policy.base, policy=policy.name, adapter=policy.folder, max_lora_rank=rank)

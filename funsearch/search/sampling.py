"""The ways to give a search its sampler: a specification, a sampler object, or any callable that returns texts.

Checks what the caller passes, before a run is written.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from funsearch.core.completions import Completion, Policy, Request
from funsearch.core.ports import Sampler
from funsearch.core.records import Prompt, Sample
from funsearch.errors import ConfigError, SamplerError, SamplerExhausted
from funsearch.settings.samplers import PYTHON, split_spec

Texts = Sequence[str | Completion | Sample]
PromptCallable = Callable[[Prompt, int], Texts]
"""Takes a prompt and the number of samples; returns the texts of at most as many samples."""
SamplerLike = str | Sequence[str] | Sampler | PromptCallable
"""A specification such as "openai:MODEL", several for a mixture, a sampler object, or a callable."""


def request_for(prompt: Prompt, count: int, policy: Policy | None = None) -> Request:
    """Returns the request for `count` samples of a prompt, by a policy if one is given."""
    return Request(prompt=prompt.text, count=count, index=prompt.index, policy=policy)


def as_samples(prompt: Prompt, completions: Sequence[Completion]) -> list[Sample]:
    """Returns the completions of a prompt as its samples, with index 0, 1, 2, ..."""
    return [
        Sample(
            prompt=prompt,
            index=index,
            text=completion.text,
            model=completion.model,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            tokens=completion.tokens,
        )
        for index, completion in enumerate(completions)
    ]


class PromptSampler(Protocol):
    """Samples prompts of a search. Used by one thread."""

    def sample(self, prompt: Prompt, count: int) -> list[Sample]:
        """Returns up to `count` samples of the prompt.

        Raises:
            SamplerError: sampling failed, or something other than texts was returned.
            SamplerExhausted: there is no answer for the prompt, nor for later prompts.
        """

    def close(self) -> None:
        """Releases what the sampler holds."""


class PortSampler:
    """Samples from an implementation of `funsearch.core.ports.Sampler`."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def sample(self, prompt: Prompt, count: int) -> list[Sample]:
        (completions,) = self._sampler.complete([request_for(prompt, count)])
        return as_samples(prompt, completions)

    def close(self) -> None:
        self._sampler.close()


class CallableSampler:
    """Samples from a callable `(prompt, count) -> list of texts`; an empty list ends the search."""

    def __init__(self, function: PromptCallable, name: str) -> None:
        self._function = function
        self._name = name

    def sample(self, prompt: Prompt, count: int) -> list[Sample]:
        texts = checked_texts(self._function(prompt, count), self._name)
        if not texts:
            raise SamplerExhausted(f"{self._name} returned no more texts.")
        if len(texts) > count:
            raise SamplerError(f"{self._name} returned {len(texts)} texts for count = {count}: return at most `count`.")
        return as_samples(prompt, [completion(text, self._name) for text in texts])

    def close(self) -> None:
        """Does nothing: the callable belongs to the caller."""


def checked_texts(texts: object, source: str) -> Texts:
    """Returns the value that a source of samples returned, after checking that it is a list of texts.

    Raises:
        SamplerError: it is not; the message names the source and the value.
    """
    if isinstance(texts, str | bytes) or not isinstance(texts, Sequence):
        raise SamplerError(f"{source} returned {texts!r:.80}: return a list of strings, one for each sample.")
    for text in texts:
        if not isinstance(text, str | Completion | Sample):
            raise SamplerError(f"{source} returned {text!r:.80} in its list: each sample must be a string.")
    return texts


def completion(text: str | Completion | Sample, model: str) -> Completion:
    """Returns a text as a completion by `model`; a completion or sample keeps its own model and token counts."""
    if isinstance(text, Completion):
        return text
    if isinstance(text, Sample):
        return Completion(
            text=text.text,
            model=text.model,
            finish_reason=text.finish_reason,
            prompt_tokens=text.prompt_tokens,
            tokens=text.tokens,
        )
    return Completion(text=text, model=model)


def specifications(sampler: SamplerLike | None) -> tuple[str, ...]:
    """Returns how a run records its sampler: the specifications, or `python:NAME` for an object.

    Raises:
        ConfigError: it is neither a specification, nor a sampler object, nor a callable.
    """
    if sampler is None:
        return (f"{PYTHON}:ask",)
    if isinstance(sampler, str):
        sampler = (sampler,)
    if isinstance(sampler, list | tuple):
        if not sampler or not all(isinstance(spec, str) for spec in sampler):
            raise ConfigError(f"sampler = {sampler!r:.80}: give one or more specifications, as in openai:MODEL.")
        for spec in sampler:
            split_spec(spec)
        return tuple(sampler)
    is_port = not isinstance(sampler, type) and callable(getattr(sampler, "complete", None))
    if not is_port and _function(sampler) is None:
        raise ConfigError(
            f"sampler = {sampler!r:.80}: give a specification such as 'openai:MODEL', an object with a method "
            "`complete` (see funsearch.Sampler), or a callable (prompt, count) -> list of texts."
        )
    return (f"{PYTHON}:{name_of(sampler)}",)


def prompt_sampler(sampler: Sampler | PromptCallable) -> PromptSampler:
    """Returns a sampler object or a callable, which `specifications` has checked, as a sampler of prompts."""
    function = _function(sampler)
    if function is not None:
        return CallableSampler(function, name_of(sampler))
    return PortSampler(cast(Sampler, sampler))


def name_of(sampler: object) -> str:
    """Returns the name in the record of a sampler that was given as an object."""
    return str(getattr(sampler, "__name__", type(sampler).__name__))


def _function(sampler: object) -> PromptCallable | None:
    """Returns the function that returns texts; None for an implementation of the port."""
    if isinstance(sampler, type) or callable(getattr(sampler, "complete", None)):
        return None
    method = getattr(sampler, "sample", None)
    if callable(method):
        return method  # type: ignore[no-any-return]
    return sampler if callable(sampler) else None

"""Samples from a model on Transformers in this process: for small models, and machines without vLLM.

Requests are computed in batches of equal sampling. One call computes at a time; others wait.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from funsearch.core.completions import Completion, Policy, Request, Sampling
from funsearch.errors import SamplerError, first_line
from funsearch.rest_em.tokens import prompt_tokens
from funsearch.samplers.model_folder import check_model, expanded, is_folder, model_name
from funsearch.samplers.options import TransformersOptions
from funsearch.samplers.policies import check_policy
from funsearch.samplers.text import COMPLETION_STOPS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")


class TransformersSampler:
    """Completes prompts with a model on Transformers, and with policies, which are loaded when requested."""

    def __init__(self, options: TransformersOptions) -> None:
        """Loads the model.

        Raises:
            SamplerError: there is no such model, or transformers is not installed.
        """
        check_model(options.model)
        self._options = options
        self._name = model_name(options.model)
        self._lock = threading.Lock()
        if is_folder(options.model):
            os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        try:
            import torch
            import transformers
        except ImportError as error:
            raise SamplerError(f'transformers cannot be imported ({error}): pip install "funsearch[train]".') from None
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._torch, self._transformers = torch, transformers
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        if options.threads:
            torch.set_num_threads(options.threads)
        self._tokenizer = _loaded(
            options.model,
            lambda: transformers.AutoTokenizer.from_pretrained(expanded(options.model), padding_side="left"),
        )
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._base = self._model_of(options.model)
        self._no_policy = Policy(name="", round=0, base=options.model)
        self._policy: str | None = self._no_policy.name
        self._model = self._base
        self._stop_tokens: dict[tuple[str, ...], set[int]] = {}

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request, computed in batches. See `Sampler.complete`.

        Raises:
            SamplerError: a policy cannot be loaded.
        """
        with self._lock:
            return [completions for batch in self._batches(requests) for completions in self._complete_batch(batch)]

    def stats(self) -> None:
        """Returns None: there is no queue, callers wait for their turn."""

    def close(self) -> None:
        """Releases the model."""
        del self._model, self._base

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Yields the requests in their order, in batches of one policy, sampling and count."""
        batch: list[Request] = []
        for request in requests:
            fits = (len(batch) + 1) * request.count <= self._options.batch_size
            if batch and not (fits and _kind(batch[0]) == _kind(request)):
                yield batch
                batch = []
            batch.append(request)
        if batch:
            yield batch

    def _complete_batch(self, batch: list[Request]) -> list[list[Completion]]:
        first = batch[0]
        self._use(first.policy or self._no_policy)
        model = first.policy.name if first.policy else self._name
        sampling = first.sampling or self._own_sampling()
        seed = int.from_bytes(os.urandom(4)) if first.seed is None else first.seed
        prompts = [prompt_tokens(self._tokenizer, request.prompt, chat=request.form == "chat") for request in batch]
        tokens = self._generate(prompts, first.count, sampling, seed)
        completions = [
            self._read(completion, sampling.stop, len(prompts[number // first.count]), model)
            for number, completion in enumerate(tokens)
        ]
        return [completions[start : start + first.count] for start in range(0, len(completions), first.count)]

    def _own_sampling(self) -> Sampling:
        options = self._options
        return Sampling(
            temperature=options.temperature,
            top_k=0,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
            stop=COMPLETION_STOPS,
        )

    def _generate(self, prompts: list[list[int]], count: int, sampling: Sampling, seed: int) -> list[list[int]]:
        """Returns the tokens of `count` completions of each prompt, one prompt after the other."""
        torch = self._torch
        padded = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._device)
        options: dict[str, object] = {"do_sample": False}
        if sampling.temperature > 0:
            options = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_k": sampling.top_k,
                "top_p": sampling.top_p,
                "min_p": sampling.min_p or None,
                "num_return_sequences": count,
            }
        torch.manual_seed(seed)
        config = self._transformers.GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            eos_token_id=sorted(self._ends | self._ending_with(sampling.stop)),
            pad_token_id=self._tokenizer.pad_token_id,
            **options,
        )
        width = padded["input_ids"].shape[1]
        with torch.inference_mode():
            tokens: list[list[int]] = self._model.generate(**padded, generation_config=config)[:, width:].tolist()
        return tokens if sampling.temperature > 0 else [greedy for greedy in tokens for _ in range(count)]

    def _read(self, tokens: list[int], stop: tuple[str, ...], prompt_tokens: int, model: str) -> Completion:
        """Returns the completion up to the first stop text, or else up to the model's end token."""
        ends = self._ends | self._ending_with(stop)
        length = next((position + 1 for position, token in enumerate(tokens) if token in ends), None)
        tokens = tokens[: length or len(tokens)]
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        endings = [(text.index(ending), ending) for ending in stop if ending in text]
        if endings:
            position, ending = min(endings)
            return Completion(
                text=text[:position],
                model=model,
                finish_reason="stop",
                prompt_tokens=prompt_tokens,
                tokens=len(tokens),
                ending=ending,
            )
        return Completion(
            text=text,
            model=model,
            finish_reason="length" if length is None else "stop",
            prompt_tokens=prompt_tokens,
            tokens=len(tokens),
        )

    @cached_property
    def _ends(self) -> set[int]:
        """Ids of the tokens that end a text of the model."""
        ends = self._base.generation_config.eos_token_id
        return {*(ends if isinstance(ends, list) else [ends]), self._tokenizer.eos_token_id} - {None}

    @cached_property
    def _vocabulary(self) -> list[str]:
        size = len(self._tokenizer)
        return list(self._tokenizer.batch_decode([[token] for token in range(size)]))

    def _ending_with(self, stop: tuple[str, ...]) -> set[int]:
        """Returns the tokens that contain a stop text, at which generation ends.

        A stop text that spans several tokens is cut off afterwards.
        """
        if stop not in self._stop_tokens:
            vocabulary = enumerate(self._vocabulary)
            self._stop_tokens[stop] = {token for token, text in vocabulary if any(ending in text for ending in stop)}
        return self._stop_tokens[stop]

    def _use(self, policy: Policy) -> None:
        """Loads the model of a policy, unless it is loaded.

        Raises:
            SamplerError: the policy cannot be loaded.
        """
        if policy.name == self._policy:
            return
        check_policy(policy)
        self._policy = None  # until the new one is loaded
        # Each adapter gets a fresh base: merging one into a base and out again loses precision.
        self._model = self._base = self._model_of(policy.folder if policy.kind == "full" else expanded(policy.base))
        if policy.kind == "lora":
            _loaded(policy.folder, lambda: self._base.load_adapter(policy.folder))
        self._policy = policy.name

    def _model_of(self, source: str) -> "PreTrainedModel":
        dtype = self._torch.float32 if self._device == "cpu" else self._torch.bfloat16
        auto_model = self._transformers.AutoModelForCausalLM
        model = _loaded(source, lambda: auto_model.from_pretrained(expanded(source), dtype=dtype))
        return model.to(self._device).eval()


def _loaded(source: str, load: Callable[[], T]) -> T:
    """Returns the result of `load`, which loads a tokenizer, a model or an adapter.

    Raises:
        SamplerError: it cannot be loaded.
    """
    # Transformers and its libraries may raise any exception.
    try:
        return load()
    except Exception as error:
        raise SamplerError(f"transformers cannot load {source}: {first_line(error)}") from error


def _kind(request: Request) -> tuple[str | None, Sampling | None, int]:
    """Returns the properties that all requests of a batch share."""
    return request.policy.name if request.policy else None, request.sampling, request.count

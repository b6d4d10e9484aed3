"""A model on transformers, in this process: for small models, and machines without vLLM.

Requests are worked off in batches of equal sampling. One call at a time computes; others wait.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from funsearch.core.completions import Completion, Policy, Request, Sampling
from funsearch.errors import SamplerError, first_line
from funsearch.rest_em.tokens import prompt_tokens
from funsearch.samplers.model_folder import check_model, expanded, is_folder, model_name
from funsearch.samplers.options import TransformersOptions
from funsearch.samplers.policies import check_policy
from funsearch.samplers.text import COMPLETION_STOPS


class TransformersSampler:
    """Completes prompts with a model on transformers; policies are adapters of it, loaded when they are asked for."""

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
        self._tokenizer = self._loaded(transformers.AutoTokenizer, options.model, padding_side="left")
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._base = self._model_of(options.model)
        self._plain = Policy("", 0, options.model)
        self._policy: str | None = self._plain.name
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
        """Returns None: callers wait for their turn, there is no queue."""

    def close(self) -> None:
        """Forgets the model."""
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
        self._use(first.policy or self._plain)
        model = first.policy.name if first.policy else self._name
        sampling = first.sampling or self._own_sampling()
        seed = int.from_bytes(os.urandom(4)) if first.seed is None else first.seed
        prompts = [prompt_tokens(self._tokenizer, one.prompt, chat=one.form == "chat") for one in batch]
        tokens = self._generate(prompts, first.count, sampling, seed)
        completions = [
            self._read(completion, sampling.stop, len(prompts[number // first.count]), model)
            for number, completion in enumerate(tokens)
        ]
        return [completions[start : start + first.count] for start in range(0, len(completions), first.count)]

    def _own_sampling(self) -> Sampling:
        options = self._options
        return Sampling(options.temperature, 0, options.top_p, options.max_tokens, COMPLETION_STOPS)

    def _generate(self, prompts: list[list[int]], count: int, sampling: Sampling, seed: int) -> list[list[int]]:
        """Returns the tokens of `count` completions of each prompt, one prompt after the other."""
        torch = self._torch
        padded = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._device)
        drawn: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            drawn = {
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
            **drawn,
        )
        width = padded["input_ids"].shape[1]
        with torch.inference_mode():
            tokens: list[list[int]] = self._model.generate(**padded, generation_config=config)[:, width:].tolist()
        return tokens if sampling.temperature > 0 else [likeliest for likeliest in tokens for _ in range(count)]

    def _read(self, tokens: list[int], stop: tuple[str, ...], prompt_tokens: int, model: str) -> Completion:
        """Returns a completion up to the first stop text, or to where the model ended it."""
        ends = self._ends | self._ending_with(stop)
        length = next((place + 1 for place, token in enumerate(tokens) if token in ends), None)
        tokens = tokens[: length or len(tokens)]
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        places = [(text.index(ending), ending) for ending in stop if ending in text]
        if places:
            place, ending = min(places)
            return Completion(text[:place], model, "stop", prompt_tokens, len(tokens), ending)
        return Completion(text, model, "length" if length is None else "stop", prompt_tokens, len(tokens))

    @cached_property
    def _ends(self) -> set[int]:
        """Returns the ids of the tokens with which the model ends what it writes."""
        given = self._base.generation_config.eos_token_id
        return {*(given if isinstance(given, list) else [given]), self._tokenizer.eos_token_id} - {None}

    @cached_property
    def _vocabulary(self) -> list[str]:
        size = len(self._tokenizer)
        return list(self._tokenizer.batch_decode([[token] for token in range(size)]))

    def _ending_with(self, stop: tuple[str, ...]) -> set[int]:
        """Returns the tokens that hold a whole stop text, so that generating ends there.

        A stop text that is spread over several tokens is cut off afterwards.
        """
        if stop not in self._stop_tokens:
            vocabulary = enumerate(self._vocabulary)
            self._stop_tokens[stop] = {token for token, text in vocabulary if any(ending in text for ending in stop)}
        return self._stop_tokens[stop]

    def _use(self, policy: Policy) -> None:
        """Makes the model that of the policy.

        Raises:
            SamplerError: the policy cannot be loaded.
        """
        if policy.name == self._policy:
            return
        check_policy(policy)
        self._policy = None  # until it is loaded
        # A fresh base for each adapter: merging into and out of one loses precision.
        self._model = self._base = self._model_of(policy.folder if policy.kind == "full" else expanded(policy.base))
        if policy.kind == "lora":
            self._guard(policy.folder, lambda: self._base.load_adapter(policy.folder))
        self._policy = policy.name

    def _model_of(self, source: str) -> Any:
        dtype = self._torch.float32 if self._device == "cpu" else self._torch.bfloat16
        return self._loaded(self._transformers.AutoModelForCausalLM, source, dtype=dtype).to(self._device).eval()

    def _loaded(self, kind: Any, source: str, **arguments: Any) -> Any:
        return self._guard(source, lambda: kind.from_pretrained(expanded(source), **arguments))

    def _guard(self, source: str, load: Any) -> Any:
        """Returns what `load` returns.

        Raises:
            SamplerError: it cannot be loaded.
        """
        # Its many parts raise whatever they raise.
        try:
            return load()
        except Exception as error:
            raise SamplerError(f"transformers cannot load {source}: {first_line(error)}") from error


def _kind(request: Request) -> tuple[str | None, Sampling | None, int]:
    """Returns what the requests of one batch have in common."""
    return request.policy.name if request.policy else None, request.sampling, request.count

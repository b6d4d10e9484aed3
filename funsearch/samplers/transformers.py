"""A model on transformers, in this process: for small models, and machines without vLLM.

Requests are worked off in batches of equal sampling. One call at a time computes; others wait.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from funsearch.core.records import Prompt, Sample
from funsearch.errors import SamplerError, first_line
from funsearch.rest_em.ports import Request, Sampling
from funsearch.rest_em.records import Answer, Policy
from funsearch.rest_em.tokens import prompt_tokens
from funsearch.samplers.model_folder import check_model, expanded, is_folder, model_name
from funsearch.samplers.options import TransformersOptions
from funsearch.samplers.policies import check_policy
from funsearch.samplers.text import COMPLETION_STOPS


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote to one prompt."""

    text: str
    ending: str
    finish_reason: str
    prompt_tokens: int
    tokens: int


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

    def sample(self, prompt: Prompt, at_most: int | None = None, policy: Policy | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt of a search, by a policy if one is named.

        Raises:
            SamplerError: the model failed.
        """
        options = self._options
        count = options.samples_per_prompt if at_most is None else min(at_most, options.samples_per_prompt)
        sampling = Sampling(options.temperature, 0, options.top_p, options.max_tokens, COMPLETION_STOPS)
        model = policy.name if policy else self._name
        with self._lock:
            self._use(policy or self._plain)
            seed = int.from_bytes(os.urandom(4))
            written = self._write([prompt_tokens(self._tokenizer, prompt.text, chat=False)], count, sampling, seed)
        return [
            Sample(prompt, index, one.text, model, one.finish_reason, one.prompt_tokens, one.tokens)
            for index, one in enumerate(written)
        ]

    def generate(self, requests: Sequence[Request], policy: Policy) -> list[Answer]:
        """Returns the answers of a policy. See `funsearch.rest_em.ports.Generator`."""
        with self._lock:
            self._use(policy)
            return [answer for batch in self._batches(requests) for answer in self._answers(batch, policy)]

    def close(self) -> None:
        """Forgets the model."""
        del self._model, self._base

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Yields the requests in their order, as many at once as are wanted of one kind."""
        batch: list[Request] = []
        for request in requests:
            of_a_kind = batch and (batch[0].sampling, batch[0].count) == (request.sampling, request.count)
            if batch and not (of_a_kind and (len(batch) + 1) * request.count <= self._options.batch_size):
                yield batch
                batch = []
            batch.append(request)
        if batch:
            yield batch

    def _answers(self, batch: list[Request], policy: Policy) -> Iterator[Answer]:
        first = batch[0]
        prompts = [prompt_tokens(self._tokenizer, one.task.prompt, chat=one.chat) for one in batch]
        written = self._write(prompts, first.count, first.sampling, first.seed)
        for number, one in enumerate(written):
            request, index = batch[number // first.count], number % first.count
            yield Answer(
                request.round,
                request.phase,
                request.task.index,
                index,
                policy.name,
                one.text,
                one.finish_reason,
                one.ending,
                one.prompt_tokens,
                one.tokens,
            )

    def _write(self, prompts: list[list[int]], count: int, sampling: Sampling, seed: int) -> list[Written]:
        torch = self._torch
        padded = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._device)
        ends = sorted(self._ends | self._ending_with(sampling.stop))
        drawn: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            drawn = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_k": sampling.top_k,
                "top_p": sampling.top_p,
                "num_return_sequences": count,
            }
        torch.manual_seed(seed)
        config = self._transformers.GenerationConfig(
            max_new_tokens=sampling.max_tokens, eos_token_id=ends, pad_token_id=self._tokenizer.pad_token_id, **drawn
        )
        width = padded["input_ids"].shape[1]
        with torch.inference_mode():
            tokens = self._model.generate(**padded, generation_config=config)[:, width:].tolist()
        if sampling.temperature <= 0:
            tokens = [one for one in tokens for _ in range(count)]
        return [
            self._read(one, set(ends), sampling.stop, len(prompts[number // count]))
            for number, one in enumerate(tokens)
        ]

    def _read(self, tokens: list[int], ends: set[int], stop: tuple[str, ...], prompt: int) -> Written:
        """Returns a sample up to where it ended."""
        length = next((place + 1 for place, token in enumerate(tokens) if token in ends), None)
        written = tokens[: length or len(tokens)]
        text = self._tokenizer.decode(written, skip_special_tokens=True)
        places = [(text.index(one), one) for one in stop if one in text]
        if places:
            place, ending = min(places)
            return Written(text[:place], ending, "stop", prompt, len(written))
        return Written(text, "", "length" if length is None else "stop", prompt, len(written))

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
        """Returns the tokens that hold a whole stop text, so that a sample need not go on after them.

        What is spread over several tokens is cut off afterwards.
        """
        return {token for token, text in enumerate(self._vocabulary) if any(one in text for one in stop)}

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

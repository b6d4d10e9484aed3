"""A model on vLLM, in this process: one engine, fed from any number of threads.

Knows nothing about where model folders come from. vLLM itself is imported when a sampler is made, because it reads
its environment when it is imported.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from funsearch.core.records import Prompt, Sample
from funsearch.errors import SamplerError
from funsearch.rest_em.ports import Request
from funsearch.rest_em.records import Answer, Policy
from funsearch.rest_em.tokens import prompt_tokens
from funsearch.samplers.model_folder import check_model, expanded, is_folder, model_name
from funsearch.samplers.options import VllmOptions
from funsearch.samplers.policies import check_policy
from funsearch.samplers.text import COMPLETION_STOPS, chat_request, last_lines, speaks_chat
from funsearch.samplers.vllm_environment import (
    EngineLog,
    cpu_environment,
    environment,
    gpu_environment,
    prepare_import,
    root_message,
)

if TYPE_CHECKING:
    from funsearch.samplers.vllm_engine import Completion, Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")

COMPLETION_TOKENS = 128
CHAT_TOKENS = 1024
CLOSING_SECONDS = 2.0
"""What is left of the engine's tasks by then is abandoned."""


@dataclass(frozen=True, slots=True)
class VllmStats:
    """What the engine has done and has before it."""

    prompt_tokens: int = 0
    """Tokens of prompts, counted for each sample."""
    tokens: int = 0
    """Tokens generated so far, those of unfinished samples included."""
    running: int = 0
    """Samples at work."""
    waiting: int = 0
    """Samples in the queue."""


class VllmSampler:
    """Completes prompts with a model on vLLM: base models go on with the text, chat models get a request."""

    def __init__(self, options: VllmOptions) -> None:
        """Loads the model, which takes from seconds to minutes.

        Raises:
            SamplerError: vLLM is not installed, there is no such model, it has no weights, or it does not fit.
        """
        check_model(options.model)
        self._options = replace(options, model=expanded(options.model))
        self._policy: Policy | None = None
        if options.adapter:
            self._policy = Policy(options.policy, 0, self._options.model, options.adapter, "lora")
            check_policy(self._policy)
        self._stats = VllmStats()
        self._warned = False
        self._warned_of_task = False
        self._closed = False
        self._lock = threading.Lock()
        self._tokenizing = threading.Lock()
        self._work: set[Future[Any]] = set()
        self._log = EngineLog()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            self._engine = self._on_loop(self._start())
            self._tokenizer = self._engine.tokenizer
            self._chat = self._wants_chat()
        except BaseException:
            self._end_work()
            self._end_loop()
            raise
        revision = self._engine.revision
        self._model = model_name(options.model) + (f"@{revision}" if revision else "")
        if options.policy:
            self._model = options.policy

    def sample(self, prompt: Prompt, at_most: int | None = None, policy: Policy | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt, by a policy if one is named; may be called from many threads at once.

        Raises:
            SamplerError: not even the prompt's last line fits into the model's context, or the engine has died.
        """
        options = self._options
        tokens = self._fitting_tokens(prompt)
        count = options.samples_per_prompt
        wanted = count if at_most is None else min(count, at_most)
        room = min(self._max_tokens(), options.max_model_len - len(tokens))
        stop = options.stop if options.stop is not None else () if self._chat else COMPLETION_STOPS
        if policy is not None:
            check_policy(policy)
        work = self._engine.complete(tokens, wanted, room, stop, policy or self._policy)
        try:
            completions = self._on_loop(work)
        except CancelledError:
            raise SamplerError("The vLLM engine was closed before it could answer.") from None
        # vLLM raises whatever its parts raise.
        except Exception as error:
            raise SamplerError(f"vLLM failed on prompt {prompt.index}: {self._cause(error)}") from error
        model = policy.name if policy else self._model
        return [
            Sample(prompt, number, one.text, model, one.finish_reason, len(tokens), one.tokens)
            for number, one in enumerate(completions)
        ]

    def generate(self, requests: Sequence[Request], policy: Policy) -> list[Answer]:
        """Returns the answers of a policy, all requests at work at once. See `funsearch.rest_em.ports.Generator`."""
        check_policy(policy)
        prompts = [self._request_tokens(request) for request in requests]

        async def all_of_them() -> list[list["Completion"]]:
            work = zip(prompts, requests, strict=True)
            return await asyncio.gather(
                *(self._engine.answer(tokens, one.count, one.sampling, policy) for tokens, one in work)
            )

        try:
            completions = self._on_loop(all_of_them())
        except CancelledError:
            raise SamplerError("The vLLM engine was closed before it could answer.") from None
        # vLLM raises whatever its parts raise.
        except Exception as error:
            raise SamplerError(f"vLLM failed with the policy {policy.name}: {self._cause(error)}") from error
        return [
            Answer(
                request.round,
                request.phase,
                request.task.index,
                index,
                policy.name,
                one.text,
                one.finish_reason,
                one.ending,
                len(tokens),
                one.tokens,
            )
            for request, tokens, several in zip(requests, prompts, completions, strict=True)
            for index, one in enumerate(several)
        ]

    def stats(self) -> VllmStats:
        """Returns what the engine has done so far."""
        return self._stats

    def close(self) -> None:
        """Ends the engine and its processes. Prompts that are still at work raise SamplerError in their threads."""
        if self._end_work():
            self._engine.shutdown()
            self._end_loop()

    async def _start(self) -> "Engine":
        """Imports vLLM and loads the model.

        Raises:
            SamplerError: in one line, what went wrong.
        """
        prepare_import(offline=is_folder(self._options.model))
        try:
            from funsearch.samplers import vllm_engine
        except ImportError as error:
            raise SamplerError(
                f'vLLM cannot be imported ({error}): pip install "funsearch[cpu]" or "funsearch[gpu]", or name another '
                "sampler with --sampler."
            ) from error
        threads = cpu_environment(self._options) if vllm_engine.on_cpu() else gpu_environment()
        with environment(threads | self._log.environment):
            try:
                return vllm_engine.Engine(self._options, self._record)
            # vLLM raises whatever its parts raise.
            except Exception as error:
                reason = self._cause(error)
                raise SamplerError(f"vLLM cannot load the model {self._options.model}: {reason}") from error

    def _wants_chat(self) -> bool:
        wanted = self._options.prompt_format
        if wanted == "auto":
            return speaks_chat(self._tokenizer, self._engine.end_tokens())
        if wanted == "chat" and not getattr(self._tokenizer, "chat_template", None):
            self._engine.shutdown()
            raise SamplerError(
                f"The model {self._options.model} has no chat template: set vllm.prompt_format=completion."
            )
        return wanted == "chat"

    def _max_tokens(self) -> int:
        return self._options.max_tokens or (CHAT_TOKENS if self._chat else COMPLETION_TOKENS)

    def _tokens(self, text: str) -> list[int]:
        # One thread at a time: vLLM gives others a copy of the tokenizer each, which takes seconds to make.
        with self._tokenizing:
            return self._encoded(text)

    def _encoded(self, text: str) -> list[int]:
        if self._chat:
            messages = [{"role": "user", "content": chat_request(text)}]
            return list(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        tokens = list(self._tokenizer.encode(text))
        start = self._tokenizer.bos_token_id
        # Some converted tokenizers leave it out, and without it a model may print nothing but blanks.
        return tokens if start is None or tokens[:1] == [start] else [start, *tokens]

    def _request_tokens(self, request: Request) -> list[int]:
        with self._tokenizing:
            tokens = prompt_tokens(self._tokenizer, request.task.prompt, chat=request.chat)
        length = self._options.max_model_len
        if len(tokens) >= length and not self._warned_of_task:
            self._warned_of_task = True
            logger.warning(
                "the task %s has %d tokens where %d fit, the answer's included: it and others like it count as not "
                "solved. Set vllm.max_model_len higher to have them answered",
                request.task.key,
                len(tokens),
                length,
            )
        return tokens

    def _fitting_tokens(self, prompt: Prompt) -> list[int]:
        """Returns the prompt's tokens; of one too long for the context, those of as many last lines as fit."""
        length = self._options.max_model_len
        limit = length - min(self._max_tokens(), length // 2)
        tokens = self._tokens(prompt.text)
        if len(tokens) <= limit:
            return tokens
        shortened = last_lines(prompt.text, lambda text: len(self._tokens(text)) <= limit)
        if not shortened:
            raise SamplerError(
                f"Prompt {prompt.index} does not fit into {length} tokens with its last line alone: set "
                "vllm.max_model_len higher."
            )
        if not self._warned:
            self._warned = True
            logger.warning(
                "prompt %d has %d tokens where %d fit: its first lines, and those of later ones, are left out. Set "
                "vllm.max_model_len higher than %d to keep them",
                prompt.index,
                len(tokens),
                limit,
                length,
            )
        return self._tokens(shortened)

    def _record(self, queue: Any, done: Any) -> None:
        before = self._stats
        self._stats = VllmStats(
            before.prompt_tokens + (done.num_prompt_tokens if done else 0),
            before.tokens + (done.num_generation_tokens if done else 0),
            queue.num_running_reqs if queue else before.running,
            queue.num_waiting_reqs if queue else before.waiting,
        )

    def _cause(self, error: Exception) -> str:
        return self._log.cause() or root_message(error)

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closed:
                work.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._work.add(future)
        try:
            return future.result()
        finally:
            with self._lock:
                self._work.discard(future)

    def _end_work(self) -> bool:
        """Takes no more work and cancels what there is; tells whether it was the first to do so."""
        with self._lock:
            first = not self._closed
            self._closed = True
            work = list(self._work)
        for future in work:
            future.cancel()
        return first

    def _end_loop(self) -> None:
        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=CLOSING_SECONDS)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._log.close()

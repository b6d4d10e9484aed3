"""Samples from a model on vLLM in this process: one engine, called from any number of threads.

vLLM is imported when a sampler is made, because it reads the environment on import. Knows nothing about where model
folders come from.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from funsearch.core.completions import Completion, Policy, Request, SamplerStats, Sampling
from funsearch.errors import SamplerError
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
    from funsearch.samplers.vllm_engine import Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")

COMPLETION_TOKENS = 128
CHAT_TOKENS = 1024
PAPER_TOP_P = 0.95
"""FunSearch, Methods."""
CLOSING_SECONDS = 2.0
"""Time for the engine's tasks to end; those still running afterwards are abandoned."""


class _Cancellable(Protocol):
    def cancel(self) -> bool: ...


class VllmSampler:
    """Completes prompts with a model on vLLM: base models continue the text, chat models receive a request."""

    def __init__(self, options: VllmOptions) -> None:
        """Loads the model, which takes from seconds to minutes.

        Raises:
            SamplerError: vLLM is not installed, there is no such model, it has no weights, or it does not fit into
                memory.
        """
        check_model(options.model)
        self._options = replace(options, model=expanded(options.model))
        self._policy: Policy | None = None
        if options.adapter:
            self._policy = Policy(
                name=options.policy, round=0, base=self._options.model, folder=options.adapter, kind="lora"
            )
            check_policy(self._policy)
        self._warned_of_prompt = self._warned_of_task = False
        self._closed = False
        self._lock = threading.Lock()
        self._tokenizing = threading.Lock()
        self._work: set[_Cancellable] = set()
        self._log = EngineLog()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            self._engine = self._on_loop(self._start())
            self._tokenizer = self._engine.tokenizer
            self._chat = self._wants_chat()
            self._sampling = self._own_sampling()
        except BaseException:
            self._end_work()
            self._end_loop()
            raise
        revision = self._engine.revision
        self._model = model_name(options.model) + (f"@{revision}" if revision else "")
        if options.policy:
            self._model = options.policy

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request, all generated concurrently. See `Sampler.complete`.

        A best-shot prompt that is too long for the model's context loses its first lines. Any other prompt that is too
        long gets empty completions with the finish reason `length`.

        Raises:
            SamplerError: a policy cannot be loaded, not even the last line of a best-shot prompt fits into the context,
                or the engine failed.
        """
        for policy in {request.policy for request in requests if request.policy is not None}:
            check_policy(policy)
        prompts = [self._prompt_tokens(request) for request in requests]

        async def complete_all() -> list[list[Completion]]:
            return await asyncio.gather(*map(self._complete_one, requests, prompts))

        try:
            return self._on_loop(complete_all())
        except CancelledError:
            raise SamplerError("The vLLM engine was closed before it could answer.") from None
        # vLLM and its libraries may raise any exception.
        except Exception as error:
            raise SamplerError(f"vLLM failed on {requests[0].name}: {self._cause(error)}") from error

    def stats(self) -> SamplerStats:
        """Returns what the engine has done and what is queued."""
        return self._engine.stats

    def close(self) -> None:
        """Ends the engine and its processes. Calls of `complete` still running raise SamplerError in their threads."""
        if self._end_work():
            self._engine.shutdown()
            self._end_loop()

    async def _start(self) -> "Engine":
        """Imports vLLM and loads the model.

        Raises:
            SamplerError: one of the two failed; the message gives the cause in one line.
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
                return vllm_engine.Engine(self._options)
            # vLLM and its libraries may raise any exception.
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

    def _own_sampling(self) -> Sampling:
        """Returns the sampling for requests that specify none."""
        options = self._options
        stop = options.stop if options.stop is not None else () if self._chat else COMPLETION_STOPS
        max_tokens = options.max_tokens or (CHAT_TOKENS if self._chat else COMPLETION_TOKENS)
        top_p = PAPER_TOP_P if options.top_p is None else options.top_p
        return Sampling(
            temperature=options.temperature,
            top_k=0,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            min_p=options.min_p or 0.0,
        )

    async def _complete_one(self, request: Request, tokens: list[int]) -> list[Completion]:
        sampling = request.sampling or self._sampling
        policy = request.policy or self._policy
        model = request.policy.name if request.policy else self._model
        return await self._engine.complete(tokens, request.count, sampling, model, policy)

    def _prompt_tokens(self, request: Request) -> list[int]:
        """Returns the tokens of a prompt; those of a best-shot prompt fit into the context.

        Raises:
            SamplerError: not even the last line of a best-shot prompt fits.
        """
        # One thread at a time: vLLM would copy the tokenizer for each further thread, which takes seconds.
        with self._tokenizing:
            if request.form == "best-shot":
                return self._fitting_tokens(request)
            tokens = prompt_tokens(self._tokenizer, request.prompt, chat=request.form == "chat")
        length = self._options.max_model_len
        if len(tokens) >= length and not self._warned_of_task:
            self._warned_of_task = True
            logger.warning(
                "%s has %d tokens, which leaves no room for an answer within vllm.max_model_len = %d: this prompt and "
                "others like it count as not solved. Raise vllm.max_model_len to have them answered.",
                request.name,
                len(tokens),
                length,
            )
        return tokens

    def _best_shot_tokens(self, text: str) -> list[int]:
        prompt = chat_request(text) if self._chat else text
        return prompt_tokens(self._tokenizer, prompt, chat=self._chat)

    def _fitting_tokens(self, request: Request) -> list[int]:
        """Returns the tokens of a best-shot prompt, or of as many of its last lines as fit into the context."""
        length = self._options.max_model_len
        limit = length - min((request.sampling or self._sampling).max_tokens, length // 2)
        tokens = self._best_shot_tokens(request.prompt)
        if len(tokens) <= limit:
            return tokens
        shortened = last_lines(request.prompt, lambda text: len(self._best_shot_tokens(text)) <= limit)
        if not shortened:
            raise SamplerError(
                f"Not even the last line of {request.name} fits into {length} tokens: raise vllm.max_model_len."
            )
        if not self._warned_of_prompt:
            self._warned_of_prompt = True
            logger.warning(
                "%s has %d tokens, but only %d fit: the first lines of this and of later prompts are left out. Raise "
                "vllm.max_model_len above %d to keep them.",
                request.name,
                len(tokens),
                limit,
                length,
            )
        return self._best_shot_tokens(shortened)

    def _cause(self, error: Exception) -> str:
        return self._log.cause() or root_message(error)

    def _on_loop(self, work: Coroutine[object, None, T]) -> T:
        """Returns the result of a coroutine that runs on the engine's loop; called from any other thread.

        Raises:
            CancelledError: the sampler is closed.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise CancelledError
            future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._work.add(future)
        try:
            return future.result()
        finally:
            with self._lock:
                self._work.discard(future)

    def _end_work(self) -> bool:
        """Refuses further work and cancels all present work; returns whether this was the first call."""
        with self._lock:
            first = not self._closed
            self._closed = True
            work = list(self._work)
        for future in work:
            future.cancel()
        return first

    def _end_loop(self) -> None:
        async def end_tasks() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSING_SECONDS)

        asyncio.run_coroutine_threadsafe(end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._log.close()

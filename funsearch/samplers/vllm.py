"""A model on vLLM, in this process: one `AsyncLLM` engine, fed from any number of threads.

Knows nothing about where model folders come from. Importing it loads vLLM and torch. vLLM must find its environment
before it is imported, so `quiet_environment` runs first.
"""

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funsearch.core.records import Prompt, Sample
from funsearch.errors import SamplerError
from funsearch.samplers.options import VllmOptions
from funsearch.samplers.text import COMPLETION_STOPS, chat_request


def quiet_environment() -> None:
    """Turns off whatever would report to somebody, and the hubs' progress bars."""
    os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_TELEMETRY="1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


quiet_environment()

from vllm import SamplingParams, TokensPrompt  # noqa: E402
from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: E402
from vllm.platforms import current_platform  # noqa: E402
from vllm.sampling_params import RequestOutputKind  # noqa: E402
from vllm.v1.engine.async_llm import AsyncLLM  # noqa: E402
from vllm.v1.executor.uniproc_executor import UniProcExecutor  # noqa: E402
from vllm.v1.metrics.loggers import StatLoggerBase  # noqa: E402

logger = logging.getLogger(__name__)

CPU_BLOCK_TOKENS = 16
"""Tokens of a block of the key-value cache, the unit in which prompts share a prefix."""


@dataclass(frozen=True, slots=True)
class VllmStats:
    """What the engine has done and has before it."""

    prompt_tokens: int = 0
    tokens: int = 0
    """Tokens generated so far, those of unfinished completions included."""
    running: int = 0
    """Completions at work."""
    waiting: int = 0
    """Completions in the queue."""


class VllmSampler:
    """Completes prompts with a model on vLLM: base models go on with the text, chat models get a request."""

    def __init__(self, options: VllmOptions) -> None:
        """Loads the model, which takes from seconds to minutes.

        Raises:
            SamplerError: there is no such model, it has no weights, or it does not fit.
        """
        self._options = options
        check_folder(options.model)
        prepare_environment(options)
        self._model = Path(options.model).name if Path(options.model).is_dir() else options.model
        self._stats = VllmStats()
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True).start()
        try:
            self._engine = self._on_loop(self._start())
        # vLLM raises whatever its parts raise; the last line says what it was about.
        except Exception as error:
            raise SamplerError(f"vLLM cannot load the model {options.model}: {_reason(error)}") from error
        self._tokenizer = self._engine.get_tokenizer()
        template = getattr(self._tokenizer, "chat_template", None)
        self._chat = options.prompt_format == "chat" or (options.prompt_format == "auto" and bool(template))
        if self._chat and not template:
            raise SamplerError(f"The model {options.model} has no chat template: set vllm.prompt_format=completion.")

    def sample(self, prompt: Prompt, at_most: int | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt; may be called from many threads at once.

        Raises:
            SamplerError: the prompt is too long for the model, or the engine has died.
        """
        count = self._options.samples_per_prompt
        tokens = self._tokens(prompt.text)
        room = self._options.max_model_len - len(tokens)
        if room < 1:
            raise SamplerError(
                f"Prompt {prompt.index} has {len(tokens)} tokens and the model's context {self._options.max_model_len}: "
                "set vllm.max_model_len higher, or database.functions_per_prompt lower."
            )
        parameters = self._parameters(count if at_most is None else min(count, at_most), room)
        try:
            output = self._on_loop(self._generate(tokens, parameters))
        except SamplerError:
            raise
        except Exception as error:
            raise SamplerError(f"vLLM failed on prompt {prompt.index}: {_reason(error)}") from error
        return [
            Sample(
                prompt,
                number,
                completion.text,
                self._model,
                completion.finish_reason or "stop",
                len(tokens),
                len(completion.token_ids),
            )
            for number, completion in enumerate(sorted(output.outputs, key=lambda one: one.index))
        ]

    def stats(self) -> VllmStats:
        """Returns what the engine has done so far."""
        return self._stats

    def close(self) -> None:
        """Ends the engine and its processes."""
        self._engine.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _tokens(self, text: str) -> list[int]:
        if self._chat:
            messages = [{"role": "user", "content": chat_request(text)}]
            return list(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        tokens = list(self._tokenizer.encode(text))
        start = self._tokenizer.bos_token_id
        # Some converted tokenizers leave it out, and without it the model prints blanks.
        return tokens if start is None or tokens[:1] == [start] else [start, *tokens]

    def _parameters(self, count: int, room: int) -> SamplingParams:
        options = self._options
        return SamplingParams(
            n=count,
            temperature=options.temperature,
            top_p=0.95 if options.top_p is None else options.top_p,
            min_p=options.min_p or 0.0,
            max_tokens=min(options.max_tokens, room),
            stop=None if self._chat else list(COMPLETION_STOPS),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    async def _start(self) -> AsyncLLM:
        options = self._options
        arguments: dict[str, Any] = {
            "model": options.model,
            "dtype": options.dtype,
            "max_model_len": options.max_model_len,
            "max_num_seqs": options.max_num_seqs,
            "enforce_eager": current_platform.is_cpu() if options.enforce_eager is None else options.enforce_eager,
            "tensor_parallel_size": options.tensor_parallel_size,
            "enable_prefix_caching": True,
            "enable_log_requests": False,
        }
        if current_platform.is_cpu():
            # A worker process of its own fights the engine's for the cores; small blocks let short prompts share one.
            arguments |= {"distributed_executor_backend": UniProcExecutor, "block_size": CPU_BLOCK_TOKENS}
        else:
            arguments["gpu_memory_utilization"] = options.gpu_memory_utilization
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=[self._stat_logger])

    async def _generate(self, tokens: list[int], parameters: SamplingParams) -> Any:
        last = None
        request = self._engine.generate(TokensPrompt(prompt_token_ids=tokens), parameters, str(next(self._numbers)))
        async for output in request:
            last = output
        if last is None:
            raise SamplerError("vLLM ended a request without an answer.")
        return last

    def _on_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _stat_logger(self, _config: Any, _engine_index: int = 0) -> StatLoggerBase:
        sampler = self

        class Recorder(StatLoggerBase):
            def __init__(self, vllm_config: Any = None, engine_index: int = 0) -> None:
                pass

            def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
                before = sampler._stats
                done = iteration_stats
                queue = scheduler_stats
                sampler._stats = VllmStats(
                    before.prompt_tokens + (done.num_prompt_tokens if done else 0),
                    before.tokens + (done.num_generation_tokens if done else 0),
                    queue.num_running_reqs if queue else before.running,
                    queue.num_waiting_reqs if queue else before.waiting,
                )

            def log_engine_initialized(self) -> None:
                pass

        return Recorder()


def check_folder(model: str) -> None:
    """Refuses what looks like a folder and is no model.

    Raises:
        SamplerError: the folder does not exist, or has no config or no weights.
    """
    folder = Path(model).expanduser()
    if not folder.exists():
        if model.startswith((".", "/", "~")):
            raise SamplerError(f"There is no model folder {model}.")
        return
    if not (folder / "config.json").is_file():
        raise SamplerError(f"{model} is no model folder: it has no config.json.")
    if not any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "*.bin", "*.gguf", "*.pt")):
        raise SamplerError(f"The model folder {model} has no weights (*.safetensors): download or convert the model.")


def prepare_environment(options: VllmOptions) -> None:
    """Sets what vLLM reads from the environment: cores and cache on a CPU, and no hub unless one is named."""
    if Path(options.model).exists():
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    if current_platform.is_cpu():
        cores = sorted(os.sched_getaffinity(0)) if options.threads == "auto" else core_numbers(options.threads)
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
        # Ray sets the first to an actor's CPUs, which would leave the engine with one thread.
        os.environ["OMP_NUM_THREADS"] = str(len(cores))
        os.environ["GOMP_CPU_AFFINITY"] = " ".join(map(str, cores))
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(options.kv_cache_gb)


def core_numbers(text: str) -> list[int]:
    """Returns the cores that `0-3,6` names.

    Raises:
        SamplerError: it is no such list.
    """
    cores: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            cores += range(int(first), int(last or first) + 1)
    except ValueError:
        raise SamplerError(f"vllm.threads = {text!r}: write cores as in 0-3,6, or auto.") from None
    return cores


def _reason(error: BaseException) -> str:
    """Returns the first cause's last line: what vLLM wraps around it says less."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__

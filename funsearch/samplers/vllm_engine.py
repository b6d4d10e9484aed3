"""The one place that imports vLLM: starts an engine and asks it for samples.

Knows nothing about prompts and threads. What vLLM reads from the environment must be set before this is imported and
before `start` (see `funsearch.samplers.vllm_environment`).
"""

import ctypes
import itertools
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

from funsearch.core.completions import Completion, Policy, Sampling
from funsearch.samplers.options import VllmOptions

# Its import warns of what it does itself.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from vllm import SamplingParams, TokensPrompt
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.lora.request import LoRARequest
    from vllm.platforms import current_platform
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.executor.multiproc_executor import MultiprocExecutor
    from vllm.v1.executor.uniproc_executor import UniProcExecutor
    from vllm.v1.metrics.loggers import StatLoggerBase

CPU_BLOCK_TOKENS = 32
"""Small enough that the samples of one prompt share nearly all of it in the cache; vLLM's own 128 shares half."""
PR_SET_PDEATHSIG = 1

Record = Callable[[Any, Any], None]
"""Takes the scheduler's and the iteration's figures, each of which may be None."""


class _DiesWithParent:
    """Has the kernel end the engine's process when the one that started it is gone, however it went."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(*args, **kwargs)


class OneProcess(_DiesWithParent, UniProcExecutor):  # type: ignore[misc]  # vLLM is not typed
    """Computes in the engine's own process.

    On a CPU, vLLM would start another one for it, which takes a third longer to start, and each of the two polls for
    the other on the cores that are to compute.
    """


class ManyProcesses(_DiesWithParent, MultiprocExecutor):  # type: ignore[misc]  # vLLM is not typed
    """Computes in one process for each device."""


class _Recorder(StatLoggerBase):  # type: ignore[misc]  # vLLM is not typed
    """Passes the engine's figures on."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
        self._record(scheduler_stats, iteration_stats)

    def log_engine_initialized(self) -> None:
        """Says nothing."""


def on_cpu() -> bool:
    """Tells whether vLLM computes on the CPU."""
    return bool(current_platform.is_cpu())


class Engine:
    """A running engine. All methods but `shutdown` belong to the event loop it was started on."""

    def __init__(self, options: VllmOptions, record: Record) -> None:
        """Loads the model; blocks for as long as that takes. Raises whatever vLLM's parts raise."""
        self._options = options
        recorder = _Recorder(record)
        self._engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(**_arguments(options)), stat_loggers=[lambda *_: recorder]
        )
        self._numbers = itertools.count()
        self._adapters: dict[str, int] = {}

    @property
    def tokenizer(self) -> Any:
        """Returns the model's tokenizer."""
        return self._engine.get_tokenizer()

    @property
    def revision(self) -> str:
        """Returns the commit of a model that came from a hub, else nothing."""
        return getattr(self._engine.model_config.hf_config, "_commit_hash", None) or ""

    def end_tokens(self) -> set[int]:
        """Returns the ids of the tokens with which the model ends what it writes."""
        ends = self._engine.model_config.try_get_generation_config().get("eos_token_id", [])
        return {*(ends if isinstance(ends, list) else [ends]), self.tokenizer.eos_token_id} - {None}

    async def complete(
        self, tokens: list[int], count: int, sampling: Sampling, model: str, policy: Policy | None
    ) -> list[Completion]:
        """Returns `count` completions of a prompt in the order of their index; empty ones where no token fits.

        Args:
            tokens: of the prompt.
            count: how many.
            sampling: how tokens are drawn.
            model: what the completions say wrote them.
            policy: whose adapter to use, if any.
        """
        room = self._options.max_model_len - len(tokens)
        if room < 1:
            return [Completion("", model, "length", len(tokens))] * count
        # The likeliest answer is the same each time, and the engine refuses to give it more than once.
        distinct = count if sampling.temperature > 0 else 1
        parameters = SamplingParams(
            n=distinct,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            max_tokens=min(sampling.max_tokens, room),
            stop=list(sampling.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        outputs: list[Any] = []
        async for answer in self._engine.generate(
            TokensPrompt(prompt_token_ids=tokens),
            parameters,
            str(next(self._numbers)),
            lora_request=self._adapter(policy) if policy else None,
        ):
            outputs = sorted(answer.outputs, key=lambda output: int(output.index))
        return [
            Completion(
                output.text,
                model,
                output.finish_reason or "stop",
                len(tokens),
                len(output.token_ids),
                output.stop_reason if isinstance(output.stop_reason, str) else "",
            )
            for output in outputs
            for _ in range(count // distinct)
        ]

    def _adapter(self, policy: Policy) -> LoRARequest | None:
        """Returns by what name the engine knows an adapter; it loads one when it is first asked for."""
        if policy.kind != "lora":
            return None
        number = self._adapters.setdefault(policy.name, len(self._adapters) + 1)
        return LoRARequest(policy.name, number, policy.folder)

    def shutdown(self) -> None:
        """Ends the engine's processes."""
        self._engine.shutdown()


def _arguments(options: VllmOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": options.model,
        "dtype": options.dtype,
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.max_num_seqs,
        "enforce_eager": on_cpu() if options.enforce_eager is None else options.enforce_eager,
        "tensor_parallel_size": options.tensor_parallel_size,
        "distributed_executor_backend": OneProcess if options.tensor_parallel_size == 1 else ManyProcesses,
        "enable_prefix_caching": True,
        "enable_log_requests": False,
        "use_tqdm_on_load": False,
        # Its default is 0 for every start, so a resumed run would be told the same again.
        "seed": int.from_bytes(os.urandom(4)) >> 1,
    }
    if options.max_lora_rank:
        arguments |= {"enable_lora": True, "max_lora_rank": options.max_lora_rank, "max_loras": 2}
    if on_cpu():
        return arguments | {"block_size": CPU_BLOCK_TOKENS}
    return arguments | {"gpu_memory_utilization": options.gpu_memory_utilization}

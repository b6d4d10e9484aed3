"""Runs a vLLM engine and generates completions with it. Only this module imports vLLM.

Knows nothing about prompts and threads. The environment variables that vLLM reads must be set before this module is
imported and before an `Engine` is made (see `funsearch.samplers.vllm_environment`).
"""

import ctypes
import itertools
import os
import signal
import warnings

from funsearch.core.completions import Completion, Policy, SamplerStats, Sampling
from funsearch.rest_em.tokens import Tokenizer
from funsearch.samplers.options import VllmOptions

# vLLM's own imports issue warnings.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from vllm import SamplingParams, TokensPrompt
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.lora.request import LoRARequest
    from vllm.outputs import CompletionOutput
    from vllm.platforms import current_platform
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.executor.multiproc_executor import MultiprocExecutor
    from vllm.v1.executor.uniproc_executor import UniProcExecutor
    from vllm.v1.metrics.loggers import StatLoggerBase
    from vllm.v1.metrics.stats import IterationStats, SchedulerStats

CPU_BLOCK_TOKENS = 32
"""With so small a block, the samples of a prompt share nearly all of it in the cache; with vLLM's default of 128 they
share half."""
PR_SET_PDEATHSIG = 1


class _DiesWithParent:
    """Makes the kernel end the engine's process when the process that started it ends, for whatever reason."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(*args, **kwargs)


class OneProcess(_DiesWithParent, UniProcExecutor):  # type: ignore[misc]  # vLLM is not typed
    """Computes in the engine's own process.

    On a CPU, vLLM would start a second process to compute in. That takes a third longer to start, and the two processes
    poll for each other on the cores that should compute.
    """


class ManyProcesses(_DiesWithParent, MultiprocExecutor):  # type: ignore[misc]  # vLLM is not typed
    """Computes in one process for each device."""


class _Recorder(StatLoggerBase):  # type: ignore[misc]  # vLLM is not typed
    """Adds up the engine's statistics."""

    def __init__(self) -> None:
        self.stats = SamplerStats()

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        *_: object,
        **__: object,
    ) -> None:
        before = self.stats
        self.stats = SamplerStats(
            before.prompt_tokens + (iteration_stats.num_prompt_tokens if iteration_stats else 0),
            before.tokens + (iteration_stats.num_generation_tokens if iteration_stats else 0),
            scheduler_stats.num_running_reqs if scheduler_stats else before.running,
            scheduler_stats.num_waiting_reqs if scheduler_stats else before.waiting,
        )

    def log_engine_initialized(self) -> None:
        """Does nothing."""


def on_cpu() -> bool:
    """Returns whether vLLM computes on the CPU."""
    return bool(current_platform.is_cpu())


class Engine:
    """A running engine. All methods except `shutdown` must be called on the event loop on which it was made."""

    def __init__(self, options: VllmOptions) -> None:
        """Loads the model; blocks until it is loaded. May raise any exception of vLLM and its libraries."""
        self._options = options
        self._recorder = recorder = _Recorder()
        self._engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(**_arguments(options)), stat_loggers=[lambda *_: recorder]
        )
        self._numbers = itertools.count()
        self._adapters: dict[str, int] = {}

    @property
    def stats(self) -> SamplerStats:
        """What the engine has done and what is queued; may be read from any thread."""
        return self._recorder.stats

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        tokenizer: Tokenizer = self._engine.get_tokenizer()
        return tokenizer

    @property
    def revision(self) -> str:
        """The commit of a model that came from a hub; empty for a folder."""
        return getattr(self._engine.model_config.hf_config, "_commit_hash", None) or ""

    def end_tokens(self) -> set[int]:
        """Returns the ids of the tokens that end a text of the model."""
        ends = self._engine.model_config.try_get_generation_config().get("eos_token_id", [])
        return {*(ends if isinstance(ends, list) else [ends]), self.tokenizer.eos_token_id} - {None}

    async def complete(
        self, tokens: list[int], count: int, sampling: Sampling, model: str, policy: Policy | None
    ) -> list[Completion]:
        """Returns `count` completions of a prompt in the order of their index; empty ones if the prompt fills the
        context.

        Args:
            tokens: of the prompt.
            count: number of completions.
            sampling: how tokens are drawn.
            model: name of the model in the completions.
            policy: the policy whose adapter to use, if any.
        """
        available = self._options.max_model_len - len(tokens)
        if available < 1:
            return [Completion(text="", model=model, finish_reason="length", prompt_tokens=len(tokens))] * count
        # Greedy completions are all the same, and the engine refuses to return more than one.
        distinct = count if sampling.temperature > 0 else 1
        parameters = SamplingParams(
            n=distinct,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            max_tokens=min(sampling.max_tokens, available),
            stop=list(sampling.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        outputs: list[CompletionOutput] = []
        async for answer in self._engine.generate(
            TokensPrompt(prompt_token_ids=tokens),
            parameters,
            str(next(self._numbers)),
            lora_request=self._adapter(policy) if policy else None,
        ):
            outputs = sorted(answer.outputs, key=lambda output: int(output.index))
        return [
            Completion(
                text=output.text,
                model=model,
                finish_reason=output.finish_reason or "stop",
                prompt_tokens=len(tokens),
                tokens=len(output.token_ids),
                ending=output.stop_reason if isinstance(output.stop_reason, str) else "",
            )
            for output in outputs
            for _ in range(count // distinct)
        ]

    def _adapter(self, policy: Policy) -> LoRARequest | None:
        """Returns the adapter of a policy, which the engine loads on its first use; None for other kinds of policy."""
        if policy.kind != "lora":
            return None
        number = self._adapters.setdefault(policy.name, len(self._adapters) + 1)
        return LoRARequest(policy.name, number, policy.folder)

    def shutdown(self) -> None:
        """Ends the engine's processes. No call may follow."""
        self._engine.shutdown()
        del self._engine  # else vLLM complains when it shuts it down once more while the interpreter exits


def _arguments(options: VllmOptions) -> dict[str, object]:
    arguments: dict[str, object] = {
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
        # vLLM's default is 0, with which a resumed run would get the same samples again.
        "seed": int.from_bytes(os.urandom(4)) >> 1,
    }
    if options.max_lora_rank:
        arguments |= {"enable_lora": True, "max_lora_rank": options.max_lora_rank, "max_loras": 2}
    if on_cpu():
        return arguments | {"block_size": CPU_BLOCK_TOKENS}
    return arguments | {"gpu_memory_utilization": options.gpu_memory_utilization}

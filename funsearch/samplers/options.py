"""What can be set of the samplers. Light: importing it loads none of their libraries."""

from dataclasses import dataclass
from typing import Literal

from funsearch.core.ranges import check_ranges


@dataclass(frozen=True)
class VllmOptions:
    """A model on vLLM. The figures behind the defaults are in docs/samplers.md."""

    model: str = ""
    """A folder, or a name on a hub; empty for the built-in model."""
    samples_per_prompt: int = 4
    temperature: float = 1.0
    """FunSearch, Methods: 1.0."""
    top_p: float | None = None
    """None: 0.95 (FunSearch, Methods); 1.0 for the built-in model, since a nucleus takes a CPU thrice as long."""
    min_p: float | None = None
    """Leaves out tokens less likely than this share of the likeliest. None: 0; 0.03 for the built-in model."""
    max_tokens: int | None = None
    """None: 128 for a completion, which ends with the function, and 1024 for an answer in a chat."""
    stop: tuple[str, ...] | None = None
    """Texts that end a sample; None: where a completion leaves the function, and nothing in a chat."""
    prompt_format: Literal["auto", "completion", "chat"] = "auto"
    """`auto`: chat if the model was trained to end its turn as its chat template does, else completion."""
    max_model_len: int = 2048
    """Tokens of a prompt and its sample together. A longer prompt loses its first lines."""
    max_num_seqs: int = 64
    """Samples at work at once."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    enforce_eager: bool | None = None
    """Skips compilation: starts sooner, samples slower. None: on a CPU only."""
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    kv_cache_gb: int = 2
    """Memory for the key-value cache on a CPU."""
    policy: str = ""
    """What samples say wrote them, for a model that a training made."""
    adapter: str = ""
    """The folder of that policy's adapter; `model` is its base."""
    max_lora_rank: int = 0
    """Of the adapters that are served beside the model; 0 for none."""
    threads: str = "auto"
    """Cores for the engine on a CPU, as in 0-7; `auto` takes the physical cores that this process may use."""

    def __post_init__(self) -> None:
        counts = ("samples_per_prompt", "max_tokens", "max_model_len", "max_num_seqs", "tensor_parallel_size")
        check_ranges(
            self,
            counts=(*counts, "kv_cache_gb"),
            shares=("top_p", "gpu_memory_utilization"),
            from_zero=("temperature", "min_p", "max_lora_rank"),
        )


@dataclass(frozen=True)
class OpenAIOptions:
    """An OpenAI-compatible endpoint."""

    model: str = ""
    base_url: str | None = None
    """None for the hosted service, or what the environment variable OPENAI_BASE_URL says."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; it may be unset for an endpoint that wants none."""
    api: Literal["auto", "completions", "chat"] = "auto"
    """`auto`: completions, or chat where the endpoint or the model has no completions."""
    samples_per_prompt: int = 4
    temperature: float = 1.0
    top_p: float = 0.95
    max_tokens: int = 512
    timeout: float = 120.0
    """Seconds for one request."""
    retries: int = 6
    """Further tries after a lost connection, a busy or a failing server, with growing pauses."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("samples_per_prompt", "max_tokens"),
            shares=("top_p",),
            positive=("timeout",),
            from_zero=("temperature", "retries"),
        )


@dataclass(frozen=True)
class TransformersOptions:
    """A small model on transformers."""

    model: str = ""
    """A folder, or a name on a hub."""
    samples_per_prompt: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 128
    batch_size: int = 256
    """Samples at work at once."""
    threads: int | None = None
    """Of the processor; None leaves it to torch."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("samples_per_prompt", "max_tokens", "batch_size", "threads"),
            shares=("top_p",),
            from_zero=("temperature",),
        )

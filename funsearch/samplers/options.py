"""The options of the samplers. Importing this module imports none of their libraries."""

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
    """None: 0.95 (FunSearch, Methods); 1.0 for the built-in model, since nucleus sampling is three times as slow on a
    CPU."""
    min_p: float | None = None
    """Excludes tokens less likely than this share of the likeliest. None: 0; 0.03 for the built-in model."""
    max_tokens: int | None = None
    """None: 128 for a completion, which ends with the function, and 1024 for an answer in a chat."""
    stop: tuple[str, ...] | None = None
    """Texts that end a sample. None: those that end the function for a completion, none in a chat."""
    prompt_format: Literal["auto", "completion", "chat"] = "auto"
    """`auto`: chat if the model was trained to end its turn as its chat template does, else completion."""
    max_model_len: int = 2048
    """Tokens of a prompt and its sample together. A longer prompt loses its first lines."""
    max_num_seqs: int = 64
    """Samples generated at once."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    enforce_eager: bool | None = None
    """Skips compilation: starts sooner, samples more slowly. None: only on a CPU."""
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    kv_cache_gb: int = 2
    """Memory for the key-value cache on a CPU."""
    policy: str = ""
    """Name of the policy that samples, for a model that a training made."""
    adapter: str = ""
    """The folder of that policy's adapter; `model` is its base."""
    max_lora_rank: int = 0
    """Of the adapters that are served beside the model; 0 for none."""
    threads: str = "auto"
    """Cores for the engine on a CPU, as in 0-7; `auto`: the physical cores that this process may use."""

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
    """None: the environment variable OPENAI_BASE_URL, or else the hosted service."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; it may be unset for an endpoint that needs no key."""
    api: Literal["auto", "completions", "chat"] = "auto"
    """`auto`: completions, or chat if the endpoint or the model has no completions."""
    samples_per_prompt: int = 4
    temperature: float = 1.0
    top_p: float = 0.95
    max_tokens: int = 512
    timeout: float = 120.0
    """Seconds for one request."""
    retries: int = 6
    """Retries after a lost connection or an error of a busy or failing server, with growing pauses."""

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
    """A small model on Transformers."""

    model: str = ""
    """A folder, or a name on a hub."""
    samples_per_prompt: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 128
    batch_size: int = 256
    """Samples generated at once."""
    threads: int | None = None
    """CPU threads; None: as many as torch chooses."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("samples_per_prompt", "max_tokens", "batch_size", "threads"),
            shares=("top_p",),
            from_zero=("temperature",),
        )

